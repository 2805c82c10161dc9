//! When a window swings, by how much, and what is concluded from it.

use super::*;

/// Periods in which so many attempts are sent and throttled in the high part, and in the low one.
fn swung(periods: u32, high: (u32, u32), low: (u32, u32)) -> (Swing, f64) {
    let mut swing = Swing::new(Duration::ZERO);
    swing.look(0.0, &Sight::of_tests());
    let mut now = 0.0;
    for _ in 0..periods {
        for (at, (attempts, throttled)) in [(0.25, high), (0.75, low)] {
            (0..attempts).for_each(|number| swing.count(now + at, number < throttled));
        }
        now += 1.0;
        swing.look(now, &Sight::of_tests());
    }
    (swing, now)
}

#[test]
fn throttles_that_keep_the_beat_are_one_s_own() {
    let (swing, now) = swung(8, (14, 6), (6, 0));

    assert!(swing.is_ours(now) && !swing.is_by_others(now));
    assert!((swing.tolerated(Kind::Rate, 0.05) - 0.05).abs() < 1e-9);
}

#[test]
fn throttles_that_have_ceased_are_no_doubt_any_more() {
    let (mut swing, now) = swung(5, (40, 0), (20, 0));
    assert!(
        swing.next_part(now).is_infinite(),
        "though the last ten seconds had many"
    );

    swing.look(now + CALM_FOR, &Sight::of_tests());

    assert!(swing.next_part(now + CALM_FOR).is_finite());
}

#[test]
fn throttles_that_know_of_no_beat_are_others() {
    let (swing, now) = swung(8, (14, 6), (6, 3));

    assert!(swing.is_by_others(now) && !swing.is_ours(now));
}

#[test]
fn a_single_low_part_is_never_enough() {
    let heard_after = (1..12).find(|periods| {
        let (swing, now) = swung(*periods, (140, 60), (60, 26));
        swing.is_by_others(now)
    });

    assert_eq!(heard_after, Some(4), "though the first one speaks volumes");
}

#[test]
fn the_more_often_they_were_one_s_own_the_surer_it_has_to_be() {
    let heard_after = |ours_times| {
        (4..40).find(|periods| {
            let (mut swing, now) = swung(*periods, (7, 3), (4, 1));
            (0..ours_times).for_each(|_| swing.ours.take(-1_000.0));
            swing.is_by_others(now)
        })
    };

    assert!(heard_after(0) < heard_after(1) && heard_after(0).is_some());
}

#[test]
fn what_was_one_s_own_long_ago_is_forgotten() {
    let mut swing = swung(8, (14, 6), (6, 0)).0;
    assert!(swing.ours.weight() > 0.0);

    let calm = Sight {
        throttled_share: 0.0,
        ..Sight::of_tests()
    };
    swing.look(700.0, &calm);
    swing.look(701.0, &Sight::of_tests());

    assert!(swing.ours.weight() < 0.1);
}

#[test]
fn in_doubt_a_sender_keeps_to_what_passes_for_it_whatever_its_window_has_become() {
    let (swing, now) = swung(2, (0, 0), (0, 0));

    for sunken in [0.01, 0.5] {
        let (high, low) = (swing.size(now + 0.2, sunken), swing.size(now + 0.8, sunken));
        assert!((low - 0.6).abs() < 1e-9, "six a second of ten: {low}");
        assert!(high >= 1.4 - 1e-9, "{high}");
    }
    assert!((swing.size(now + 0.2, 6.0) - 10.2).abs() < 1e-9);
}

#[test]
fn who_knows_or_has_asked_for_long_swings_a_little_about_its_window() {
    let mut known = swung(8, (14, 6), (6, 0)).0;
    known.look(9.0, &Sight::of_tests());
    let asked = swung(22, (0, 0), (0, 0)).0;

    for (swing, now) in [(known, 9.0), (asked, 22.0)] {
        assert!((swing.size(now + 0.2, 0.5) - 0.6).abs() < 1e-9);
        assert!((swing.size(now + 0.8, 0.5) - 0.4).abs() < 1e-9);
    }
}

#[test]
fn another_doubt_knows_nothing_of_what_passed_in_the_one_before() {
    let passes = |delivered| Sight {
        delivered,
        delivered_lately: delivered,
        ..Sight::of_tests()
    };
    let calm = Sight {
        throttled_share: 0.0,
        ..passes(10.0)
    };
    let mut swing = Swing::new(Duration::ZERO);
    swing.look(0.0, &passes(100.0));
    swing.look(1.6, &passes(100.0));
    swing.look(2.0, &calm);

    for at in [70.0, 71.6] {
        swing.look(at, &passes(10.0));
    }

    assert!((swing.size(71.8, 1.0) - 0.6).abs() < 1e-9);
}

