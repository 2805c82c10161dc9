//! The socket of a connection: its own or, once an upload goes on by itself, shared with that.
//!
//! The lock is held for one system call at most, and nobody else wants it but while there is such an upload.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::proxy::upstream::ledger::Noted;
use crate::proxy::upstream::wire;

/// The socket of a connection.
pub(in crate::proxy::upstream) enum Socket {
    /// Nobody else has it.
    Own(Wire),
    /// An upload that goes on by itself has it, too, or had it.
    Shared(Arc<Mutex<Shared>>),
}

/// A socket that two have.
#[derive(Default)]
pub(in crate::proxy::upstream) struct Shared {
    /// None, once it is closed.
    wire: Option<Wire>,
    /// Whether somebody writes while another reads.
    is_shared: bool,
    /// Who reads meanwhile.
    reader: Option<Waker>,
}

type Wire = wire::Wire<wire::Transport, Noted>;

impl Socket {
    pub(super) fn new(wire: Wire) -> Self {
        Self::Own(wire)
    }

    /// The same socket for somebody who writes from now on while another reads.
    pub(super) fn share(&mut self) -> Self {
        let shared = match self {
            Self::Own(_) => Arc::default(),
            Self::Shared(shared) => Arc::clone(shared),
        };
        let before = std::mem::replace(self, Self::Shared(Arc::clone(&shared)));
        let mut locked = lock(&shared);
        if let Self::Own(wire) = before {
            locked.wire = Some(wire);
        }
        locked.is_shared = true;
        drop(locked);
        Self::Shared(shared)
    }

    /// Nobody else writes any more; whoever reads looks again.
    pub(super) fn unshare(&self) {
        if let Self::Shared(shared) = self {
            let mut shared = lock(shared);
            shared.is_shared = false;
            let reader = shared.reader.take();
            drop(shared);
            if let Some(reader) = reader {
                reader.wake();
            }
        }
    }

    /// Closes the connection under whoever reads. Nobody else reads one that is not shared.
    pub(super) fn close(&self) {
        if let Self::Shared(shared) = self {
            let closed = lock(shared).wire.take();
            drop(closed);
        }
        self.unshare();
    }

    /// Whether a read may find something, as far as the runtime has heard.
    pub(super) fn may_be_readable(&self) -> bool {
        match self {
            Self::Own(wire) => wire.may_be_readable(),
            Self::Shared(shared) => {
                let shared = lock(shared);
                shared.wire.as_ref().is_none_or(Wire::may_be_readable)
            }
        }
    }

    /// Waits until a read may find something; not where somebody else writes, since who reads has to be known then.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Own(wire) => wire.poll_readable(cx),
            Self::Shared(_) => Poll::Ready(()),
        }
    }

    /// Whether nothing has come, as the kernel knows at this moment.
    pub(super) fn is_quiet(&self) -> bool {
        match self {
            Self::Own(wire) => wire.is_quiet(),
            Self::Shared(shared) => lock(shared).wire.as_ref().is_some_and(Wire::is_quiet),
        }
    }

    /// Whether the peer broke off TLS with an alert.
    pub(super) fn is_alerted(&mut self) -> bool {
        self.noted(|noted| noted.is_alerted).unwrap_or(false)
    }

    /// Whether anything was written since this was asked last, or may have been.
    pub(super) fn take_written(&mut self) -> bool {
        let taken = self.noted(|noted| std::mem::take(&mut noted.is_written));
        taken.unwrap_or(false)
    }

    fn noted<T>(&mut self, look: impl FnOnce(&mut Noted) -> T) -> Option<T> {
        match self {
            Self::Own(wire) => Some(look(&mut wire.witness)),
            Self::Shared(shared) => {
                let wire = &mut lock(shared).wire;
                wire.as_mut().map(|wire| look(&mut wire.witness))
            }
        }
    }
}

impl Shared {
    fn wire(&mut self) -> io::Result<Pin<&mut Wire>> {
        let wire = self.wire.as_mut().map(Pin::new);
        wire.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Own(wire) => Pin::new(wire).poll_read(cx, buf),
            Self::Shared(shared) => {
                let mut shared = lock(shared);
                let read = shared.wire()?.poll_read(cx, buf);
                if read.is_pending() && shared.is_shared {
                    shared.reader = Some(cx.waker().clone());
                }
                read
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Own(wire) => Pin::new(wire).poll_write(cx, buf),
            Self::Shared(shared) => lock(shared).wire()?.poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Own(wire) => Pin::new(wire).poll_write_vectored(cx, bufs),
            Self::Shared(shared) => lock(shared).wire()?.poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Own(wire) => Pin::new(wire).poll_flush(cx),
            Self::Shared(shared) => lock(shared).wire()?.poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Own(wire) => Pin::new(wire).poll_shutdown(cx),
            Self::Shared(shared) => lock(shared).wire()?.poll_shutdown(cx),
        }
    }
}
