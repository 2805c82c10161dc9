//! A client's connection of HTTP/1, for the two that use it: whoever carries it, and the body of the request that is on its way.
//!
//! Each of them locks it for as long as one read or write takes, and never while it waits. They do not read at the same time: as long
//! as a body is to come, all that comes is its own.

mod held;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::Frame;

use super::Lent;
use super::came::{Came, Search};
use super::intake::Intake;
use super::socket::Socket;
use crate::http1::{Framing, Outbox, Reading, RequestHead};
use crate::server::activity::Activity;
use crate::server::http2::PREFACE;
use crate::server::upload::Broken;

pub(in crate::server) use self::held::Held;

/// What both of them share.
pub(in crate::server) struct Wire {
    state: Mutex<State>,
    activity: Arc<Activity>,
    /// Whether the server stops; only whoever carries the connection says so, and asks.
    is_stopping: AtomicBool,
}

struct State {
    socket: Socket,
    search: Search,
    intake: Intake,
    /// Whose body that is, counted.
    turn: u64,
    /// Who carries the connection and waits for the body's end.
    carrier: Option<Waker>,
    /// Who waits for more of the body.
    reader: Option<Waker>,
    doing: Doing,
}

/// What a read of a body brings: a frame, its fault, or its end.
type Part = Option<Result<Frame<Bytes>, Broken>>;

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It waits for a request, or for the rest of its head.
    Waiting,
    /// It has one.
    Asked,
    /// A part of the answer may have gone out, and not all of it.
    Answering,
}

impl Wire {
    /// Waits until the first bytes show whether they are HTTP/2's. An end shows that they are not.
    pub(super) fn poll_is_http2(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut state = self.lock();
        loop {
            let ahead = state.socket.ahead();
            let known = ahead.len().min(PREFACE.len());
            if ahead[..known] != PREFACE[..known] {
                return Poll::Ready(Ok(false));
            }
            if known == PREFACE.len() {
                return Poll::Ready(Ok(true));
            }
            if ready!(state.socket.poll_more(cx))? == 0 {
                return Poll::Ready(Ok(false));
            }
            self.activity.head_begins();
        }
    }

    /// Waits for the next request's head. Apart, since it is most of what a connection does, and needs little room on the stack.
    #[inline(never)]
    pub(super) fn poll_head(
        &self,
        cx: &mut Context<'_>,
        reading: Reading,
    ) -> Poll<io::Result<Came>> {
        let state = &mut *self.lock();
        if self.is_stopping() && state.doing != Doing::Waiting {
            return Poll::Ready(Ok(Came::End));
        }
        state.doing = Doing::Waiting;
        loop {
            let came = state.search.poll_next(&mut state.socket, cx, reading);
            if let Some(came) = ready!(came)? {
                state.doing = Doing::Asked;
                return Poll::Ready(Ok(came));
            }
            if !state.socket.ahead().is_empty() {
                self.activity.head_begins();
            }
        }
    }

    /// The body of the request whose head came. From now on whoever has it reads the connection.
    #[inline(never)]
    pub(super) fn lend(self: &Arc<Self>, head: &RequestHead) -> Lent {
        let mut state = self.lock();
        state.turn += 1;
        state.intake = Intake::of(head);
        state.reader = None;
        let length = match head.framing {
            Framing::Sized(length) => Some(length),
            _ => None,
        };
        Lent::new(Arc::clone(self), state.turn, length)
    }

    /// The next part of the body of this turn, and whether that was all of it. Who comes too late for it, since the next request has
    /// come, gets nothing of that one's.
    pub(super) fn poll_body(&self, turn: u64, cx: &mut Context<'_>) -> Poll<(Part, bool)> {
        let state = &mut *self.lock();
        if state.turn != turn {
            return Poll::Ready((Some(Err(Broken::Ended)), false));
        }
        let frame = match self.poll_body_begins(state, cx) {
            Poll::Ready(Ok(())) => state.intake.poll_frame(&mut state.socket, cx),
            Poll::Ready(Err(broke)) => Poll::Ready(Some(Err(broke.into()))),
            Poll::Pending => Poll::Pending,
        };
        if frame.is_pending() {
            state.reader = Some(cx.waker().clone());
        } else if !state.intake.is_to_come() {
            wake(&mut state.carrier);
        }
        frame.map(|frame| (frame, state.intake.is_passed_on()))
    }

