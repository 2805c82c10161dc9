//! What makes first attempts go freely, and what ends that.

use super::*;

/// Half of what is sent is throttled.
fn sight() -> Sight {
    Sight {
        throttled_share: 0.5,
        ..Sight::of_tests()
    }
}

/// When it is freed, if of the attempts of so many seconds half are throttled in the high parts and so many of ten in the low ones.
fn freed_at(throttled_in_low: u32, sight: Sight) -> Option<f64> {
    let mut neighbours = Neighbours::new(Duration::ZERO);
    tested(&mut neighbours, 0, throttled_in_low, sight)
}

fn tested(
    neighbours: &mut Neighbours,
    from: u32,
    throttled_in_low: u32,
    sight: Sight,
) -> Option<f64> {
    for second in from..from + 40 {
        for (into, throttled) in [(0.25, 5), (0.75, throttled_in_low)] {
            let at = f64::from(second) + into;
            if neighbours.look(at, sight) == Finding::Freed {
                return Some(at);
            }
            (0..10).for_each(|number| neighbours.count(at, number < throttled));
        }
    }
    None
}

/// Freed, and what had been waiting is gone.
fn freed() -> (Neighbours, f64) {
    let mut neighbours = Neighbours::new(Duration::ZERO);
    let at = tested(&mut neighbours, 0, 5, sight()).expect("freed");
    count(&mut neighbours, 0, 1_000);
    assert_eq!(neighbours.look(at + 3.0, sight()), Finding::Same);
    (neighbours, at + 3.0)
}

fn count(neighbours: &mut Neighbours, passed: u32, throttled: u32) {
    (0..passed).for_each(|_| neighbours.count(0.0, false));
    (0..throttled).for_each(|_| neighbours.count(0.0, true));
}

#[test]
fn throttles_that_know_of_no_beat_are_tested_within_seconds() {
    let freed = freed_at(5, sight()).expect("freed");

    assert!((3.0..8.0).contains(&freed), "after {freed} s");
}

#[test]
fn what_keeps_the_beat_is_not_tested() {
    assert_eq!(freed_at(0, sight()), None);
}

#[test]
fn a_window_that_keeps_nobody_waiting_or_does_not_rule_is_not_tested() {
    for (is_ruling, is_pressed) in [(true, false), (false, true)] {
        let sight = Sight {
            is_ruling,
            is_pressed,
            ..sight()
        };

        assert_eq!(freed_at(5, sight), None);
    }
}

#[test]
fn if_as_large_a_share_gets_through_freely_it_is_unresponsive() {
    let (mut neighbours, now) = freed();
    assert!(neighbours.is_free() && !neighbours.is_unresponsive());

    count(&mut neighbours, 45, 55);
    assert_eq!(neighbours.look(now + 3.0, sight()), Finding::Same);

    assert!(neighbours.is_unresponsive());
}

/// First attempts go freely from then on, since others make the throttles.
pub(in crate::pace) fn unresponsive() -> (Neighbours, f64) {
    let (mut neighbours, now) = freed();
    count(&mut neighbours, 45, 55);
    assert_eq!(neighbours.look(now + 3.0, sight()), Finding::Same);
    (neighbours, now + 3.0)
}

/// When something is found in so many seconds, if half of what is sent freely is throttled, and so many of four that are sent in a check.
fn checked(
    neighbours: &mut Neighbours,
    seconds: std::ops::Range<u32>,
    throttled_in_check: u32,
) -> Option<(u32, Finding)> {
    for second in seconds {
        let at = f64::from(second);
        let is_check = neighbours.checks_until(at + 0.7).is_some();
        assert_eq!(is_check, second % 8 == 0, "{second} s");
        (0..4).for_each(|number| neighbours.count(at + 0.2, number < 2));
        let throttled = if is_check { throttled_in_check } else { 2 };
        (0..4).for_each(|number| neighbours.count(at + 0.7, number < throttled));
        let finding = neighbours.look(at + 0.9, sight());
        if finding != Finding::Same {
            return Some((second, finding));
        }
    }
    None
}

#[test]
fn what_ceases_when_all_wait_together_was_their_own_each_time_for_longer() {
    let mut neighbours = unresponsive().0;
    let (found, finding) = checked(&mut neighbours, 16..200, 0).expect("found");
    assert_eq!(finding, Finding::Ours);

    let again = tested(&mut neighbours, found + 1, 5, sight()).expect("tested");
    assert!(again >= f64::from(found) + 30.0, "{found} {again}");
    count(&mut neighbours, 0, 1_000);
    neighbours.look(again + 3.0, sight());
    count(&mut neighbours, 45, 55);
    neighbours.look(again + 6.0, sight());
    assert!(neighbours.is_unresponsive());
    let (found, _) = checked(&mut neighbours, 128..400, 0).expect("found again");

    assert_eq!(tested(&mut neighbours, found + 1, 5, sight()), None);
}

#[test]
fn what_goes_on_in_checks_is_others_for_good() {
    let mut neighbours = unresponsive().0;

    assert_eq!(checked(&mut neighbours, 16..600, 2), None);
}

#[test]
fn while_it_is_not_proven_nobody_waits_for_a_check() {
    let (neighbours, _) = freed();

    assert_eq!(neighbours.checks_until(16.7), None);
}

#[test]
fn what_its_own_retries_displace_is_not_held_against_it() {
    let (mut neighbours, now) = freed();

    count(&mut neighbours, 20, 80);
    neighbours.look(now + 3.0, sight());

    assert!(neighbours.is_unresponsive());
}

#[test]
fn a_second_is_too_short_for_a_finding() {
    let (mut neighbours, now) = freed();

    count(&mut neighbours, 10, 90);

    assert_eq!(neighbours.look(now + 1.0, sight()), Finding::Same);
    assert!(neighbours.is_free());
}

#[test]
fn if_fewer_get_through_the_window_rules_again_and_the_next_test_waits() {
    let (mut neighbours, now) = freed();

    count(&mut neighbours, 10, 90);
    assert_eq!(neighbours.look(now + 3.0, sight()), Finding::Ours);

    assert!(!neighbours.is_free());
    let again = tested(&mut neighbours, 12, 5, sight()).expect("tested again");
    assert!(again >= now + 3.0 + 30.0, "after {again} s");
}

#[test]
fn when_the_neighbours_leave_the_gate_may_open() {
    let (mut neighbours, now) = freed();
    count(&mut neighbours, 50, 50);
    neighbours.look(now + 3.0, sight());

    count(&mut neighbours, 99, 1);
    assert_eq!(neighbours.look(now + 12.9, sight()), Finding::Same);
    assert_eq!(neighbours.look(now + 13.0, sight()), Finding::Quiet);

    assert!(!neighbours.is_free());
}
