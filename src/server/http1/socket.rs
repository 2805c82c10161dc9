//! The bytes of one connection: what came and is still to be looked at, and what goes out.
//!
//! What comes is read into memory of the thread and looked at there; only what nobody can do anything with yet is copied and kept.
//! So a connection that waits for a request holds no memory for it.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::handover::Stream;
use crate::http1::Outbox;

/// A connection's stream, until it is closed or somebody else's.
pub(super) struct Socket {
    io: Option<Stream>,
    ahead: BytesMut,
    /// Whether something was written that may not have gone out.
    is_held_back: bool,
}

impl Socket {
    pub(super) fn new(io: Stream) -> Self {
        Self {
            io: Some(io),
            ahead: BytesMut::new(),
            is_held_back: false,
        }
    }

    /// Takes the stream off, with what came and was not looked at.
    pub(super) fn take(&mut self) -> Option<(Stream, Bytes)> {
        let ahead = self.ahead.split().freeze();
        self.io.take().map(|io| (io, ahead))
    }

    /// What came and is still to be looked at.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// How much memory is kept for what came.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.ahead.capacity()
    }

    /// So much of what came was looked at, and is done with.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.ahead.advance(bytes);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new(); // gives the memory back
        }
    }

    /// Reads once, and keeps what came behind what came before; says how many bytes: none at the end.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_read(cx, |ahead, bytes| {
            ahead.extend_from_slice(bytes);
            bytes.len()
        })
    }

    /// Looks at what came before, or else reads once and looks at that: at nothing, at the end. What is looked at says how many bytes
    /// are done with then.
    pub(super) fn poll_look<T>(
        &mut self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&[u8]) -> (T, usize),
    ) -> Poll<io::Result<T>> {
        if self.ahead.is_empty() {
            return self.poll_read(cx, |ahead, bytes| {
                let (found, used) = look(bytes);
                ahead.extend_from_slice(&bytes[used..]);
                found
            });
        }
        let (found, used) = look(&self.ahead);
        self.skip(used);
        Poll::Ready(Ok(found))
    }

    /// Some of the next bytes, no more than these, without a copy: none at the end.
    pub(super) fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<Bytes>> {
        if !self.ahead.is_empty() {
            let here = most.min(self.ahead.len());
            let part = self.ahead.split_to(here).freeze();
            if self.ahead.is_empty() {
                self.ahead = BytesMut::new(); // what is left of it would hold all of its memory
            }
            return Poll::Ready(Ok(part));
        }
        let Some(io) = &mut self.io else {
            return closed();
        };
        let mut part = BytesMut::with_capacity(most.min(PART_BYTES));
        let mut room = (&mut part).limit(most.min(PART_BYTES));
        ready!(pin!(io.read_buf(&mut room)).poll(cx))?;
        // What is short holds no more memory than it needs.
        let is_short = part.len() < part.capacity() / 2;
        Poll::Ready(Ok(if is_short {
            Bytes::copy_from_slice(&part)
        } else {
            part.freeze()
        }))
    }

    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&mut BytesMut, &[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        let Some(io) = &mut self.io else {
            return closed();
        };
        SCRATCH.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(io).poll_read(cx, &mut read))?;
            Poll::Ready(Ok(look(&mut self.ahead, read.filled())))
        })
    }

    /// Writes all of it, and has it go out.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
    ) -> Poll<io::Result<()>> {
        while !outbox.is_empty() {
            let (slices, count) = outbox.slices();
            let written = ready!(self.poll_write(cx, &slices[..count]))?;
            outbox.advance(written);
        }
        self.poll_flush(cx)
    }

    /// The same of a few words.
    pub(super) fn poll_say(
        &mut self,
        cx: &mut Context<'_>,
        words: &mut &'static [u8],
    ) -> Poll<io::Result<()>> {
        while !words.is_empty() {
            let said = ready!(self.poll_write(cx, &[io::IoSlice::new(words)]))?;
            *words = &words[said..];
        }
        self.poll_flush(cx)
    }

    /// Tells the other side that nothing more comes.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Some(io) => Pin::new(io).poll_shutdown(cx),
            None => closed(),
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(io) = &mut self.io else {
            return closed();
        };
        let written = ready!(Pin::new(io).poll_write_vectored(cx, slices))?;
        self.is_held_back = true;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_held_back {
            let Some(io) = &mut self.io else {
                return closed();
            };
            ready!(Pin::new(io).poll_flush(cx))?;
            self.is_held_back = false;
        }
        Poll::Ready(Ok(()))
    }
}

fn closed<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

thread_local! {
    /// Where bytes are read to, before they are looked at or kept.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// What is read of a long body at once.
const PART_BYTES: usize = 32 << 10;

/// What is read at once of all else.
const SCRATCH_BYTES: usize = 16 << 10;