#[test]
fn who_is_starved_does_not_swing() {
    let (mut swing, now) = swung(4, (0, 0), (0, 0));
    let starved = Sight {
        kind: Kind::Concurrency,
        throttled_share: 0.8,
        delivered: 1.0,
        ..Sight::of_tests()
    };

    swing.look(now, &starved);

    let (high, low) = (swing.size(now + 0.2, 0.5), swing.size(now + 0.8, 0.5));
    assert!((high - low).abs() < 1e-9, "{high} and {low}");
}

#[test]
fn the_next_part_is_named_to_whoever_waits_for_it() {
    let (swing, now) = swung(1, (0, 0), (0, 0));

    assert!((swing.next_part(now + 0.1) - now - 0.4).abs() < 1e-3);
    assert!((swing.next_part(now + 0.5) - now - 1.0).abs() < 1e-3);
}

#[test]
fn it_is_eager_while_it_asks_and_not_once_it_knows() {
    let asking = swung(1, (0, 0), (0, 0)).0;
    let knowing = swung(8, (14, 6), (6, 0)).0;

    assert!(asking.tolerated(Kind::Rate, 0.05) > 0.2);
    assert!((knowing.tolerated(Kind::Rate, 0.05) - 0.05).abs() < 1e-9);
}

#[test]
fn without_a_doubt_nothing_swings() {
    let mut swing = swung(3, (14, 4), (6, 2)).0;

    let calm = Sight {
        throttled_share: 0.07,
        ..Sight::of_tests()
    };
    swing.look(4.0, &calm);

    assert!((swing.size(4.2, 0.5) - 0.5).abs() < 1e-9);
    assert!(swing.next_part(4.0).is_infinite());
}

#[test]
fn who_knows_keeps_the_beat_for_a_while_and_no_longer() {
    let (mut swing, now) = swung(8, (14, 6), (6, 0));
    assert!(swing.next_part(now).is_finite());

    swing.look(20.5, &Sight::of_tests());

    assert!(swing.is_ours(20.5) && swing.next_part(20.5).is_infinite());
}

#[test]
fn what_is_sent_without_a_swing_says_nothing_of_the_beat() {
    let mut swing = swung(8, (14, 6), (6, 0)).0;
    swing.look(21.0, &Sight::of_tests());

    for second in 21..36 {
        for at in [0.25, 0.75] {
            (0..14).for_each(|number| swing.count(f64::from(second) + at, number < 3));
        }
    }
    swing.look(40.0, &Sight::of_tests());

    assert!(!swing.is_ours(40.0) && !swing.is_by_others(40.0));
}

#[test]
fn what_a_high_part_left_in_flight_is_not_held_against_the_low_one() {
    let heard = |into: f64| {
        let mut swing = Swing::new(Duration::ZERO);
        let slower = Sight {
            service: 0.2,
            ..Sight::of_tests()
        };
        swing.look(0.0, &slower);
        for second in 2..8 {
            (0..14).for_each(|number| swing.count(f64::from(second) + 0.25, number < 6));
            (0..6).for_each(|number| swing.count(f64::from(second) + into, number < 3));
        }
        swing.is_by_others(8.0)
    };

    assert!(!heard(0.6) && heard(0.7), "0.26 s after it began it counts");
}

#[test]
fn the_slower_attempts_are_the_longer_it_listens() {
    let mut swing = Swing::new(Duration::ZERO);
    let slow = Sight {
        service: 1.0,
        ..Sight::of_tests()
    };
    swing.look(0.0, &slow);
    assert!((swing.next_part(0.1) - 1.6).abs() < 1e-3);

    let too_slow = Sight {
        service: 3.0,
        ..slow
    };
    swing.look(1.0, &too_slow);

    assert!(swing.next_part(1.0).is_infinite() && !swing.is_by_others(60.0));
}

#[test]
fn a_pause_forgets_what_was_counted() {
    let (mut swing, now) = swung(8, (14, 6), (6, 3));

    swing.pause();
    swing.look(now + 0.1, &Sight::of_tests());

    assert!(!swing.is_by_others(now + 10.0));
}
