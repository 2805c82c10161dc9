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
    /// Whether the connection leaves HTTP, or has.
    is_tunnel: bool,
    /// HTTP/2 sends bytes of its own while idle, so there no byte begins a head.
    is_http2: bool,
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
            is_tunnel: false,
            is_http2: false,
        }))
    }

    /// Waits until the connection has been idle, or in one head, for too long.
    pub(super) async fn overdue(&self, params: &Params) {
        loop {
            let now = clock::now();
            let due = match self.due(params) {
                Some(due) if due <= now => return,
                Some(due) => due,
                None => now + params.idle,
            };
            // A head may begin meanwhile; looked at this often, it is noticed within half its limit more.
            tokio::time::sleep_until(due.min(now + params.header_timeout / 2).into()).await;
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

    /// When patience ends, if nothing changes; never while a request is in flight.
    fn due(&self, params: &Params) -> Option<Instant> {
        let state = self.lock();
        if state.in_flight > 0 {
            return None;
        }
        let idle = state.idle_since + params.idle;
        Some(
            state
                .head_since
                .map_or(idle, |since| since + params.header_timeout),
        )
    }

    fn is_idle(&self) -> bool {
        self.lock().in_flight == 0
    }

    /// Whether any byte of an answer to a request may still have to be written.
    pub(super) fn owes_answer(&self) -> bool {
        let state = self.lock();
        state.owes_answer || state.is_tunnel
    }

    /// The connection leaves HTTP: whatever is written from now on is nobody's refusal.
    pub(super) fn leaves_http(&self) {
        self.lock().is_tunnel = true;
    }

    /// Everything written so far has gone out.
    pub(super) fn flushed(&self) {
        let mut state = self.lock();
        state.owes_answer = state.in_flight > 0;
    }

    /// Bytes of the client came.
    pub(super) fn bytes_came(&self) {
        let mut state = self.lock();
        if state.in_flight == 0 && state.head_since.is_none() && !state.is_http2 {
            state.head_since = Some(clock::now());
        }
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
