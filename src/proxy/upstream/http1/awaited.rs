//! The answer that is waited for: reads until its head is there, whatever is said before it. How long that may take is for the
//! caller to say (`deadline.attempt`); nothing of it is kept.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, response};
use tokio::io::{AsyncRead, ReadBuf};

use super::{NoAnswer, Socket};
use crate::http1::{Answer, Framing, Reading, Refusal, copied, read_answer};

/// An answer's head, and what came with it.
pub(in crate::proxy::upstream) struct Answered {
    pub(in crate::proxy::upstream) head: response::Parts,
    /// How the end of its body is found.
    pub(super) framing: Framing,
    /// Whether the connection carries another request behind the body.
    pub(super) keeps_alive: bool,
    /// What came behind the head.
    pub(in crate::proxy::upstream) came: Bytes,
}

/// The answer to a request with this method.
pub(super) struct Awaited<'a> {
    method: &'a Method,
    reading: Reading,
    /// The head so far, where it comes in pieces.
    partial: Vec<u8>,
}

impl<'a> Awaited<'a> {
    pub(super) fn new(method: &'a Method, reading: Reading) -> Self {
        Self {
            method,
            reading,
            partial: Vec::new(),
        }
    }

    /// Reads until the head is there.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut Socket,
    ) -> Poll<Result<Box<Answered>, NoAnswer>> {
        loop {
            let looked = ready!(poll_some(socket, cx, |came| self.look(came)))?;
            if let Some(answered) = looked? {
                return Poll::Ready(Ok(answered));
            }
        }
    }

    /// Looks at what came, which is nothing at the end.
    fn look(&mut self, came: &[u8]) -> Result<Option<Box<Answered>>, NoAnswer> {
        if came.is_empty() {
            return Err(NoAnswer::Ended);
        }
        if self.partial.is_empty() {
            let (taken, answered) = self.read(came, 0)?;
            if answered.is_none() {
                self.partial.extend_from_slice(&came[taken..]);
            }
            return Ok(answered);
        }
        let known = self.partial.len();
        self.partial.extend_from_slice(came);
        let (taken, answered) = self.read(&self.partial, known)?;
        self.partial.drain(..taken);
        Ok(answered)
    }

    /// Reads the head, and what is said before it. Of how many bytes nothing more is wanted.
    ///
    /// Boxed, since it is handed on by many.
    fn read(
        &self,
        bytes: &[u8],
        mut known: usize,
    ) -> Result<(usize, Option<Box<Answered>>), Refusal> {
        let mut taken = 0;
        loop {
            match read_answer(&bytes[taken..], known, self.method, self.reading)? {
                None => return Ok((taken, None)),
                Some(Answer::Interim { bytes }) => taken += bytes,
                Some(Answer::Final(head)) => {
                    let answered = Box::new(Answered {
                        came: copied(&bytes[taken + head.bytes..]),
                        head: head.parts,
                        framing: head.framing,
                        keeps_alive: head.keeps_alive,
                    });
                    return Ok((bytes.len(), Some(answered)));
                }
            }
            known = 0;
        }
    }
}

/// Reads once, and looks at what came, in room that is every connection's of this thread. It is nothing at the end.
pub(super) fn poll_some<T>(
    socket: &mut Socket,
    cx: &mut Context<'_>,
    look: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    ROOM.with_borrow_mut(|room| {
        let mut read = ReadBuf::new(room);
        ready!(Pin::new(socket).poll_read(cx, &mut read))?;
        Poll::Ready(Ok(look(read.filled())))
    })
}

thread_local! {
    static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; ROOM_BYTES]);
}

/// How much is read at once at first: most answers are shorter.
pub(super) const ROOM_BYTES: usize = 16 * 1024;