    /// Before a body comes its client is told to go ahead, if it waits for that. Behind the head of an answer whoever writes that sees to it.
    fn poll_body_begins(&self, state: &mut State, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !state.intake.has_go_ahead() {
            return Poll::Ready(Ok(()));
        }
        if state.doing == Doing::Answering {
            return Poll::Pending;
        }
        self.poll_go_ahead(state, cx)
    }

    fn poll_go_ahead(&self, state: &mut State, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let said = state.intake.poll_go_ahead(&mut state.socket, cx);
        self.activity.offered(said.is_ready());
        said
    }

    /// Nobody wants what is to come of the body of this turn.
    pub(super) fn is_let_go(&self, turn: u64) {
        let mut state = self.lock();
        if state.turn != turn {
            return;
        }
        if state.intake.has_go_ahead() && state.doing != Doing::Answering {
            self.activity.offered(true); // nobody waits any more for the client to take it
        }
        state.intake.is_let_go();
        state.reader = None;
        wake(&mut state.carrier);
    }

    /// Whether another request may follow the body, as far as is known: its end is, or is still looked for.
    pub(super) fn may_settle(&self, cx: &mut Context<'_>) -> bool {
        self.lock().poll_settled(cx) != Poll::Ready(false)
    }

    /// Whether no request follows, since the server stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// The answer is out. Waits until nobody reads the body any more, and says whether its end was found, behind which the next
    /// request begins.
    pub(super) fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        state.doing = Doing::Asked;
        state.poll_settled(cx)
    }

    /// Waits until the client has left, in the middle of what it asked for.
    pub(super) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.intake.is_to_come() {
            state.carrier = Some(cx.waker().clone()); // who reads the body sees the end before that
            return Poll::Pending;
        }
        if state.intake.is_lost() || !state.socket.ahead().is_empty() {
            return Poll::Pending;
        }
        match ready!(state.socket.poll_more(cx)) {
            Ok(0) | Err(_) => Poll::Ready(()),
            Ok(_) => Poll::Pending,
        }
    }

    /// Writes all of it, and has it go out.
    pub(super) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
    ) -> Poll<io::Result<()>> {
        let state = &mut *self.lock();
        if state.doing != Doing::Answering {
            state.doing = Doing::Answering;
            state.intake.keep_quiet();
            wake(&mut state.reader); // who waited to say a go-ahead reads now, or waits for it to be said
        }
        if state.intake.has_go_ahead() {
            ready!(self.poll_go_ahead(state, cx))?;
            wake(&mut state.reader);
        }
        let sent = state.socket.poll_send(cx, outbox);
        self.activity.offered(sent.is_ready());
        sent
    }

    /// Tells the client that nothing more comes.
    pub(super) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        state.doing = Doing::Asked;
        state.socket.poll_close(cx)
    }

    /// Reads to the end what the client says and nobody has read; at once, if that is nothing.
    pub(super) fn poll_rest(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if !state.intake.is_lost() && state.socket.ahead().is_empty() {
            return Poll::Ready(Ok(()));
        }
        state.socket.poll_rest(cx)
    }

    /// The server stops: no request follows. Says whether the connection carries nothing just now.
    pub(in crate::server) fn stops(&self) -> bool {
        self.is_stopping.store(true, Ordering::Relaxed);
        let state = self.lock();
        state.doing == Doing::Waiting && state.socket.ahead().is_empty()
    }

    /// How much memory is kept for what came.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.lock().socket.kept_bytes()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let settled = self.intake.poll_end(&mut self.socket, cx);
        if settled.is_pending() {
            self.carrier = Some(cx.waker().clone());
        }
        settled
    }
}

fn wake(waiting: &mut Option<Waker>) {
    if let Some(waiting) = waiting.take() {
        waiting.wake();
    }
}
