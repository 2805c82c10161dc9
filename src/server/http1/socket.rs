//! The bytes of one connection: what came and is still to be looked at, and what goes out.
//!
//! What comes is read into memory of the thread and looked at there; only what nobody can do anything with yet is kept. A little is
//! copied for that; what fills most of the memory, such as a body behind its head, keeps it, and the thread gets another. So a connection
//! that waits for a request holds no memory for it, and one that holds some uses at least the half.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

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
        self.poll_read(cx, |bytes| (bytes.len(), 0))
    }

    /// Looks at what came before, or else reads once and looks at that: at nothing, at the end. What is looked at says how many bytes
    /// are done with then.
    pub(super) fn poll_look<T>(
        &mut self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&[u8]) -> (T, usize),
    ) -> Poll<io::Result<T>> {
        if self.ahead.is_empty() {
            return self.poll_read(cx, look);
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
            let part = if most < self.ahead.len() {
                self.ahead.split_to(most)
            } else {
                std::mem::take(&mut self.ahead) // split, what is left would hold all of the memory
            };
            return Poll::Ready(Ok(part.freeze()));
        }
        let Some(io) = &mut self.io else {
            return closed();
        };
        let mut part = BytesMut::with_capacity(most.min(READ_BYTES));
        let mut room = (&mut part).limit(most.min(READ_BYTES));
        ready!(pin!(io.read_buf(&mut room)).poll(cx))?;
        // What is short holds no more memory than it needs.
        let is_short = part.len() < part.capacity() / 2;
        Poll::Ready(Ok(if is_short {
            Bytes::copy_from_slice(&part)
        } else {
            part.freeze()
        }))
    }

    /// Reads once and looks at that; keeps what is not done with then behind what came before.
    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        look: impl FnOnce(&[u8]) -> (T, usize),
    ) -> Poll<io::Result<T>> {
        let Some(io) = &mut self.io else {
            return closed();
        };
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            scratch.reserve(READ_BYTES);
            let mut room = (&mut *scratch).limit(READ_BYTES);
            ready!(pin!(io.read_buf(&mut room)).poll(cx))?;
            let (found, used) = look(scratch);
            let rest = scratch.len() - used;
            if self.ahead.is_empty() && rest >= scratch.capacity() / 2 {
                self.ahead = std::mem::take(scratch);
                self.ahead.advance(used);
            } else {
                self.ahead.extend_from_slice(&scratch[used..]);
            }
            Poll::Ready(Ok(found))
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

    /// Reads to the end what nobody wants.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.skip(self.ahead.len());
        while ready!(self.poll_read(cx, |bytes| (bytes.len(), bytes.len())))? > 0 {}
        Poll::Ready(Ok(()))
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
    static SCRATCH: RefCell<BytesMut> = RefCell::default();
}

/// What is read at once: most uploads with their heads. Of a longer one, so much and what an outbox gathers are taken in before any of
/// it is sent on.
const READ_BYTES: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Where the byte stands that follows a head when it is looked at, the socket that keeps it, and how many bytes follow.
    async fn behind_a_head(bytes: usize) -> (usize, Socket, usize) {
        const HEAD_BYTES: usize = 100;
        let (mut client, ours) = tokio::io::duplex(READ_BYTES);
        client.write_all(&vec![b'x'; bytes]).await.unwrap();
        let mut socket = Socket::new(Box::new(ours));
        let looked = poll_fn(|cx| {
            socket.poll_look(cx, |came| {
                (came[HEAD_BYTES..].as_ptr() as usize, HEAD_BYTES)
            })
        });
        let behind = looked.await.unwrap();
        (behind, socket, bytes - HEAD_BYTES)
    }

    #[tokio::test]
    async fn much_of_a_body_that_came_behind_its_head_is_passed_on_without_a_copy() {
        let (behind, mut socket, bytes) = behind_a_head(READ_BYTES).await;

        let part = poll_fn(|cx| socket.poll_part(cx, usize::MAX))
            .await
            .unwrap();

        assert_eq!((part.as_ptr() as usize, part.len()), (behind, bytes));
        assert_eq!(socket.kept_bytes(), 0);
    }

    #[tokio::test]
    async fn what_is_kept_uses_at_least_half_of_its_memory() {
        for bytes in [200, 1000, READ_BYTES / 2, READ_BYTES] {
            let (_, socket, kept) = behind_a_head(bytes).await;

            assert_eq!(socket.ahead().len(), kept);
            assert!(socket.kept_bytes() <= 2 * kept, "{kept}");
        }
    }
}
