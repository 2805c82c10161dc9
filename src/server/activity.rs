//! What a client connection does: idle, in a head for too long, in flight, left.
//!
//! hyper has one timer for idleness and heads, and starts it when the last answer ends. So the connection's bytes and its
//! requests are told here from both sides, by [`watch`](super::watch) and [`counted`](super::counted): the first byte that
//! comes while nothing is in flight begins a head, the service's call ends it, and the end of the last answer begins
//! idleness. The same two sides tell hyper's own refusals from answers, and a client that hung up on its request from one
//! that has nothing to say.

mod flight;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::Version;
use tokio::sync::Notify;

pub(super) use self::flight::Flight;

use super::Params;
use super::answer::Held;
use super::hasty::Hasty;
use crate::clock;
use crate::tcp::SharedTcp;

/// What a connection does.
pub(super) struct Activity {
    state: Mutex<State>,
    /// Told when the client has cancelled too much.
    is_enough: Notify,
    /// Whether the latest request came soon after the one before.
    is_busy: AtomicBool,
}

struct State {
    in_flight: usize,
    /// Whether any byte of an answer to a request may still have to be written: longer than the request is in flight, since
    /// hyper lets go of an answer when the last of it is in its buffer.
    owes_answer: bool,
    /// When the first byte of a head came that is not complete.
    head_since: Option<Instant>,
    /// When the connection was made, or its last answer ended.
    idle_since: Instant,
    /// HTTP/2 sends bytes of its own while idle, so there no byte begins a head.
    is_http2: bool,
    /// Whether the connection was handed over to another protocol.
    left_http: bool,
    /// Since when the client has taken none of the bytes that wait for it.
    blocked_since: Option<Instant>,
    /// Answers over HTTP/2, of which the client may take nothing by itself.
    answers: Vec<Weak<dyn Held>>,
    /// What the client cancels.
    hasty: Hasty,
    /// Requests whose answers' heads are there.
    answered: u64,
    /// Who waits for one more.
    reader: Option<Waker>,
}

/// Why a connection is closed that would otherwise stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Idle for too long, or in one head.
    Silent,
    /// The client takes nothing of what it is given.
    Deaf,
    /// The client cancels more than it lets come to an answer.
    Hasty,
}

impl Activity {
    /// A fresh connection.
    pub(super) fn new() -> Self {
        let state = State {
            in_flight: 0,
            owes_answer: false,
            head_since: None,
            idle_since: clock::now(),
            is_http2: false,
            left_http: false,
            blocked_since: None,
            answers: Vec::new(),
            hasty: Hasty::default(),
            answered: 0,
            reader: None,
        };
        Self {
            state: Mutex::new(state),
            is_enough: Notify::new(),
            is_busy: AtomicBool::new(false),
        }
    }

    /// Waits until the connection has been idle, in one head, or without a byte taken by the client, for too long, or until its
    /// client has cancelled too much. Meanwhile answers are given up of which the client takes nothing. `None` once a client that was
    /// busy is not any more.
    pub(super) async fn overdue(&self, params: &Params) -> Option<Overdue> {
        loop {
            let now = clock::now();
            self.give_up(now.checked_sub(params.body_idle));
            if self.calms_down(now) {
                return None;
            }
            let due = match self.due(params) {
                Some((due, why)) if due <= now => return Some(why),
                Some((due, _)) => due,
                None => now + params.idle,
            };
            // A head or a pause may begin meanwhile; looked at this often, it is noticed within half its limit more.
            let look = params.header_timeout.min(params.body_idle) / 2;
            tokio::select! {
                () = tokio::time::sleep_until(due.min(now + look).into()) => {}
                () = self.is_enough.notified() => return Some(Overdue::Hasty),
            }
        }
    }

    /// Whether the client was busy, and has been idle for a while.
    fn calms_down(&self, now: Instant) -> bool {
        if !self.is_busy() {
            return false;
        }
        let state = self.lock();
        let is_calm = state.in_flight == 0 && state.idle_since + SOON <= now;
        if is_calm {
            self.is_busy.store(false, Ordering::Relaxed);
        }
        is_calm
    }

