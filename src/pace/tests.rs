//! The known limit under virtual time.

use super::*;
use crate::clock;

fn limit(per_second: u32, burst: u32) -> Limit {
    Limit {
        per_second: NonZeroU32::new(per_second).unwrap(),
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

/// How many of the attempts pass that are made every `step` over `span`, both ends included.
fn passed(known: &KnownLimit, start: Instant, span: Duration, step: Duration) -> u32 {
    let steps = u32::try_from(span.as_nanos() / step.as_nanos()).unwrap();
    let passes = (0..=steps).filter(|n| known.check(start + *n * step).is_ok());
    u32::try_from(passes.count()).unwrap()
}

#[test]
fn exactly_the_burst_and_the_rate_pass() {
    let start = clock::now();
    let known = KnownLimit::new(limit(10, 5), start);

    let passed = passed(
        &known,
        start,
        Duration::from_secs(10),
        Duration::from_millis(1),
    );

    assert_eq!(passed, 5 + 100);
}

#[test]
fn a_rate_that_does_not_divide_a_second_is_never_exceeded() {
    let start = clock::now();
    let known = KnownLimit::new(limit(3, 1), start);

    let passed = passed(
        &known,
        start,
        Duration::from_secs(1_000),
        Duration::from_millis(10),
    );

    // One of 3001 is lost to asking every 10 ms, which rounds each third of a second up to 340 ms.
    assert_eq!(passed, 1 + 1_000_000 / 340);
    let known = KnownLimit::new(limit(3, 1), start);
    assert_eq!(known.check(start), Ok(()));
    assert_eq!(known.check(start), Err(Duration::from_nanos(333_333_334)));
}

#[test]
fn after_the_wait_that_was_told_an_attempt_passes_and_not_before() {
    let start = clock::now();
    let known = KnownLimit::new(limit(100, 2), start);
    assert_eq!(known.check(start), Ok(()));
    assert_eq!(known.check(start), Ok(()));

    let wait = known.check(start).unwrap_err();

    assert_eq!(wait, Duration::from_millis(10));
    assert!(known.check(start + wait - Duration::from_nanos(1)).is_err());
    assert_eq!(known.check(start + wait), Ok(()));
}

#[test]
fn a_pause_gives_back_the_burst_and_no_more() {
    let start = clock::now();
    let known = KnownLimit::new(limit(10, 5), start);
    let later = start + Duration::from_secs(24 * 3_600);

    for moment in [start, later] {
        let passed = (0..100).filter(|_| known.check(moment).is_ok()).count();
        assert_eq!(passed, 5);
    }
}

#[test]
fn a_clock_that_goes_back_lets_nobody_pass_early() {
    let start = clock::now();
    let known = KnownLimit::new(limit(10, 1), start);
    let later = start + Duration::from_secs(1);
    assert_eq!(known.check(later), Ok(()));

    let wait = known.check(start).unwrap_err();

    assert_eq!(start + wait, later + Duration::from_millis(100));
}

#[test]
fn an_asker_that_is_behind_gets_what_is_there_now() {
    let start = clock::now();
    let known = KnownLimit::new(limit(10, 2), start);

    assert_eq!(known.check(start + Duration::from_secs(1)), Ok(()));
    assert_eq!(known.check(start), Ok(()));
    assert!(known.check(start).is_err());
}

#[test]
fn the_largest_and_the_smallest_limits_are_kept_without_overflow() {
    let start = clock::now();
    let century = start + Duration::from_secs(100 * 365 * 24 * 3_600);

    let fastest = KnownLimit::new(limit(u32::MAX, u32::MAX), start);
    let slowest = KnownLimit::new(limit(1, u32::MAX), start);
    let smallest = KnownLimit::new(limit(1, 1), start);

    for moment in [start, century] {
        assert_eq!(fastest.check(moment), Ok(()));
        assert_eq!(slowest.check(moment), Ok(()));
        assert_eq!(smallest.check(moment), Ok(()));
        assert_eq!(smallest.check(moment), Err(Duration::from_secs(1)));
    }
}

#[test]
fn threads_that_race_pass_exactly_the_burst() {
    let now = clock::now();
    let known = KnownLimit::new(limit(10, 500), now);

    let passed: usize = std::thread::scope(|scope| {
        let check = || (0..200).filter(|_| known.check(now).is_ok()).count();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(check)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });

    assert_eq!(passed, 500);
}
