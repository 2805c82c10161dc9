//! Which seconds make first attempts go freely, and what ends that.

use super::*;

/// On its floor, with attempts that are slower than the beat, which says nothing then.
fn sight() -> Sight {
    Sight {
        throttled_share: 0.5,
        is_at_floor: true,
        demand: 100.0,
        service: 1.0,
        ..Sight::of_tests()
    }
}

/// A window that sinks with everything it lets pass.
fn freed_while_sinking() -> Neighbours {
    let mut neighbours = Neighbours::new(0.0);
    let seconds = [(19, 16), (11, 8), (7, 4), (3, 5), (2, 4), (2, 3)];
    let freed = (1..).zip(seconds).find(|(second, (passed, throttled))| {
        count(&mut neighbours, *passed, *throttled);
        neighbours.look(f64::from(*second), sight()) == Finding::Freed
    });
    assert_eq!(freed.map(|(second, _)| second), Some(5));
    neighbours.look(8.0, sight());
    neighbours
}

/// Four attempts a second while the window rules, of which half are throttled: after twelve seconds that is a reason.
fn freed() -> Neighbours {
    let mut neighbours = Neighbours::new(0.0);
    for second in 0..12 {
        assert_eq!(neighbours.look(f64::from(second), sight()), Finding::Same);
        count(&mut neighbours, 2, 2);
    }
    assert_eq!(neighbours.look(12.0, sight()), Finding::Freed);
    count(&mut neighbours, 0, 1_000);
    assert_eq!(neighbours.look(15.0, sight()), Finding::Same);
    neighbours
}

fn count(neighbours: &mut Neighbours, passed: u32, throttled: u32) {
    (0..passed).for_each(|_| neighbours.count(0.0, false));
    (0..throttled).for_each(|_| neighbours.count(0.0, true));
}

#[test]
fn a_window_that_keeps_nobody_waiting_or_does_not_rule_is_not_tested() {
    for (is_ruling, is_pressed) in [(true, false), (false, true)] {
        let mut neighbours = Neighbours::new(0.0);
        let sight = Sight {
            is_ruling,
            is_pressed,
            ..sight()
        };

        for second in 0..100 {
            count(&mut neighbours, 2, 2);
            assert_eq!(neighbours.look(f64::from(second), sight), Finding::Same);
        }
    }
}

#[test]
fn if_as_many_get_through_freely_it_is_unresponsive() {
    let mut neighbours = freed();
    assert!(neighbours.is_free() && !neighbours.is_unresponsive());

    count(&mut neighbours, 45, 55);
    assert_eq!(neighbours.look(18.0, sight()), Finding::Same);

    assert!(neighbours.is_unresponsive());
}

#[test]
fn what_its_own_retries_displace_is_not_held_against_it() {
    let mut neighbours = freed();

    count(&mut neighbours, 33, 67);
    neighbours.look(18.0, sight());

    assert!(neighbours.is_unresponsive());
}

#[test]
fn a_second_is_too_short_for_a_finding() {
    let mut neighbours = freed();

    count(&mut neighbours, 10, 90);

    assert_eq!(neighbours.look(16.0, sight()), Finding::Same);
    assert!(neighbours.is_free());
}

#[test]
fn if_several_times_as_many_get_through_it_pays_while_a_third_of_the_share_is_left() {
    let mut neighbours = freed_while_sinking();

    count(&mut neighbours, 35, 150);
    neighbours.look(11.0, sight());

    assert!(
        neighbours.is_unresponsive(),
        "twelve a second instead of four, and a fifth instead of a half"
    );
}

#[test]
fn what_polite_senders_make_room_for_proves_nothing() {
    let mut neighbours = freed_while_sinking();

    count(&mut neighbours, 35, 300);

    assert_eq!(neighbours.look(11.0, sight()), Finding::Ours);
}

#[test]
fn throttles_that_cease_while_it_goes_freely_were_those_of_polite_senders() {
    let mut neighbours = freed();

    count(&mut neighbours, 80, 20);

    assert_eq!(neighbours.look(18.0, sight()), Finding::Ours);
}

