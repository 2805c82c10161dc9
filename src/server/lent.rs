//! A client's stream while hyper has it, and its way back when hyper is dropped.
//!
//! Before that it shows which HTTP the client speaks; what was read for it is read by hyper first.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Stream;
use super::http2::PREFACE;

/// Where a stream is when nobody has it.
#[derive(Default)]
pub(super) struct Home {
    stream: Mutex<Option<Box<Stream>>>,
    /// Whether nothing is on its way in either direction.
    is_at_rest: AtomicBool,
}

/// A stream that goes home when it is dropped.
pub(super) struct Lent {
    /// `None` only while it is dropped.
    stream: Option<Box<Stream>>,
    home: Arc<Home>,
    /// What showed which HTTP the client speaks, until hyper has read it.
    ahead: Vec<u8>,
    /// Whether there was nothing to read the last time.
    is_dry: bool,
}

impl Home {
    /// Lends a stream that is to come back here.
    pub(super) fn lend(self: &Arc<Self>, stream: Box<Stream>) -> Lent {
        Lent {
            stream: Some(stream),
            home: Arc::clone(self),
            ahead: Vec::new(),
            is_dry: false,
        }
    }

    /// The stream, if it is back.
    pub(super) fn take(&self) -> Option<Box<Stream>> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.take()
    }

    /// Whether whoever has the stream has nothing to do with it until more comes, and holds no byte of it.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_at_rest.load(Ordering::Relaxed)
    }
}

impl Lent {
    /// Reads the first bytes until they show whether they are HTTP/2's. An end shows that they are not.
    pub(super) fn poll_is_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.ahead.len() < PREFACE.len() {
            let due = &PREFACE[self.ahead.len()..];
            let mut bytes = [0; PREFACE.len()];
            let mut buf = ReadBuf::new(&mut bytes[..due.len()]);
            ready!(self.stream().poll_read(cx, &mut buf))?;
            let came = buf.filled();
            let is_due = !came.is_empty() && due.starts_with(came);
            self.ahead.extend_from_slice(came);
            if !is_due {
                return Poll::Ready(Ok(false));
            }
        }
        Poll::Ready(Ok(true))
    }

    fn note_rest(&self, is_at_rest: bool) {
        self.home.is_at_rest.store(is_at_rest, Ordering::Relaxed);
    }

    fn stream(&mut self) -> Pin<&mut Stream> {
        let stream = self.stream.as_mut();
        Pin::new(stream.expect("a stream is lent until it is dropped"))
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let room = buf.remaining().min(self.ahead.len());
            buf.put_slice(&self.ahead[..room]);
            self.ahead.drain(..room);
            return Poll::Ready(Ok(()));
        }
        let mut stream = self.stream();
        let read = stream.as_mut().poll_read(cx, buf);
        let is_at_rest = read.is_pending() && stream.is_at_rest();
        self.is_dry = read.is_pending();
        self.note_rest(is_at_rest);
        read
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(|stream| stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = self.stream();
        ready!(stream.as_mut().poll_flush(cx))?;
        // Where there was nothing to read before the answer's last byte went out, nobody may look again.
        if self.is_dry {
            let is_at_rest = self.stream().is_at_rest();
            self.note_rest(is_at_rest);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.note_rest(false);
        self.stream().poll_shutdown(cx)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut home = self
            .home
            .stream
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *home = self.stream.take();
    }
}
