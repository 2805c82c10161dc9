//! The body of a request, as it is read: by whoever has it, or by nobody, where a little of it is looked at for its end.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::incoming::{Found, Incoming};
use super::socket::Socket;
use crate::http1::RequestHead;
use crate::server::upload::Broken;

/// The body of the latest request.
pub(super) struct Intake {
    incoming: Incoming,
    trailers: Option<Box<HeaderMap>>,
    /// Whether anybody reads what is to come of it.
    is_wanted: bool,
    /// What is still to be said of [`CONTINUE`] before it is read; `None` once that has gone out, or is not to be said. Then whoever reads
    /// does not touch what goes out: it is the answer's.
    go_ahead: Option<&'static [u8]>,
}

impl Intake {
    /// That of no request.
    pub(super) fn nothing() -> Self {
        Self {
            incoming: Incoming::Whole,
            trailers: None,
            is_wanted: false,
            go_ahead: None,
        }
    }

    /// That of a request with this head, at its first byte.
    pub(super) fn of(head: &RequestHead) -> Self {
        Self {
            incoming: Incoming::of(head.framing),
            trailers: None,
            is_wanted: true,
            go_ahead: head.expects_continue.then_some(CONTINUE),
        }
    }

    /// Whether more of it is to come.
    pub(super) fn is_to_come(&self) -> bool {
        self.incoming.is_to_come()
    }

    /// Whether all of it has come, and nothing behind it is still to be passed on.
    pub(super) fn is_passed_on(&self) -> bool {
        matches!(self.incoming, Incoming::Whole) && self.trailers.is_none()
    }

    /// Whether the connection cannot be read any more, since nobody knows where it ends.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.incoming, Incoming::Lost)
    }

    /// Nobody wants it any more.
    pub(super) fn is_let_go(&mut self) {
        self.is_wanted = false;
    }

    /// Whether something is still to be said before it is read.
    pub(super) fn has_go_ahead(&self) -> bool {
        self.go_ahead.is_some()
    }

    /// Says what is still to be said of the go-ahead, and has it go out.
    pub(super) fn poll_go_ahead(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(words) = &mut self.go_ahead {
            ready!(socket.poll_say(cx, words))?;
            self.go_ahead = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Says no go-ahead, unless it has begun.
    pub(super) fn keep_quiet(&mut self) {
        if self
            .go_ahead
            .is_some_and(|words| words.len() == CONTINUE.len())
        {
            self.go_ahead = None;
        }
    }

    /// The next part of it, behind the go-ahead.
    pub(super) fn poll_frame(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        while self.is_to_come() {
            let found = ready!(self.poll_found(socket, cx));
            let data = found.inspect_err(|_| self.incoming = Incoming::Lost)?;
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
        let behind = match self.incoming {
            Incoming::Lost => Some(Err(Broken::Ended)),
            _ => self.trailers.take().map(|it| Ok(Frame::trailers(*it))),
        };
        Poll::Ready(behind)
    }

    /// Waits until nobody reads it any more. Says whether its end was found: a little of it is read for that, and no more.
    pub(super) fn poll_end(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<bool> {
        if self.is_to_come() && self.is_wanted {
            return Poll::Pending;
        }
        if self.is_to_come() {
            self.keep_quiet();
            let is_read = self.poll_found(socket, cx).is_ready();
            if self.is_to_come() {
                tracing::debug!(is_read, "a body that nobody reads is not waited for");
                self.incoming = Incoming::Lost;
            }
        }
        Poll::Ready(!self.is_lost())
    }

    /// What there is of it, of what came before or comes now.
    fn poll_found(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bytes, Broken>> {
        if let Some(left) = self.incoming.long_rest() {
            let data = ready!(socket.poll_part(cx, left))?;
            if data.is_empty() {
                return Poll::Ready(Err(Broken::Ended));
            }
            self.incoming.passes(data.len());
            return Poll::Ready(Ok(data));
        }
        let incoming = &mut self.incoming;
        let found = ready!(socket.poll_look(cx, |bytes| {
            if bytes.is_empty() {
                return (Err(Broken::Ended), 0);
            }
            match incoming.take(bytes) {
                Ok(found) => {
                    let used = found.bytes;
                    (Ok(found), used)
                }
                Err(fault) => (Err(fault.into()), 0),
            }
        }))?;
        Poll::Ready(found.map(|Found { data, trailers, .. }| {
            self.trailers = trailers.map(Box::new);
            data
        }))
    }
}

/// What a client is told that waits with its body (RFC 9110 section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
