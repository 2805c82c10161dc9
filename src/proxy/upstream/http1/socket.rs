//! The socket of a connection, which an upload that goes on by itself shares with whoever reads the answer.
//!
//! The lock is held for one system call at most, and nobody else wants it but while there is such an upload.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::upstream::wire::{Transport, Wire};

/// The socket of a connection; every clone is the same one.
#[derive(Clone)]
pub(in crate::proxy::upstream) struct Socket(Arc<Mutex<Shared>>);

struct Shared {
    /// None, once it is closed.
    wire: Option<Wire<Transport>>,
    /// Whether somebody writes while another reads.
    is_shared: bool,
    /// Who reads meanwhile.
    reader: Option<Waker>,
}

impl Socket {
    pub(super) fn new(wire: Wire<Transport>) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            wire: Some(wire),
            is_shared: false,
            reader: None,
        })))
    }

    /// Somebody writes from now on while another reads.
    pub(super) fn share(&self) {
        self.lock().is_shared = true;
    }

    /// Nobody writes any more; whoever reads looks again.
    pub(super) fn unshare(&self) {
        let mut shared = self.lock();
        shared.is_shared = false;
        let reader = shared.reader.take();
        drop(shared);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Closes the connection under whoever reads.
    pub(super) fn close(&self) {
        let closed = self.lock().wire.take();
        drop(closed);
        self.unshare();
    }

    /// Whether a read may find something, as far as the runtime has heard.
    pub(super) fn may_be_readable(&self) -> bool {
        let shared = self.lock();
        shared.wire.as_ref().is_none_or(Wire::may_be_readable)
    }

    /// Whether nothing has come, as the kernel knows at this moment.
    pub(super) fn is_quiet(&self) -> bool {
        let shared = self.lock();
        shared.wire.as_ref().is_some_and(Wire::is_quiet)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        poll: impl FnOnce(Pin<&mut Wire<Transport>>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.lock().wire {
            Some(wire) => poll(Pin::new(wire)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut shared = self.lock();
        let Some(wire) = &mut shared.wire else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let read = Pin::new(wire).poll_read(cx, buf);
        if read.is_pending() && shared.is_shared {
            shared.reader = Some(cx.waker().clone());
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|wire| wire.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|wire| wire.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|wire| wire.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|wire| wire.poll_shutdown(cx))
    }
}
