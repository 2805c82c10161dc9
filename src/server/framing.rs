//! Requests as they came: what hyper forgives, and a proxy must not.
//!
//! hyper folds equal `Content-Length`s, drops one beside `Transfer-Encoding`, and forgets a fragment, all before a service
//! sees the request. Each of these is a request that somebody else on the way may read in another way. So the bytes are
//! followed here, below hyper: where a head ends, what frames its body, and where the next head begins.
//!
//! What is found at fault is not answered here, since the answers to earlier requests go first. Its last byte is replaced
//! by one that hyper cannot read, and hyper refuses it in its turn. A body at fault that came together with the end of its
//! head spoils the head, so that nothing of it is forwarded; one that comes later breaks the body. Behind a spoiled head
//! goes an empty line, for hyper reads a head that came in pieces only when it looks complete.
//!
//! What comes behind a request that asks to leave HTTP is a request only if the answer is not a 101. So it stays where it is
//! until the answer is known, and then is looked at, or is nobody's business here.
//!
//! Anything that hyper refuses by itself is left to it: then there is nothing to follow any more, nor in HTTP/2 or in
//! what a connection carries after it has left HTTP.

mod chunks;
mod head;

use self::chunks::Chunks;
use self::head::{Judged, judge};

/// Follows the requests on one connection.
#[derive(Debug)]
pub struct Framing {
    stage: Stage,
    /// The head so far, where it comes in pieces.
    head: Vec<u8>,
    head_bytes_max: usize,
    /// How many heads went to hyper.
    requests: u64,
    /// Whether the latest of them asks to leave HTTP.
    asks_to_leave: bool,
    /// Whether the last byte was the last one of a request.
    is_at_end: bool,
}

/// What follows for bytes that were looked at.
pub struct Looked {
    /// So many of them go to hyper now. The others wait, and are looked at again.
    pub now: usize,
    /// What goes behind them.
    pub behind: &'static [u8],
}

/// What the next byte belongs to.
#[derive(Debug)]
enum Stage {
    /// A head, or the empty lines before one.
    Head,
    /// A body of which so many bytes are to come.
    Sized(u64),
    /// A body in chunks.
    Chunked(Chunks),
    /// What came behind a request that asks to leave HTTP.
    Held,
    /// Nobody's business here.
    Unknown,
}

impl Framing {
    /// A fresh connection; a longer head than this is refused by hyper.
    pub fn new(head_bytes_max: usize) -> Self {
        Self {
            stage: Stage::Head,
            head: Vec::new(),
            head_bytes_max,
            requests: 0,
            asks_to_leave: false,
            is_at_end: false,
        }
    }

    /// How many requests must have been answered before any more bytes are to be looked at, where that has to wait.
    pub fn waits_for_answers(&self) -> Option<u64> {
        matches!(self.stage, Stage::Held).then_some(self.requests)
    }

    /// How many requests went to hyper, if nothing but whole ones did.
    pub fn whole_requests(&self) -> Option<u64> {
        (self.is_at_end && matches!(self.stage, Stage::Head)).then_some(self.requests)
    }

    /// The answers are there, and what is held may be looked at.
    pub fn goes_on(&mut self) {
        self.stage = Stage::Head;
    }

    /// A request's head goes to hyper, and this comes behind it.
    fn begins(&mut self, stage: Stage, asks_to_leave: bool) {
        self.requests += 1;
        self.asks_to_leave = asks_to_leave;
        match stage {
            Stage::Head => self.is_over(),
            stage => self.stage = stage,
        }
    }

    /// A request has come to its end.
    fn is_over(&mut self) {
        self.is_at_end = true;
        self.stage = if std::mem::take(&mut self.asks_to_leave) {
            Stage::Held
        } else {
            Stage::Head
        };
    }

    /// From now on the connection speaks something else.
    pub fn forget(&mut self) {
        self.stage = Stage::Unknown;
        self.head = Vec::new();
    }

