//! TLS of one connection: from its first byte to a stream that carries HTTP, within `client.header_timeout`.
//!
//! Runs in the connection's own task and on its own place among `client.max_connections`, so that whoever dawdles keeps
//! nobody else from being accepted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::http2::PREFACE;
use super::refusal;
use crate::tcp::SharedTcp;

/// Why there is no TLS on a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It was not there in time.
    #[error("no TLS handshake within {0:?}")]
    Late(Duration),
    /// The client speaks plain HTTP.
    #[error("plain HTTP where TLS is expected")]
    Plain,
    /// The client left, what it sent is no TLS, or one side does not trust the other.
    #[error("the TLS handshake failed")]
    Failed(#[from] io::Error),
}

/// What a client has agreed to speak, by ALPN, and how much of it has been seen to be that.
///
/// A protocol that was agreed on must be spoken (RFC 7301, section 3.2), or whoever has let the connection pass for what it said
/// has looked at something else.
#[derive(Debug)]
pub(super) struct Agreed {
    is_http2: bool,
    /// How many bytes came that the preface of HTTP/2 begins with; `None` when it was settled.
    preface: Option<usize>,
}

impl Agreed {
    /// A fresh connection on which this was agreed.
    pub(super) fn on(protocol: &[u8]) -> Self {
        Self {
            is_http2: protocol == b"h2",
            preface: Some(0),
        }
    }

    /// Looks at bytes from the client.
    ///
    /// # Errors
    /// When they are another protocol's.
    pub(super) fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(seen) = self.preface else {
            return Ok(());
        };
        let due = &PREFACE[seen..];
        let here = due.len().min(bytes.len());
        let is_http2 = due[..here] == bytes[..here];
        if is_http2 && here < due.len() {
            self.preface = Some(seen + here);
            return Ok(());
        }
        self.preface = None;
        if is_http2 != self.is_http2 {
            let why = "the client speaks another protocol than it has agreed on";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(())
    }
}

/// The handshake of one connection.
///
/// # Errors
/// When none comes about; a client that speaks plain HTTP has been told so.
pub(super) async fn handshake(
    tcp: SharedTcp,
    config: Arc<ServerConfig>,
    limit: Duration,
) -> Result<TlsStream<SharedTcp>, Failure> {
    let shaken = async {
        let first = tcp.first_byte().await?;
        // A record of TLS begins with a small number, a request with the letter of a method.
        if first.is_some_and(|byte| byte.is_ascii_alphabetic()) {
            return Ok(None);
        }
        let stream = TlsAcceptor::from(config).accept(tcp.clone()).await?;
        Ok::<_, io::Error>(Some(stream))
    };
    match tokio::time::timeout(limit, shaken).await {
        Ok(Ok(Some(stream))) => Ok(stream),
        Ok(Ok(None)) => {
            refusal::turn_away_plain(tcp).await;
            Err(Failure::Plain)
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::Late(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(protocol: &[u8], bytes: &[u8], expected: bool) {
        for size in [1, 3, bytes.len()] {
            let mut agreed = Agreed::on(protocol);

            let is_good = bytes.chunks(size).all(|part| agreed.look(part).is_ok());

            assert_eq!(is_good, expected, "{size} bytes at a time");
        }
    }

    #[test]
    fn only_what_was_agreed_on_is_good_however_it_comes() {
        let http2 = [PREFACE.as_slice(), b"\0\0\0\x04\0\0\0\0\0"].concat();
        for (bytes, is_http2) in [
            (http2.as_slice(), true),
            (b"GET / HTTP/1.1\r\n\r\n", false),
            (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", false),
        ] {
            check(b"h2", bytes, is_http2);
            check(b"http/1.1", bytes, !is_http2);
        }
    }
}
