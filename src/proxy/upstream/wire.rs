//! The bytes of one connection to the upstream, and who is told what comes of them.
//!
//! Whether a byte was written decides whether a failed request may be sent again, and nobody else can tell. So the stream
//! under HTTP has a [`Witness`](super::ledger).
//!
//! A write that fails over TLS counts as written: TLS has taken the bytes by then, and does not say how many of them the socket
//! took before it took no more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use prometheus::IntGauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::client::TlsStream;

use super::distrust;
use super::ledger::Witness;
use super::offer::HTTP2;
use crate::tcp::SharedTcp;

/// A connection's stream, and who is told what happens on it.
#[derive(Debug)]
pub(super) struct Wire<S, W> {
    stream: S,
    pub(super) witness: W,
    /// Whether TLS stands before the socket.
    is_secured: bool,
    _held: Held,
}

/// What an open connection holds for as long as its socket lives: a unit of the gauge and, where it is not with the request
/// that uses the connection, a place among `connections.max`.
#[derive(Debug)]
pub(super) struct Held {
    open: IntGauge,
    _slot: Option<OwnedSemaphorePermit>,
}

/// What carries the bytes.
#[derive(Debug)]
pub(super) enum Transport {
    /// Nothing between us and the socket.
    Plain(SharedTcp),
    /// TLS; what is counted is what was handed to it.
    Tls(Box<TlsStream<SharedTcp>>),
}

impl Held {
    /// Counts a connection as open, with the slot that it occupies itself.
    pub(super) fn new(open: IntGauge, slot: Option<OwnedSemaphorePermit>) -> Self {
        open.inc();
        Self { open, _slot: slot }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl Transport {
    /// Whether the peer chose HTTP/2 (ALPN).
    pub(super) fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(HTTP2),
        }
    }
}

impl<S, W> Wire<S, W> {
    /// A stream that is taken for TLS.
    pub(super) fn new(stream: S, witness: W, held: Held) -> Self {
        Self {
            stream,
            witness,
            is_secured: true,
            _held: held,
        }
    }
}

impl<W> Wire<Transport, W> {
    /// A transport.
    pub(super) fn of(transport: Transport, witness: W, held: Held) -> Self {
        let is_secured = matches!(transport, Transport::Tls(_));
        Self {
            is_secured,
            ..Self::new(transport, witness, held)
        }
    }

    /// Whether a read may find something, as far as anybody has heard.
    pub(super) fn may_be_readable(&self) -> bool {
        match &self.stream {
            Transport::Plain(tcp) => tcp.may_be_readable(),
            Transport::Tls(_) => true, // it may hold what it has deciphered
        }
    }

    /// Waits until a read may find something.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.stream {
            Transport::Plain(tcp) => tcp.poll_readable(cx).map(|_| ()),
            Transport::Tls(_) => Poll::Ready(()), // it may hold what it has deciphered
        }
    }

    /// Whether nothing has come, as the kernel knows at this moment.
    pub(super) fn is_quiet(&self) -> bool {
        match &self.stream {
            Transport::Plain(tcp) => tcp.is_quiet(),
            Transport::Tls(tls) => tls.get_ref().0.is_quiet(),
        }
    }
}

impl<S: AsyncRead + Unpin, W: Witness> Wire<S, W> {
    /// Tells what was written, or may have been.
    fn tell(&mut self, written: io::Result<usize>, cx: &mut Context<'_>) -> io::Result<usize> {
        match &written {
            Ok(1..) => self.witness.written(),
            Err(_) if self.is_secured => {
                self.witness.perhaps_written();
                self.hear_last_words(cx);
            }
            _ => {}
        }
        written
    }

    /// A write failed. If it did because the peer has broken off TLS, its alert came before, and may not be read yet: in the middle
    /// of an upload nobody reads for a while. Into no room at all, so that nothing of an answer is lost.
    fn hear_last_words(&mut self, cx: &mut Context<'_>) {
        let heard = Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut []));
        if matches!(heard, Poll::Ready(Err(error)) if distrust::is_alert(&error)) {
            self.witness.alerted();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, W: Witness> Wire<S, W> {
    fn poll_flush_secured(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(flushed.inspect_err(|_| self.hear_last_words(cx)))
    }
}

impl<S: AsyncRead + Unpin, W: Witness> AsyncRead for Wire<S, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        match &read {
            Err(error) if distrust::is_alert(error) => {
                self.witness.alerted();
            }
            Ok(()) if buf.filled().len() > before => {
                self.witness.heard();
            }
            _ => {}
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, W: Witness> AsyncWrite for Wire<S, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        Poll::Ready(self.tell(written, cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        Poll::Ready(self.tell(written, cx))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_secured {
            self.poll_flush_secured(cx)
        } else {
            Poll::Ready(Ok(())) // a socket holds nothing back
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
