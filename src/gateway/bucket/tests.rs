//! The bucket under virtual time: never more than its burst and its rate allow.

use proptest::prelude::*;

use super::*;

/// Which of the arrivals, given as pauses before each, are let through; with the time since the start of each.
fn taken(rate: u32, burst: u32, pauses: &[u64]) -> Vec<(u64, bool)> {
    let start = crate::clock::now();
    let mut bucket = Bucket::new(rate, burst, start);
    let mut at = 0;
    pauses
        .iter()
        .map(|pause| {
            at += pause;
            (at, bucket.try_take(start + Duration::from_nanos(at)))
        })
        .collect()
}

/// What the limit allows in a window, in fractions of a request.
fn allowed(rate: u32, burst: u32, window_nanos: u64) -> u128 {
    u128::from(burst) * u128::from(FRACTIONS_PER_TOKEN)
        + u128::from(rate) * u128::from(window_nanos)
}

fn arrivals() -> impl Strategy<Value = (u32, u32, Vec<u64>)> {
    let pauses = prop::collection::vec(
        prop_oneof![
            Just(0),
            0_u64..1_000,
            0_u64..50_000_000,
            0_u64..3_000_000_000
        ],
        1..80,
    );
    (prop_oneof![0_u32..2_000, any::<u32>()], 0_u32..20, pauses)
}

proptest! {
    #[test]
    fn no_window_holds_more_than_the_burst_and_the_rate_allow((rate, burst, pauses) in arrivals()) {
        let through: Vec<u64> = taken(rate, burst, &pauses).into_iter().filter(|(_, ok)| *ok).map(|(at, _)| at).collect();

        for (first, from) in through.iter().enumerate() {
            for (count, to) in (1_u128..).zip(&through[first..]) {
                prop_assert!(count * u128::from(FRACTIONS_PER_TOKEN) <= allowed(rate, burst, to - from));
            }
        }
    }

    #[test]
    fn nothing_is_refused_that_every_window_would_allow((rate, burst, pauses) in arrivals()) {
        let outcomes = taken(rate, burst, &pauses);

        for (index, (at, _)) in outcomes.iter().enumerate().filter(|(_, (_, ok))| !ok) {
            let mut with_it = 1_u128;
            let mut too_many = with_it * u128::from(FRACTIONS_PER_TOKEN) > allowed(rate, burst, 0);
            for (from, _) in outcomes[..index].iter().rev().filter(|(_, ok)| *ok) {
                with_it += 1;
                too_many |= with_it * u128::from(FRACTIONS_PER_TOKEN) > allowed(rate, burst, at - from);
            }
            prop_assert!(too_many, "refused at {at} ns although every window had room");
        }
    }
}

#[test]
fn a_token_is_back_exactly_when_the_rate_says_so() {
    let start = crate::clock::now();
    let mut bucket = Bucket::new(3, 1, start);
    assert!(bucket.try_take(start));

    // A third of a second is 333,333,333.3 ns: one nanosecond earlier a third of a fraction is missing.
    assert!(!bucket.try_take(start + Duration::from_nanos(333_333_333)));
    assert!(bucket.try_take(start + Duration::from_nanos(333_333_334)));
}

#[test]
fn a_pause_fills_the_bucket_and_no_more() {
    let start = crate::clock::now();
    let mut bucket = Bucket::new(3, 1, start);
    let later = start + Duration::from_secs(3600);
    assert!(bucket.try_take(later));

    // One fraction over the brim would be enough here.
    assert!(!bucket.try_take(later + Duration::from_nanos(333_333_333)));
}

#[test]
fn a_clock_that_steps_back_gives_no_tokens() {
    let start = crate::clock::now() + Duration::from_secs(60);
    let mut bucket = Bucket::new(1, 1, start);
    assert!(bucket.try_take(start));

    assert!(!bucket.try_take(start - Duration::from_secs(30)));
    assert!(!bucket.try_take(start + Duration::from_nanos(999_999_999)));
    assert!(bucket.try_take(start + Duration::from_secs(1)));
}

#[test]
fn a_year_of_the_largest_rate_overflows_nothing() {
    let start = crate::clock::now();
    let mut bucket = Bucket::new(u32::MAX, u32::MAX, start);

    assert!(bucket.try_take(start + Duration::from_secs(365 * 24 * 3600)));
}
