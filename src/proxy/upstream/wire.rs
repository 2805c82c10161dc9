//! The bytes of one connection to the upstream, and who handed it the first one.
//!
//! Whether a byte was written decides whether a failed request may be sent again, and nobody else can tell. So the stream
//! under HTTP keeps a [`Ledger`]: which attempts the next byte may be the first of.
//!
//! A write that fails over TLS counts as written: TLS has taken the bytes by then, and does not say how many of them the socket
//! took before it took no more.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use prometheus::IntGauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_rustls::client::TlsStream;

use super::distrust;
use super::mark::Mark;
use super::offer::HTTP2;
use crate::tcp::SharedTcp;

/// Whose first byte the next one written may be.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    marks: Mutex<Vec<Arc<Mark>>>,
    heard: AtomicBool,
    alerted: AtomicBool,
    conversed: Notify,
}

/// A connection's stream whose writes are entered in a [`Ledger`].
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    ledger: Arc<Ledger>,
    /// Whether nothing was taken by a write that failed.
    fails_clean: bool,
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

impl Ledger {
    /// From now on the next byte written may be the first of this attempt.
    pub(super) fn expect(&self, mark: Arc<Mark>) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.len() >= MARKS_MAX {
            marks.retain(|mark| Arc::strong_count(mark) > 1);
        }
        marks.push(mark);
    }

    /// Told whenever something is written after the peer was heard: an HTTP/2 connection has then taken note of the peer's
    /// SETTINGS, if it heard any, since it acknowledges them.
    pub(super) fn conversed(&self) -> &Notify {
        &self.conversed
    }

    /// Whether the peer broke off TLS with an alert: in TLS 1.3 it may turn down our certificate after the handshake.
    pub(super) fn is_alerted(&self) -> bool {
        self.alerted.load(Ordering::Relaxed)
    }

    fn enter(&self) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        for mark in marks.drain(..) {
            mark.first_byte();
        }
        drop(marks);
        if self.heard.swap(false, Ordering::Relaxed) {
            self.conversed.notify_one();
        }
    }
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

impl<S> Wire<S> {
    /// A stream whose writes are entered in `ledger`, also those that fail.
    pub(super) fn new(stream: S, ledger: Arc<Ledger>, held: Held) -> Self {
        Self {
            stream,
            ledger,
            fails_clean: false,
            _held: held,
        }
    }
}

impl Wire<Transport> {
    /// The same of a transport; a socket takes nothing when a write fails.
    pub(super) fn of(transport: Transport, ledger: Arc<Ledger>, held: Held) -> Self {
        let fails_clean = matches!(transport, Transport::Plain(_));
        Self {
            fails_clean,
            ..Self::new(transport, ledger, held)
        }
    }

    /// Whether a read may find something, as far as anybody has heard.
    pub(super) fn may_be_readable(&self) -> bool {
        match &self.stream {
            Transport::Plain(tcp) => tcp.may_be_readable(),
            Transport::Tls(_) => true, // it may hold what it has deciphered
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

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Enters what was written, or may have been.
    fn enter(&mut self, written: io::Result<usize>, cx: &mut Context<'_>) -> io::Result<usize> {
        match &written {
            Ok(0) => {}
            Ok(_) => self.ledger.enter(),
            Err(_) => {
                if !self.fails_clean {
                    self.ledger.enter();
                }
                self.hear_last_words(cx);
            }
        }
        written
    }

    /// A write failed. If it did because the peer has broken off TLS, its alert came before, and may not be read yet: in the middle
    /// of an upload nobody reads for a while. Into no room at all, so that nothing of an answer is lost.
    fn hear_last_words(&mut self, cx: &mut Context<'_>) {
        let heard = Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut []));
        if matches!(heard, Poll::Ready(Err(error)) if distrust::is_alert(&error)) {
            self.ledger.alerted.store(true, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        match &read {
            Err(error) if distrust::is_alert(error) => {
                self.ledger.alerted.store(true, Ordering::Relaxed);
            }
            Ok(()) if buf.filled().len() > before => {
                self.ledger.heard.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        Poll::Ready(self.enter(written, cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        Poll::Ready(self.enter(written, cx))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(flushed.inspect_err(|_| self.hear_last_words(cx)))
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

/// Past so many attempts that wait for a peer which takes nothing, those that nobody waits for any more are forgotten, and
/// not counted. The others are no more than the connection has streams.
const MARKS_MAX: usize = 1024;
