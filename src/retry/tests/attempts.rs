//! How many attempts a request has.

use super::*;

/// How many attempts a request has when all end alike, and what the last verdict is.
fn attempts(policy: Policy, subject: Subject, outcome: &Classified) -> (u32, Verdict) {
    let (mut session, now) = session(policy, subject);
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..100 {
        let verdict = session.on_outcome(now, outcome, None, FAIR, &mut rng);
        if !matches!(verdict, Verdict::Retry { .. }) {
            return (session.attempts_made(), verdict);
        }
    }
    panic!("a hundred attempts and no end");
}

#[test]
fn every_class_has_its_own_number_of_attempts() {
    let stop = Verdict::Stop(Reason::Attempts);
    for (class, number) in [
        (Class::Throttled, 10),
        (Class::Suspected, 4),
        (Class::Overloaded, 3),
        (Class::Broken, 3),
    ] {
        assert_eq!(
            attempts(policy(), get(), &outcome(class, Ran::No)),
            (number, stop)
        );
    }
}

#[test]
fn classes_are_counted_apart_and_all_together() {
    let (mut session, now) = session(policy(), get());
    let mut rng = fastrand::Rng::with_seed(1);
    let mut ask = |class| session.on_outcome(now, &outcome(class, Ran::No), None, FAIR, &mut rng);

    let mixed = [
        Class::Broken,
        Class::Unsent,
        Class::Suspected,
        Class::Suspected,
        Class::Suspected,
    ];
    for class in mixed.into_iter().chain([Class::Throttled; 4]) {
        assert!(
            matches!(ask(class), Verdict::Retry { .. }),
            "{class:?} has attempts left"
        );
    }

    assert_eq!(
        ask(Class::Throttled),
        Verdict::Stop(Reason::Attempts),
        "the tenth of all is the last"
    );
}

#[test]
fn the_third_outcome_of_the_rest_is_its_last_whatever_came_between() {
    let (mut session, now) = session(policy(), get());
    let mut rng = fastrand::Rng::with_seed(1);
    let mut ask = |class| session.on_outcome(now, &outcome(class, Ran::No), None, FAIR, &mut rng);

    for class in [
        Class::Broken,
        Class::Throttled,
        Class::Unsent,
        Class::Throttled,
    ] {
        assert!(matches!(ask(class), Verdict::Retry { .. }));
    }

    assert_eq!(ask(Class::Overloaded), Verdict::Stop(Reason::Attempts));
}

#[test]
fn a_caller_that_retries_gets_its_share_of_the_attempts() {
    let stop = Verdict::Stop(Reason::CallerRetries);
    for (callers_max, ours) in [(2, 5), (3, 3), (10, 1), (1_000, 1)] {
        let subject = Subject {
            callers_max: Some(count(callers_max)),
            ..get()
        };
        assert_eq!(
            attempts(policy(), subject, &throttled()),
            (ours, stop),
            "max={callers_max}"
        );
    }
    let once = Subject {
        callers_max: Some(count(1)),
        ..get()
    };
    assert_eq!(
        attempts(policy(), once, &throttled()),
        (10, Verdict::Stop(Reason::Attempts))
    );
}

#[test]
fn a_limit_that_the_policy_alone_would_have_reached_is_not_blamed_on_the_caller() {
    let mut single = policy();
    single.max_attempts = MaxAttempts {
        throttled: count(1),
        suspected: count(1),
        other: count(1),
    };
    let subject = Subject {
        callers_max: Some(count(3)),
        ..get()
    };

    assert_eq!(
        first(single, subject, &throttled(), FAIR),
        Verdict::Stop(Reason::Attempts)
    );
}
