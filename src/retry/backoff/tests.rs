//! Waits stay below their ceilings, and no two sessions wait alike.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const BACKOFF: Backoff = Backoff {
    throttle_base: Duration::from_secs(1),
    base: Duration::from_millis(50),
    max: Duration::from_secs(20),
};

#[track_caller]
fn check_ceiling(class: Class, retry_number: u32, expected: Duration) {
    assert_eq!(
        BACKOFF.ceiling(class, retry_number),
        expected,
        "{class:?}, retry {retry_number}"
    );
}

#[test]
fn the_ceiling_doubles_until_the_maximum() {
    check_ceiling(Class::Broken, 1, Duration::from_millis(50));
    check_ceiling(Class::Broken, 2, Duration::from_millis(100));
    check_ceiling(Class::Broken, 9, Duration::from_millis(12_800));
    check_ceiling(Class::Broken, 10, Duration::from_secs(20));
    check_ceiling(Class::Throttled, 5, Duration::from_secs(16));
    check_ceiling(Class::Throttled, 6, Duration::from_secs(20));
    check_ceiling(Class::Throttled, u32::MAX, Duration::from_secs(20));
}

#[test]
fn what_refills_by_the_second_is_waited_for_longer_than_what_is_gone_at_once() {
    for class in [Class::Throttled, Class::Suspected, Class::Overloaded] {
        check_ceiling(class, 1, BACKOFF.throttle_base);
    }
    for class in [Class::Unsent, Class::Broken, Class::Timeout] {
        check_ceiling(class, 1, BACKOFF.base);
    }
}

#[test]
fn a_zero_base_never_waits() {
    let eager = Backoff {
        base: Duration::ZERO,
        ..BACKOFF
    };

    assert_eq!(eager.ceiling(Class::Broken, 1), Duration::ZERO);
    assert_eq!(eager.ceiling(Class::Broken, u32::MAX), Duration::ZERO);
}

#[test]
fn waits_fill_the_whole_range_below_the_ceiling_evenly() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut quarters = [0u32; 4];

    for _ in 0..4_000 {
        let wait = BACKOFF.delay(Class::Throttled, 1, &mut rng);
        quarters[usize::try_from(wait.as_millis() / 250).unwrap()] += 1;
    }

    for count in quarters {
        assert!((900..1_100).contains(&count), "not even: {quarters:?}");
    }
}

#[test]
fn requests_that_share_a_generator_never_share_a_sequence_of_waits() {
    let mut rng = fastrand::Rng::with_seed(1);

    let sequences: HashSet<Vec<Duration>> = (0..10_000)
        .map(|_| {
            (1..=3)
                .map(|n| BACKOFF.delay(Class::Throttled, n, &mut rng))
                .collect()
        })
        .collect();

    assert_eq!(sequences.len(), 10_000);
}

fn any_class() -> impl Strategy<Value = Class> {
    prop::sample::select(vec![
        Class::Throttled,
        Class::Suspected,
        Class::Overloaded,
        Class::Timeout,
        Class::Unsent,
        Class::Broken,
    ])
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0u64..100_000_000_000).prop_map(Duration::from_nanos),
        (any::<u64>(), 0u32..1_000_000_000).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
    ]
}

proptest! {
    #[test]
    fn no_wait_exceeds_the_ceiling_and_no_ceiling_the_maximum(
        throttle_base in any_duration(), base in any_duration(), max in any_duration(),
        class in any_class(), retry_number in any::<u32>(), seed in any::<u64>(),
    ) {
        let backoff = Backoff { throttle_base, base, max };

        let ceiling = backoff.ceiling(class, retry_number);
        let wait = backoff.delay(class, retry_number, &mut fastrand::Rng::with_seed(seed));

        prop_assert!(wait <= ceiling);
        prop_assert!(ceiling <= max);
    }

    #[test]
    fn a_later_retry_never_has_a_lower_ceiling(
        throttle_base in any_duration(), max in any_duration(), retry_number in 0u32..300,
    ) {
        let backoff = Backoff { throttle_base, base: throttle_base, max };

        let earlier = backoff.ceiling(Class::Throttled, retry_number);
        let later = backoff.ceiling(Class::Throttled, retry_number + 1);

        prop_assert!(earlier <= later);
    }
}
