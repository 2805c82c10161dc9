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

use super::activity::Activity;
use super::refusal;
use super::taken::Taken;
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

/// The handshake of one connection.
///
/// # Errors
/// When none comes about; a client that speaks plain HTTP has been told so.
pub(super) async fn handshake(
    tcp: SharedTcp,
    activity: Arc<Activity>,
    config: Arc<ServerConfig>,
    limit: Duration,
) -> Result<TlsStream<Taken<SharedTcp>>, Failure> {
    let shaken = async {
        let first = tcp.first_byte().await?;
        // A record of TLS begins with a small number, a request with the letter of a method.
        if first.is_some_and(|byte| byte.is_ascii_alphabetic()) {
            return Ok(None);
        }
        let io = Taken::new(tcp.clone(), activity);
        let stream = TlsAcceptor::from(config).accept(io).await?;
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
