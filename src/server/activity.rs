//! What a client connection does: idle, in a head for too long, in flight, left.
//!
//! hyper has one timer for idleness and heads, and starts it when the last answer ends. So the connection's bytes and its
//! requests are told here from both sides, by [`watch`](super::watch): the first byte that comes while nothing is in flight
//! begins a head, the service's call ends it, and the end of the last answer begins idleness. The same two sides tell
//! hyper's own refusals from answers, and a client that hung up on its request from one that has nothing to say.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::Version;

use super::Params;
use crate::clock;
use crate::tcp::SharedTcp;

/// What a connection does.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
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
}

/// Why a connection is closed that would otherwise stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Idle for too long, or in one head.
    Silent,
    /// The client takes nothing of what it is given.
    Deaf,
}

/// One request in flight.
pub(super) struct Flight(Arc<Activity>);

impl Activity {
    /// A fresh connection.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            in_flight: 0,
            owes_answer: false,
            head_since: None,
            idle_since: clock::now(),
            is_http2: false,
            left_http: false,
            blocked_since: None,
        }))
    }

    /// Waits until the connection has been idle, in one head, or without a byte taken by the client, for too long.
    pub(super) async fn overdue(&self, params: &Params) -> Overdue {
        loop {
            let now = clock::now();
            let due = match self.due(params) {
                Some((due, why)) if due <= now => return why,
                Some((due, _)) => due,
                None => now + params.idle,
            };
            // A head or a pause may begin meanwhile; looked at this often, it is noticed within half its limit more.
            let look = params.header_timeout.min(params.body_idle) / 2;
            tokio::time::sleep_until(due.min(now + look).into()).await;
        }
    }

    /// Waits until the client has hung up on a request that is in flight. hyper notices that only while it reads, which it
    /// does not do in the middle of an upload that nobody wants just now, say because the request backs off.
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

    fn is_idle(&self) -> bool {
        self.lock().in_flight == 0
    }

    /// Whether the connection speaks HTTP/2, as far as a request has shown it.
    pub(super) fn is_http2(&self) -> bool {
        self.lock().is_http2
    }

    /// Whether any byte of an answer to a request may still have to be written.
    pub(super) fn owes_answer(&self) -> bool {
        let state = self.lock();
        state.owes_answer || state.left_http
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

    /// From now on the connection carries something else than HTTP: what is written is nobody's refusal, and what is read no request.
    pub(super) fn leaves_http(&self) {
        self.lock().left_http = true;
    }

    /// A head is complete; its request is in flight until what is returned is dropped.
    pub(super) fn request_came(self: &Arc<Self>, version: Version) -> Flight {
        let mut state = self.lock();
        state.in_flight += 1;
        state.owes_answer = true;
        state.head_since = None;
        state.is_http2 = version == Version::HTTP_2;
        Flight(Arc::clone(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight -= 1;
        state.idle_since = clock::now();
    }
}

/// How often a connection whose client has hung up is looked at, for as long as it carries no request.
const ABANDONED_EVERY: Duration = Duration::from_millis(50);