#[test]
fn what_the_beat_speaks_against_is_not_tested() {
    let mut neighbours = Neighbours::new(0.0);
    let quick = Sight {
        service: 0.1,
        ..sight()
    };
    for second in 0..20 {
        for (into, passed, throttled) in [(0.25, 2, 5), (0.75, 3, 0)] {
            let at = f64::from(second) + into;
            (0..passed).for_each(|_| neighbours.count(at, false));
            (0..throttled).for_each(|_| neighbours.count(at, true));
            assert_eq!(neighbours.look(at + 0.25, quick), Finding::Same, "{second}");
        }
    }
}

#[test]
fn throttles_that_know_of_no_beat_are_tested_within_seconds() {
    let mut neighbours = Neighbours::new(0.0);
    let quick = Sight {
        service: 0.1,
        is_at_floor: false,
        ..sight()
    };
    let freed = (0..20).find(|second| {
        [(0.25, 8, 4), (0.75, 4, 2)]
            .into_iter()
            .any(|(into, passed, throttled)| {
                let at = f64::from(*second) + into;
                (0..passed).for_each(|_| neighbours.count(at, false));
                (0..throttled).for_each(|_| neighbours.count(at, true));
                neighbours.look(at + 0.25, quick) == Finding::Freed
            })
    });

    assert!(
        freed.is_some_and(|second| (2..10).contains(&second)),
        "{freed:?}"
    );
}

/// Behind a concurrency limit one of so many attempts passes, whatever the beat: when it is tested.
fn throttled(one_passes_in: u32, service: f64) -> Option<f64> {
    let mut neighbours = Neighbours::new(0.0);
    let sight = Sight {
        kind: Kind::Concurrency,
        throttled_share: 0.5,
        tolerated: 0.4,
        usual: 0.2,
        is_at_floor: false,
        service,
        ..sight()
    };
    (0..40).find_map(|half| {
        let now = f64::from(half) / 2.0;
        let sent = if half % 2 == 1 { 7 } else { 3 };
        (0..sent)
            .for_each(|number| neighbours.count(now - 0.25, (number + 1) % one_passes_in != 0));
        (neighbours.look(now, sight) == Finding::Freed).then_some(now)
    })
}

#[test]
fn behind_a_concurrency_limit_half_that_is_throttled_is_tested_within_seconds() {
    let tested = throttled(2, 0.1).expect("tested");

    assert!((3.0..8.0).contains(&tested), "after {tested} s");
}

#[test]
fn who_cannot_follow_the_beat_does_not_wait_for_it_but_for_more_throttles() {
    assert!(throttled(2, 1.0).is_none());
    assert!(throttled(3, 1.0).is_some_and(|tested| tested < 8.0));
}

#[test]
fn a_sender_too_small_for_the_evidence_of_seconds_is_tested_once_it_is_starved() {
    let mut neighbours = Neighbours::new(0.0);
    let freed = (0..120).find(|second| {
        count(
            &mut neighbours,
            u32::from(second % 3 != 0),
            u32::from(second % 3 == 0),
        );
        neighbours.look(f64::from(*second), sight()) == Finding::Freed
    });

    assert!(
        freed.is_some_and(|second| (10..60).contains(&second)),
        "{freed:?}"
    );
}

#[test]
fn if_fewer_get_through_the_window_rules_again_and_the_next_test_waits() {
    let mut neighbours = freed();

    count(&mut neighbours, 10, 90);
    assert_eq!(neighbours.look(18.0, sight()), Finding::Ours);

    assert!(!neighbours.is_free());
    for second in 18..38 {
        assert_eq!(neighbours.look(f64::from(second), sight()), Finding::Same);
        count(&mut neighbours, 2, 2);
    }
    assert_eq!(neighbours.look(38.0, sight()), Finding::Freed);
}

#[test]
fn when_the_neighbours_leave_the_gate_may_open() {
    let mut neighbours = freed();
    count(&mut neighbours, 50, 50);
    neighbours.look(18.0, sight());

    count(&mut neighbours, 99, 1);
    assert_eq!(neighbours.look(27.9, sight()), Finding::Same);
    assert_eq!(neighbours.look(28.0, sight()), Finding::Quiet);

    assert!(!neighbours.is_free());
}
