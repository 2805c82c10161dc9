//! What comes where a request may begin.

use std::io;
use std::task::{Context, Poll, ready};

use super::incoming::Incoming;
use super::socket::Socket;
use crate::http1::{Framing, Reading, Refusal, RequestHead, empty_lines, read_request};

/// What came where a request may begin.
pub(super) enum Came<H = RequestHead> {
    /// A request's head.
    Head(H),
    /// What is none, or more than one.
    Nonsense(Refusal),
    /// The end.
    End,
}

impl Came {
    /// The same with what is made of a head.
    pub(super) fn map<T>(self, f: impl FnOnce(RequestHead) -> T) -> Came<T> {
        match self {
            Self::Head(head) => Came::Head(f(head)),
            Self::Nonsense(why) => Came::Nonsense(why),
            Self::End => Came::End,
        }
    }
}

/// Looks for a request.
#[derive(Default)]
pub(super) struct Search {
    /// How much of what is ahead was looked at in vain.
    known: usize,
}

impl Search {
    /// Looks at what came since the last time, or reads once and looks at that. `None` while it is no whole head.
    pub(super) fn poll_next(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
        reading: Reading,
    ) -> Poll<io::Result<Option<Came>>> {
        let known = self.known;
        if known > 0 && known == socket.ahead().len() && ready!(socket.poll_more(cx))? == 0 {
            return Poll::Ready(Ok(Some(Came::End)));
        }
        let came = ready!(socket.poll_look(cx, |bytes| look(bytes, known, reading)))?;
        self.known = if came.is_none() {
            socket.ahead().len()
        } else {
            0
        };
        if let Some(Came::Head(head)) = &came
            && head.framing == Framing::Chunked
            && Incoming::of(head.framing).take(socket.ahead()).is_err()
        {
            // Nothing is passed on of a request whose body is known to be at fault.
            let fault = Refusal::Unreadable("chunks that are none");
            return Poll::Ready(Ok(Some(Came::Nonsense(fault))));
        }
        Poll::Ready(Ok(came))
    }
}

/// What stands at the front of these bytes, and how many of them are done with then.
fn look(bytes: &[u8], known: usize, reading: Reading) -> (Option<Came>, usize) {
    if bytes.is_empty() {
        return (Some(Came::End), 0);
    }
    let skipped = if known == 0 { empty_lines(bytes) } else { 0 };
    if skipped == bytes.len() {
        return (None, skipped);
    }
    match read_request(&bytes[skipped..], known, reading) {
        Ok(Some(head)) => {
            let used = skipped + head.bytes;
            (Some(Came::Head(head)), used)
        }
        Ok(None) => (None, skipped),
        Err(refusal) => (Some(Came::Nonsense(refusal)), skipped),
    }
}
