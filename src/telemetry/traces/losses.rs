//! What did not get to the collector: counted as it happens, told once a minute at most.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
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

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Often enough to be seen by whoever misses traces, seldom enough not to be an incident of its own.
const EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;
    use crate::clock;

    /// Keeps what is logged.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        /// Has what this does logged here alone.
        fn during(act: impl FnOnce()) -> String {
            let kept = Self::default();
            let sink = kept.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_writer(move || sink.clone())
                .with_ansi(false)
                .finish();
            tracing::subscriber::with_default(subscriber, act);
            String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn failure() -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure("network error".into()))
    }

    #[test]
    fn a_full_queue_takes_nothing_until_a_batch_has_left_it() {
        let losses = Losses::default();
        let now = clock::now();

        let taken = [(); 3].map(|()| losses.enter(2));
        let told = Kept::during(|| losses.leave(2, &Ok(()), now));

        assert_eq!(taken, [true, true, false]);
        assert!(losses.enter(2));
        assert!(told.contains("spans_failed=0 spans_overflown=1"), "{told}");
    }

    #[test]
    fn losses_are_told_at_once_then_once_a_minute_and_none_is_forgotten() {
        let losses = Losses::default();
        let start = clock::now();
        let lose = |after: u64| {
            Kept::during(|| {
                losses.enter(10);
                losses.note("refused");
                losses.leave(1, &failure(), start + Duration::from_secs(after));
            })
        };

        let told = [0, 1, 59, 60, 61].map(lose);
        let at_the_end = Kept::during(|| losses.close());

        assert!(told[0].contains("spans_failed=1 "), "{told:?}");
        assert!(told[0].contains("cause=\"refused\""), "{told:?}");
        assert_eq!((told[1].as_str(), told[2].as_str()), ("", ""));
        assert!(told[3].contains("spans_failed=3 "), "{told:?}");
        assert_eq!(told[4], "");
        assert!(at_the_end.contains("spans_failed=1 "), "{at_the_end}");
    }

    #[test]
    fn what_nobody_explained_is_told_in_the_sdk_s_words_and_what_arrived_not_at_all() {
        let losses = Losses::default();
        let now = clock::now();
        assert!(losses.enter(10) && losses.enter(10));

        let arrived = Kept::during(|| losses.leave(1, &Ok(()), now));
        let lost = Kept::during(|| losses.leave(1, &failure(), now));

        assert_eq!(arrived, "");
        assert!(lost.contains("network error"), "{lost}");
    }

    #[test]
    fn what_still_waits_at_the_end_is_lost() {
        let losses = Losses::default();
        assert!(losses.enter(10) && losses.enter(10));

        let told = Kept::during(|| losses.close());

        assert!(told.contains("spans_failed=2 "), "{told}");
    }
}
