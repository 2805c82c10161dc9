//! What a run of seconds says of whose throttles they are.

use super::*;

fn evidence(seconds: &[(u32, u32)]) -> Evidence {
    let mut evidence = Evidence::of_seconds();
    for (n, (passed, throttled)) in seconds.iter().enumerate() {
        (0..*passed).for_each(|_| evidence.count(false));
        (0..*throttled).for_each(|_| evidence.count(true));
        evidence.advance((n + 1) as f64, Kind::Rate, 0.05);
    }
    evidence
}

#[test]
fn a_window_that_sinks_while_the_share_stays_has_no_effect() {
    let evidence = evidence(&[(19, 16), (11, 8), (7, 4), (3, 5), (2, 4), (2, 3)]);

    assert_eq!(evidence.says(), Some(Says::FewerPass));
}

#[test]
fn as_many_passing_whatever_is_sent_is_a_limit_of_our_own() {
    let evidence = evidence(&[(20, 60), (20, 40), (20, 20), (20, 9), (20, 3), (20, 1)]);

    assert_eq!(evidence.says(), None);
}

#[test]
fn a_window_that_stands_where_the_share_is_tolerated_says_nothing() {
    let evidence = evidence(&[(19, 1); 30]);

    assert_eq!(evidence.says(), None);
}

#[test]
fn a_share_that_is_falling_now_is_nobody_elses() {
    let evidence = evidence(&[(4, 3), (4, 3), (8, 0), (11, 0), (6, 0), (7, 0)]);

    assert_eq!(evidence.says(), None);
}

#[test]
fn four_seconds_are_too_few() {
    let evidence = evidence(&[(38, 32), (22, 16), (14, 8), (6, 10)]);

    assert_eq!(evidence.says(), None);
}

#[test]
fn a_share_far_above_the_tolerated_one_is_a_reason_once_it_stayed() {
    let standing = |seconds: usize| evidence(&vec![(2, 2); seconds]).says();

    assert_eq!(standing(11), None);
    assert_eq!(standing(12), Some(Says::ShareStays));
}

#[test]
fn what_was_forgotten_says_nothing_and_neither_does_a_long_silence() {
    let (mut cleared, mut silent) = (evidence(&[(2, 2); 12]), evidence(&[(2, 2); 12]));

    cleared.clear();
    silent.advance(100.0, Kind::Rate, 0.05);

    assert_eq!(cleared.says(), None);
    assert_eq!(silent.says(), None);
}

#[test]
fn what_passed_lately_is_the_mean_of_three_seconds() {
    let evidence = evidence(&[(50, 0), (9, 1), (6, 0), (3, 2)]);

    assert!((evidence.passed_lately() - 6.0).abs() < 1e-9);
}
