//! What did not get to the collector: counted as it happens, told once a minute at most.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::OTelSdkResult;

/// The spans that are on their way, and those that were lost since it was last told.
#[derive(Debug, Default)]
pub(super) struct Losses {
    waiting: AtomicUsize,
    overflown: AtomicU64,
    failed: AtomicU64,
    /// What the last failure was, and when losses were last told.
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    cause: Option<String>,
    told: Option<Instant>,
}

impl Losses {
    /// Whether one more span may wait; if there are `max` already, it is lost.
    pub(super) fn enter(&self, max: usize) -> bool {
        let more = |waiting: usize| (waiting < max).then_some(waiting + 1);
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        let has_room = self.waiting.fetch_update(success, failure, more).is_ok();
        if !has_room {
            self.overflown.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Notes why a batch is about to fail; the SDK's own word for it says nothing.
    pub(super) fn note(&self, cause: impl fmt::Display) {
        self.last().cause = Some(cause.to_string());
    }

    /// So many spans wait no longer; they were taken or lost. Tells what was lost, unless that was done within the last minute.
    pub(super) fn leave(&self, spans: usize, result: &OTelSdkResult, now: Instant) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        if let Err(error) = result {
            let spans = u64::try_from(spans).unwrap_or(u64::MAX);
            self.failed.fetch_add(spans, Ordering::Relaxed);
            self.last().cause.get_or_insert_with(|| error.to_string());
        }
        let told = self.last().told;
        if told.is_none_or(|told| now.saturating_duration_since(told) >= EVERY) && self.tell() {
            self.last().told = Some(now);
        }
    }

    /// The process ends: what still waits is lost, and told with the rest.
    pub(super) fn close(&self) {
        let waiting = self.waiting.swap(0, Ordering::Relaxed);
        let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        self.failed.fetch_add(waiting, Ordering::Relaxed);
        self.tell();
    }

    /// Whether there was anything to tell.
    fn tell(&self) -> bool {
        let overflown = self.overflown.swap(0, Ordering::Relaxed);
        let failed = self.failed.swap(0, Ordering::Relaxed);
        if overflown + failed == 0 {
            return false;
        }
        let cause = self.last().cause.take();
        tracing::warn!(
            spans_failed = failed,
            spans_overflown = overflown,
            cause,
            "spans were lost on the way to the collector"
        );
        true
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Often enough to be seen by whoever misses traces, seldom enough not to be an incident of its own.
const EVERY: Duration = Duration::from_secs(60);