    /// Whether the client's next request is likely to come soon, as the latest one did.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Relaxed)
    }

    /// Gives up the answers of which hyper has passed on nothing since then.
    fn give_up(&self, before: Option<Instant>) {
        let Some(before) = before else { return };
        // Without the lock, which every request that ends takes.
        let answers: Vec<_> = self
            .lock()
            .answers
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        answers.iter().for_each(|answer| answer.give_up(before));
    }

    /// From now on this answer is given up when its client takes nothing of it.
    pub(super) fn looks_after(&self, answer: &Arc<dyn Held>) {
        let mut state = self.lock();
        if state.answers.len() >= 2 * state.in_flight {
            state.answers.retain(|it| it.strong_count() > 0);
        }
        state.answers.push(Arc::downgrade(answer));
    }

    /// The connection speaks HTTP/2.
    pub(super) fn speaks_http2(&self) {
        self.lock().is_http2 = true;
    }

    /// Whether the connection speaks HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.lock().is_http2
    }

    /// Waits until the client has hung up on a request that is in flight. hyper notices that only while it reads, which it
    /// does not do in the middle of an upload that nobody wants just now, say because the request backs off, and without TLS not at
    /// all where the kernel tells.
    pub(super) async fn abandoned(&self, tcp: &SharedTcp) {
        tcp.hung_up().await;
        while self.is_idle() {
            // What was sent before the end may still become a request, or be refused; hyper ends the connection after it.
            tokio::time::sleep(ABANDONED_EVERY).await;
        }
    }

    /// When patience ends, if nothing changes; while a request is in flight only with a client that takes nothing.
    fn due(&self, params: &Params) -> Option<(Instant, Overdue)> {
        let state = self.lock();
        if let Some(since) = state.blocked_since {
            return Some((since + params.body_idle, Overdue::Deaf));
        }
        if state.in_flight > 0 || state.left_http {
            return None;
        }
        let idle = state.idle_since + params.idle;
        let due = state
            .head_since
            .map_or(idle, |since| since + params.header_timeout);
        Some((due, Overdue::Silent))
    }

    /// Whether nothing is on its way in either direction after so many requests, over HTTP/1.
    pub(super) fn is_at_rest(&self, requests: u64) -> bool {
        let state = self.lock();
        let is_http1 = !state.is_http2 && !state.left_http;
        let is_idle = state.in_flight == 0 && !state.owes_answer && state.head_since.is_none();
        is_http1 && is_idle && state.answered == requests
    }

    fn is_idle(&self) -> bool {
        self.lock().in_flight == 0
    }

    /// Whether any byte of an answer to a request may still have to be written; over HTTP/2 nobody knows when that is over.
    pub(super) fn owes_answer(&self) -> bool {
        let state = self.lock();
        state.owes_answer || state.left_http || state.is_http2
    }

    /// Everything written so far has gone out.
    pub(super) fn flushed(&self) {
        let mut state = self.lock();
        state.owes_answer = state.in_flight > 0;
    }

    /// Bytes of the client came. Says whether they may still be HTTP/1.
    pub(super) fn bytes_came(&self) -> bool {
        let mut state = self.lock();
        if state.in_flight == 0 && state.head_since.is_none() && !state.is_http2 {
            state.head_since = Some(clock::now());
        }
        !state.is_http2 && !state.left_http
    }

    /// The client took bytes, or has no room for any.
    pub(super) fn offered(&self, is_taken: bool) {
        let mut state = self.lock();
        if is_taken {
            state.blocked_since = None;
        } else if state.blocked_since.is_none() {
            state.blocked_since = Some(clock::now());
        }
    }

    /// Waits until so many requests have the heads of their answers, and it is known whether the last of them leaves HTTP.
    pub(super) fn poll_answered(&self, requests: u64, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.answered >= requests {
            return Poll::Ready(());
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// A head is complete; its request is in flight until what is returned is dropped.
    pub(super) fn request_came(self: &Arc<Self>, version: Version) -> Flight {
        let now = clock::now();
        let mut state = self.lock();
        let is_http1 = version < Version::HTTP_2;
        let is_soon = is_http1 && state.answered > 0 && now < state.idle_since + SOON;
        self.is_busy.store(is_soon, Ordering::Relaxed);
        state.in_flight += 1;
        state.owes_answer = true;
        state.head_since = None;
        state.is_http2 = version == Version::HTTP_2;
        drop(state);
        Flight::new(Arc::clone(self), now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client whose next request comes so soon after its last answer is busy.
const SOON: Duration = Duration::from_secs(1);

/// How often a connection whose client has hung up is looked at, for as long as it carries no request.
const ABANDONED_EVERY: Duration = Duration::from_millis(50);
