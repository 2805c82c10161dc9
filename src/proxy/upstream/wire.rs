//! The bytes of one connection to the upstream, and who handed it the first one.
//!
//! Whether a byte was written decides whether a failed request may be sent again, and hyper does not tell. So the stream
//! under hyper keeps a [`Ledger`]: which attempt the next byte is the first of.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::mark::Mark;
use crate::tcp::SharedTcp;

/// Whose first byte the next one written is.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Option<Arc<Mark>>>);

/// A connection's stream, plain or TLS, whose writes are entered in a [`Ledger`].
#[derive(Debug)]
pub(super) struct Wire {
    transport: Transport,
    ledger: Arc<Ledger>,
}

/// What carries the bytes.
#[derive(Debug)]
pub(super) enum Transport {
    /// Nothing between us and the socket.
    Plain(SharedTcp),
    /// TLS; what is counted is what was handed to it.
    Tls(Box<TlsStream<SharedTcp>>),
}

impl Ledger {
    /// From now on the next byte written is the first of this attempt.
    pub(super) fn expect(&self, mark: Arc<Mark>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(mark);
    }

    fn enter(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let mark = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mark) = mark {
            mark.first_byte();
        }
    }
}

impl Wire {
    /// A stream whose writes are entered in `ledger`.
    pub(super) fn new(transport: Transport, ledger: Arc<Ledger>) -> Self {
        Self { transport, ledger }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = ready!(match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        })?;
        self.ledger.enter(bytes);
        Poll::Ready(Ok(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = ready!(match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Transport::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        })?;
        self.ledger.enter(bytes);
        Poll::Ready(Ok(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(tcp) => tcp.is_write_vectored(),
            Transport::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
