//! The connections of HTTP/1.1 that nobody uses, and which of them a request may be trusted to.
//!
//! One that the upstream closes just when we write to it loses the request without a trace of whether it was read. Requests that
//! may not be sent twice are therefore only given connections that have been quiet for [`SETTLE`] and that the kernel knows no
//! end of; all others take the most recently used one.
//!
//! Nobody polls a connection that is not used. That the upstream has closed it is seen when it is taken, or else by the sweeper.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::http1::Connection;
use super::{ConnectionParams, Trust};
use crate::clock;

/// The connections of HTTP/1.1 that nobody uses.
pub(super) struct Idle {
    params: ConnectionParams,
    /// In the order of their last use.
    kept: Mutex<VecDeque<Kept>>,
}

struct Kept {
    connection: Box<Connection>,
    since: Instant,
}

impl Idle {
    /// None yet.
    pub(super) fn new(params: ConnectionParams) -> Self {
        Self {
            params,
            kept: Mutex::new(VecDeque::new()),
        }
    }

    /// The most recently used connection that can be trusted with the request; what cannot be used any more goes.
    pub(super) fn take(&self, trust: Trust) -> Option<Box<Connection>> {
        let now = clock::now();
        let settled = |it: &Kept| now.saturating_duration_since(it.since) >= SETTLE;
        let mut kept = self.kept();
        loop {
            let candidate = match trust {
                Trust::Any => kept.pop_back()?,
                // Those that are quiet for long enough stand in front.
                Trust::Settled => {
                    let candidates = kept.partition_point(settled);
                    kept.remove(candidates.checked_sub(1)?)?
                }
            };
            if self.is_usable(&candidate, trust, now) {
                return Some(candidate.connection);
            }
        }
    }

    /// Keeps a connection, unless it is too old.
    pub(super) fn put(&self, connection: Box<Connection>) {
        let since = clock::now();
        if since.saturating_duration_since(connection.born) < self.params.max_age {
            self.kept().push_back(Kept { connection, since });
        }
    }

    /// Makes room beside so many that are in use: the longest unused ones go, until all are `connections.max` at most.
    pub(super) fn make_room(&self, used: usize) {
        let mut kept = self.kept();
        while !kept.is_empty() && used + kept.len() > self.params.max {
            kept.pop_front();
        }
    }

    /// Closes those that are too old, too long unused, or that the upstream has closed.
    pub(super) fn sweep(&self, now: Instant) {
        self.kept()
            .retain(|candidate| self.is_usable(candidate, Trust::Settled, now));
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept().len()
    }

    fn is_usable(&self, candidate: &Kept, trust: Trust, now: Instant) -> bool {
        let Kept { connection, since } = candidate;
        let rested = now.saturating_duration_since(*since);
        // A system call more would tell the little that came since the runtime has looked.
        let is_hot = trust == Trust::Any && rested < SETTLE;
        rested < self.params.idle
            && now.saturating_duration_since(connection.born) < self.params.max_age
            && (is_hot || connection.is_quiet())
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a connection must have been quiet before it is trusted with a request that may not be sent twice: an upstream
/// that closes after its answer does so right behind it, far within this. It is not longer, since at 10,000 such requests a second 200
/// connections do nothing but wait for it.
///
/// One that was used less than this ago is not looked at again before a request that may be sent twice: what the runtime has heard of is
/// read before anything is written, and it asks the kernel for news every few milliseconds.
const SETTLE: Duration = Duration::from_millis(20);
