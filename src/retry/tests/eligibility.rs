//! Which requests may be sent again after which outcomes.

use super::*;

#[track_caller]
fn check_retried(policy: Policy, subject: Subject, outcome: Classified) {
    let verdict = first(policy, subject, &outcome, FAIR);
    assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
}

#[track_caller]
fn check(policy: Policy, subject: Subject, outcome: Classified, expected: Verdict) {
    assert_eq!(first(policy, subject, &outcome, FAIR), expected);
}

#[test]
fn good_and_final_outcomes_are_delivered() {
    for class in [Class::Ok, Class::Permanent, Class::Cancelled] {
        check(policy(), get(), outcome(class, Ran::No), Verdict::Deliver);
    }
}

#[test]
fn a_used_up_quota_stops_even_what_could_be_sent_again() {
    check(
        policy(),
        get(),
        outcome(Class::Quota, Ran::No),
        Verdict::Stop(Reason::Quota),
    );
}

#[test]
fn a_class_that_the_policy_does_not_name_is_delivered() {
    check(
        policy(),
        get(),
        outcome(Class::Timeout, Ran::Maybe),
        Verdict::Deliver,
    );
    let mut patient = policy();
    patient.on.timeout = true;
    check_retried(patient, get(), outcome(Class::Timeout, Ran::Maybe));
}

#[test]
fn idempotent_methods_are_sent_again_although_the_function_may_have_run() {
    for method in [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::TRACE,
        Method::PUT,
        Method::DELETE,
    ] {
        let subject = Subject { method, ..get() };
        check_retried(
            policy(),
            subject.clone(),
            outcome(Class::Suspected, Ran::Maybe),
        );
        let never = Policy {
            unsafe_methods: UnsafeMethods::Never,
            ..policy()
        };
        check_retried(never, subject, outcome(Class::Broken, Ran::Yes));
    }
}

#[test]
fn other_methods_are_sent_again_only_when_the_function_provably_did_not_run() {
    let unknown = Method::from_bytes(b"QUERY").unwrap();
    for method in [Method::POST, Method::PATCH, Method::CONNECT, unknown] {
        let subject = Subject { method, ..get() };
        check_retried(
            policy(),
            subject.clone(),
            outcome(Class::Suspected, Ran::No),
        );
        for ran in [Ran::Maybe, Ran::Yes] {
            let unsafe_ = Verdict::Stop(Reason::Unsafe);
            check(
                policy(),
                subject.clone(),
                outcome(Class::Suspected, ran),
                unsafe_,
            );
        }
    }
}

#[test]
fn never_keeps_even_a_proven_post_back_and_always_lets_any_go() {
    let never = Policy {
        unsafe_methods: UnsafeMethods::Never,
        ..policy()
    };
    let always = Policy {
        unsafe_methods: UnsafeMethods::Always,
        ..policy()
    };

    check(never, post(), throttled(), Verdict::Stop(Reason::Unsafe));
    check_retried(always, post(), outcome(Class::Broken, Ran::Yes));
}

#[test]
fn an_idempotency_key_makes_any_method_harmless() {
    let keyed = Subject {
        idempotency_key: true,
        ..post()
    };
    let never = Policy {
        unsafe_methods: UnsafeMethods::Never,
        ..policy()
    };

    check_retried(
        policy(),
        keyed.clone(),
        outcome(Class::Suspected, Ran::Maybe),
    );
    check_retried(never, keyed, outcome(Class::Suspected, Ran::Maybe));
}

#[test]
fn an_upgrade_is_sent_again_only_when_turned_away_or_never_sent() {
    let upgrade = Subject {
        upgrade: true,
        ..get()
    };

    check_retried(policy(), upgrade.clone(), throttled());
    check_retried(policy(), upgrade.clone(), outcome(Class::Unsent, Ran::No));
    for class in [Class::Suspected, Class::Overloaded, Class::Broken] {
        let stop = Verdict::Stop(Reason::Upgrade);
        check(policy(), upgrade.clone(), outcome(class, Ran::Maybe), stop);
    }
}

#[track_caller]
fn check_keeps_body(expected: bool, policy: Policy, subject: Subject) {
    assert_eq!(session(policy, subject).0.keeps_body(), expected);
}

#[test]
fn a_body_is_kept_only_if_some_outcome_could_send_it_again() {
    let never = Policy {
        unsafe_methods: UnsafeMethods::Never,
        ..policy()
    };
    check_keeps_body(true, policy(), post());
    check_keeps_body(
        true,
        never.clone(),
        Subject {
            method: Method::PUT,
            ..get()
        },
    );
    check_keeps_body(
        true,
        never.clone(),
        Subject {
            idempotency_key: true,
            ..post()
        },
    );
    check_keeps_body(false, never, post());
    check_keeps_body(
        false,
        Policy {
            dry_run: true,
            ..policy()
        },
        get(),
    );
    check_keeps_body(
        false,
        policy(),
        Subject {
            callers_max: Some(count(10)),
            ..post()
        },
    );

    let mut single = policy();
    single.max_attempts = MaxAttempts {
        throttled: count(1),
        suspected: count(1),
        other: count(1),
    };
    check_keeps_body(false, single.clone(), get());
    single.max_attempts.other = count(2);
    check_keeps_body(true, single.clone(), get());
    single.on = Retriable {
        unsent: false,
        broken: false,
        overloaded: false,
        ..single.on
    };
    check_keeps_body(false, single, get());

    let mut deaf = policy();
    deaf.on = Retriable {
        throttled: false,
        unsent: false,
        ..deaf.on
    };
    check_keeps_body(true, deaf.clone(), get());
    check_keeps_body(
        false,
        deaf.clone(),
        Subject {
            upgrade: true,
            ..get()
        },
    );
    deaf.on = Retriable {
        suspected: false,
        overloaded: false,
        broken: false,
        ..deaf.on
    };
    check_keeps_body(false, deaf, get());
}
