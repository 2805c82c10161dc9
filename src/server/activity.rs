//! What a client connection does: idle, in a head for too long, in flight, left.
//!
//! It is told by who carries the connection: [`http1`](super::http1), or over HTTP/2, where hyper does, from both sides by
//! [`watch`](super::watch) and [`counted`](super::counted). The first byte that comes while nothing is in flight begins a head, the
//! service's call ends it, and the end of the last answer begins idleness. So a client that hung up on its request can be told from
//! one that has nothing to say, too.

mod flight;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

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
    /// Whether bytes wait for the client, so that the lock is not taken for each that it takes.
    is_blocked: AtomicBool,
    /// Told when the client has cancelled too much.
    is_enough: Notify,
}

struct State {
    in_flight: usize,
    /// When the first byte of a head came that is not complete.
    head_since: Option<Instant>,
    /// When the connection was made, or its last answer ended.
    idle_since: Instant,
    /// HTTP/2 sends bytes of its own while idle, so there no byte begins a head.
    is_http2: bool,
    /// Since when the client has taken none of the bytes that wait for it.
    blocked_since: Option<Instant>,
    /// Answers over HTTP/2, of which the client may take nothing by itself.
    answers: Vec<Weak<dyn Held>>,
    /// What the client cancels.
    hasty: Hasty,
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
            head_since: None,
            idle_since: clock::now(),
            is_http2: false,
            blocked_since: None,
            answers: Vec::new(),
            hasty: Hasty::default(),
        };
        Self {
            state: Mutex::new(state),
            is_blocked: AtomicBool::new(false),
            is_enough: Notify::new(),
        }
    }

    /// Waits until the connection has been idle, in one head, or without a byte taken by the client, for too long, or until its
    /// client has cancelled too much. Meanwhile answers are given up of which the client takes nothing.
    pub(super) async fn overdue(&self, params: &Params) -> Overdue {
        loop {
            let now = clock::now();
            self.give_up(now.checked_sub(params.body_idle));
            let due = match self.due(params) {
                Some((due, why)) if due <= now => return why,
                Some((due, _)) => due,
                None => now + params.idle,
            };
            // A head or a pause may begin meanwhile; looked at this often, it is noticed within half its limit more.
            let look = params.header_timeout.min(params.body_idle) / 2;
            tokio::select! {
                () = tokio::time::sleep_until(due.min(now + look).into()) => {}
                () = self.is_enough.notified() => return Overdue::Hasty,
            }
        }
    }

    /// Gives up the answers of HTTP/2 of which nothing was passed on since then.
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

    /// Waits until the client has hung up on a request that is in flight. That shows in what is read only as long as somebody reads, and
    /// nobody does in the middle of an upload that is not wanted just now, say because the request backs off, nor where the kernel
    /// tells.
    pub(super) async fn abandoned(&self, tcp: &SharedTcp) {
        tcp.hung_up().await;
        while self.is_idle() {
            // What was sent before the end may still become a request, or be refused; the connection ends after it.
            tokio::time::sleep(ABANDONED_EVERY).await;
        }
    }

    /// When patience ends, if nothing changes; while a request is in flight only with a client that takes nothing.
    fn due(&self, params: &Params) -> Option<(Instant, Overdue)> {
        let state = self.lock();
        if let Some(since) = state.blocked_since {
            return Some((since + params.body_idle, Overdue::Deaf));
        }
        if state.in_flight > 0 {
            return None;
        }
        let idle = state.idle_since + params.idle;
        let due = state
            .head_since
            .map_or(idle, |since| since + params.header_timeout);
        Some((due, Overdue::Silent))
    }

    fn is_idle(&self) -> bool {
        self.lock().in_flight == 0
    }

    /// The first bytes of a head came, or some more, while nothing is in flight.
    pub(super) fn head_begins(&self) {
        let mut state = self.lock();
        if state.head_since.is_none() {
            state.head_since = Some(clock::now());
        }
    }

    /// The client took bytes, or has no room for any. Only whoever writes tells this, one at a time.
    pub(super) fn offered(&self, is_taken: bool) {
        if is_taken && !self.is_blocked.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        self.is_blocked.store(!is_taken, Ordering::Relaxed);
        if is_taken {
            state.blocked_since = None;
        } else if state.blocked_since.is_none() {
            state.blocked_since = Some(clock::now());
        }
    }

    /// A head is complete; its request is in flight until what is returned is dropped.
    pub(super) fn request_came(self: &Arc<Self>) -> Flight {
        let mut state = self.lock();
        state.in_flight += 1;
        state.head_since = None;
        drop(state);
        Flight::new(Arc::clone(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a connection whose client has hung up is looked at, for as long as it carries no request.
const ABANDONED_EVERY: Duration = Duration::from_millis(50);