    /// Looks at bytes on their way to hyper, and spoils what hyper must refuse.
    pub fn look(&mut self, bytes: &mut [u8]) -> Looked {
        let all = bytes.len();
        let go = |now| Looked { now, behind: &[] };
        let mut at = 0;
        // The last byte of the head whose body follows, as long as hyper has not got it.
        let mut head_end = None;
        while at < bytes.len() {
            self.is_at_end = false;
            match &mut self.stage {
                Stage::Unknown => return go(all),
                Stage::Held => return go(at),
                Stage::Head => {
                    let Some((length, judged)) = self.head(&bytes[at..]) else {
                        return go(all);
                    };
                    at += length;
                    head_end = Some(at - 1);
                    match judged {
                        Judged::Goes(stage) => self.begins(stage, false),
                        Judged::AsksToLeave(stage) => self.begins(stage, true),
                        Judged::Refused(why) => {
                            tracing::debug!(why, "a request is refused");
                            return self.spoil_head(bytes, at - 1);
                        }
                    }
                }
                Stage::Sized(left) => {
                    let here = u64::try_from(bytes.len() - at).unwrap_or(u64::MAX);
                    let taken = here.min(*left);
                    *left -= taken;
                    if *left == 0 {
                        self.is_over();
                    }
                    at += usize::try_from(taken).unwrap_or(usize::MAX);
                }
                Stage::Chunked(chunks) => match chunks.take(&bytes[at..]) {
                    Ok(taken) => {
                        at += taken;
                        if chunks.is_over() {
                            self.is_over();
                        }
                    }
                    Err(fault) => {
                        if let Some(end) = head_end {
                            return self.spoil_head(bytes, end);
                        }
                        self.forget();
                        bytes[at + fault.at] = fault.unreadable;
                        return go(all);
                    }
                },
            }
        }
        go(all)
    }

    /// Makes hyper refuse the head that ends here.
    fn spoil_head(&mut self, bytes: &mut [u8], end: usize) -> Looked {
        self.forget();
        bytes[end] = UNREADABLE;
        Looked {
            now: bytes.len(),
            behind: AFTER_SPOILED,
        }
    }

    /// How many of these bytes belong to the head, once it is complete, and what follows.
    fn head(&mut self, bytes: &[u8]) -> Option<(usize, Judged)> {
        let skipped = if self.head.is_empty() {
            // hyper skips empty lines before a request, and refuses other ends of line there.
            bytes.iter().take_while(|byte| is_line_end(**byte)).count()
        } else {
            0
        };
        let bytes = &bytes[skipped..];
        let known = self.head.len();
        let Some(end) = end_of_head(&self.head, bytes) else {
            if known + bytes.len() > self.head_bytes_max {
                self.forget();
            } else {
                self.head.extend_from_slice(bytes);
            }
            return None;
        };
        let judged = if known == 0 {
            judge(&bytes[..end])
        } else {
            self.head.extend_from_slice(&bytes[..end]);
            judge(&std::mem::take(&mut self.head))
        };
        Some((skipped + end, judged))
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// How many of `more` belong to the head that began with `known`: up to the first empty line.
fn end_of_head(known: &[u8], more: &[u8]) -> Option<usize> {
    let byte = |index: usize| {
        let from_more = || more.get(index - known.len()).copied();
        known.get(index).copied().or_else(from_more)
    };
    let mut newlines = memchr::memchr_iter(b'\n', more);
    let end = newlines.find(|at| {
        let at = known.len() + at;
        let before = |back: usize| at.checked_sub(back).and_then(byte);
        before(1) == Some(b'\n') || (before(1) == Some(b'\r') && before(2) == Some(b'\n'))
    })?;
    Some(end + 1)
}

/// Ends no line, begins no name, and is part of no value.
const UNREADABLE: u8 = 0;

/// Makes a spoiled head look complete.
const AFTER_SPOILED: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests;
