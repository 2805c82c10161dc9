//! How long a request waits before it is sent again.

use super::*;

/// The verdict about a throttled first attempt with so much time left and such a hint.
fn with_hint(left: Duration, wish: Duration, seed: u64) -> Verdict {
    let now = clock::now();
    let mut session = Session::new(Arc::new(policy()), get(), now + left);
    let rng = &mut fastrand::Rng::with_seed(seed);
    session.on_outcome(now, &throttled(), Some(&hint(wish)), FAIR, rng)
}

#[test]
fn a_throttled_answer_waits_as_long_as_the_server_asked_and_little_longer() {
    let mut waits = std::collections::HashSet::new();
    for seed in 0..100 {
        let Verdict::Retry { after } = with_hint(HOUR, Duration::from_secs(10), seed) else {
            panic!("an hour is enough");
        };
        assert!(
            after >= Duration::from_secs(10) && after < Duration::from_secs(11),
            "{after:?}"
        );
        waits.insert(after);
    }
    assert_eq!(
        waits.len(),
        100,
        "those that were told the same second come back apart"
    );
}

#[test]
fn a_hint_that_reaches_the_deadline_stops_at_once() {
    let stop = Verdict::Stop(Reason::HintTooLong);

    assert_eq!(
        with_hint(Duration::from_secs(10), Duration::from_secs(10), 1),
        stop
    );
    assert_eq!(with_hint(Duration::from_secs(10), Duration::MAX, 1), stop);
}

#[test]
fn a_hint_that_just_fits_is_not_stretched_past_the_deadline() {
    for seed in 0..100 {
        let left = Duration::from_millis(10_010);
        let Verdict::Retry { after } = with_hint(left, Duration::from_secs(10), seed) else {
            panic!("ten milliseconds are left");
        };
        assert!(after < left);
    }
}

#[test]
fn a_backoff_past_the_deadline_stops_and_is_never_cut() {
    let left = Duration::from_millis(500);
    let mut retried = 0;
    for seed in 0..1_000 {
        match with_hint(left, Duration::ZERO, seed) {
            Verdict::Retry { after } if after < left => retried += 1,
            Verdict::Stop(Reason::Deadline) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(
        (400..600).contains(&retried),
        "half of the draws below a second fit, {retried} did"
    );
}

#[test]
fn waits_grow_with_every_attempt_whatever_its_class() {
    let longest = |before: &[Class]| {
        let waits = (0..200).map(|seed| {
            let (mut session, now) = session(policy(), get());
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut ask =
                |class| session.on_outcome(now, &outcome(class, Ran::No), None, FAIR, &mut rng);
            for class in before {
                ask(*class);
            }
            match ask(Class::Throttled) {
                Verdict::Retry { after } => after,
                other => panic!("{other:?}"),
            }
        });
        waits.max().unwrap()
    };

    let seconds = [
        longest(&[]),
        longest(&[Class::Broken]),
        longest(&[Class::Throttled, Class::Suspected]),
        longest(&[Class::Throttled; 8]),
    ]
    .map(|wait| wait.as_secs_f64().ceil());

    assert_eq!(seconds, [1.0, 2.0, 4.0, 20.0]);
}

#[test]
fn nothing_is_retried_at_or_after_the_deadline() {
    let now = clock::now() + HOUR;
    for late in [Duration::ZERO, Duration::from_secs(1)] {
        let mut session = Session::new(Arc::new(policy()), get(), now - late);
        let rng = &mut fastrand::Rng::with_seed(1);
        let verdict = session.on_outcome(now, &throttled(), Some(&hint(HOUR)), FAIR, rng);
        assert_eq!(verdict, Verdict::Stop(Reason::Deadline));
    }
}

/// The verdict about a first attempt of this class when the pace lets it rest so long.
fn with_rest(class: Class, rest: Duration, wish: Option<Hint>) -> Verdict {
    let (mut session, now) = session(policy(), get());
    let around = Circumstances {
        rest: Some(rest),
        ..FAIR
    };
    let rng = &mut fastrand::Rng::with_seed(1);
    session.on_outcome(now, &outcome(class, Ran::No), wish.as_ref(), around, rng)
}

#[test]
fn where_the_pace_is_learned_a_throttle_rests_as_it_says_and_not_by_the_backoff() {
    let rest = Duration::from_micros(1);
    for class in [Class::Throttled, Class::Suspected, Class::Overloaded] {
        assert_eq!(with_rest(class, rest, None), Verdict::Retry { after: rest });
    }
    assert!(matches!(
        with_rest(Class::Broken, rest, None),
        Verdict::Retry { after } if after > rest
    ));
}

#[test]
fn a_hint_is_a_floor_under_the_pace_s_rest_too() {
    let wish = Some(hint(Duration::from_secs(10)));

    let Verdict::Retry { after } = with_rest(Class::Throttled, Duration::ZERO, wish) else {
        panic!("there is an hour");
    };

    assert!(after >= Duration::from_secs(10));
}
