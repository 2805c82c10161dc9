//! One request's session: who may be sent again, how often, when; and why not.

use http::HeaderName;
use proptest::prelude::*;

use super::backoff::Backoff;
use super::classify::{Integration, Kind, Proof, Rules, Scope};
use super::hint::Source;
use super::*;
use crate::clock;

mod attempts;
mod eligibility;
mod waits;

fn count(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// The product's defaults; the one policy that this crate's unit tests start from.
pub(crate) fn policy() -> Policy {
    Policy {
        on: Retriable {
            throttled: true,
            suspected: true,
            overloaded: true,
            unsent: true,
            broken: true,
            timeout: false,
        },
        max_attempts: MaxAttempts {
            throttled: count(10),
            suspected: count(4),
            other: count(3),
        },
        unsafe_methods: UnsafeMethods::Proven,
        idempotency_key: IdempotencyKey::Keep,
        backoff: Backoff {
            throttle_base: Duration::from_secs(1),
            base: Duration::from_millis(50),
            max: Duration::from_secs(20),
        },
        futility: true,
        add_retry_after: true,
        dry_run: false,
        rules: Rules {
            custom: Vec::new(),
            marker_header: HeaderName::from_static("x-gw-error"),
            proof: Proof::Usual,
            integration: Integration::Any,
        },
    }
}

fn get() -> Subject {
    Subject {
        method: Method::GET,
        idempotency_key: false,
        upgrade: false,
        callers_max: None,
    }
}

fn post() -> Subject {
    Subject {
        method: Method::POST,
        ..get()
    }
}

fn outcome(class: Class, ran: Ran) -> Classified {
    Classified {
        class,
        ran,
        kind: Kind::Unknown,
        scope: Scope::Unknown,
        because: "a test says so",
    }
}

fn throttled() -> Classified {
    outcome(Class::Throttled, Ran::No)
}

/// Nothing around the request is in the way.
const FAIR: Circumstances = Circumstances {
    body: Ok(()),
    futile: false,
    affordable: true,
    draining: false,
    rest: None,
};

const HOUR: Duration = Duration::from_secs(3_600);

fn hint(wait: Duration) -> Hint {
    Hint {
        wait,
        source: Source::RetryAfterSeconds,
    }
}

/// A session with an hour to go, and the moment that it is.
fn session(policy: Policy, subject: Subject) -> (Session, Instant) {
    let now = clock::now();
    (Session::new(Arc::new(policy), subject, now + HOUR), now)
}

/// The verdict about the first attempt.
fn first(policy: Policy, subject: Subject, outcome: &Classified, around: Circumstances) -> Verdict {
    let (mut session, now) = session(policy, subject);
    session.on_outcome(now, outcome, None, around, &mut fastrand::Rng::with_seed(1))
}

#[test]
fn of_several_obstacles_the_most_telling_is_the_reason() {
    // All obstacles at once, taken away one after the other.
    let mut policy = Policy {
        dry_run: true,
        ..policy()
    };
    policy.max_attempts.throttled = count(2);
    policy.max_attempts.suspected = count(1);
    policy.max_attempts.other = count(1);
    let mut subject = Subject {
        upgrade: true,
        callers_max: Some(count(2)),
        ..post()
    };
    let mut around = Circumstances {
        body: Err(Reason::Memory),
        futile: true,
        affordable: false,
        draining: true,
        rest: None,
    };
    let mut wish = Some(hint(HOUR));
    let mut left = Duration::from_nanos(1);
    let mut seen = Vec::new();
    for _ in 0..12 {
        let now = clock::now();
        let mut session = Session::new(Arc::new(policy.clone()), subject.clone(), now + left);
        let rng = &mut fastrand::Rng::with_seed(1);
        let verdict = session.on_outcome(
            now,
            &outcome(Class::Suspected, Ran::Maybe),
            wish.as_ref(),
            around,
            rng,
        );
        let Verdict::Stop(reason) = verdict else {
            break;
        };
        seen.push(reason);
        match reason {
            Reason::Unsafe => subject.method = Method::GET,
            Reason::Upgrade => subject.upgrade = false,
            Reason::Attempts => policy.max_attempts.suspected = count(2),
            Reason::CallerRetries => subject.callers_max = None,
            Reason::Memory => around.body = Ok(()),
            Reason::Futile => around.futile = false,
            Reason::HintTooLong => wish = None,
            Reason::Deadline => left = HOUR,
            Reason::Shutdown => around.draining = false,
            Reason::Budget => around.affordable = true,
            Reason::DryRun => policy.dry_run = false,
            other => panic!("{other} has no place here"),
        }
    }

    let words: Vec<&str> = seen.into_iter().map(Reason::as_str).collect();
    let order = "unsafe upgrade attempts caller_retries memory futile hint_too_long deadline shutdown budget dry_run";
    assert_eq!(words.join(" "), order);
}

#[test]
fn a_policy_without_the_futility_guard_does_not_hear_it() {
    let around = Circumstances {
        futile: true,
        ..FAIR
    };
    let unguarded = Policy {
        futility: false,
        ..policy()
    };

    assert_eq!(
        first(policy(), get(), &throttled(), around),
        Verdict::Stop(Reason::Futile)
    );
    assert!(matches!(
        first(unguarded, get(), &throttled(), around),
        Verdict::Retry { .. }
    ));
}

fn any_outcome() -> impl Strategy<Value = Classified> {
    let class = prop::sample::select(RETRIABLE.to_vec());
    let ran = prop::sample::select(vec![Ran::No, Ran::Maybe, Ran::Yes]);
    (class, ran).prop_map(|(class, ran)| outcome(class, ran))
}

proptest! {
    #[test]
    fn whatever_happens_retries_are_few_in_time_harmless_and_never_before_the_hint(
        steps in prop::collection::vec((any_outcome(), prop::option::of(0u64..40_000), 0u64..3_000), 1..40),
        is_post in any::<bool>(), callers_max in prop::option::of(1u32..12), seed in any::<u64>(),
    ) {
        let policy = policy();
        let callers_max = callers_max.map(count);
        let subject = Subject { callers_max, ..if is_post { post() } else { get() } };
        let mut now = clock::now();
        let deadline = now + Duration::from_secs(30);
        let mut session = Session::new(Arc::new(policy.clone()), subject, deadline);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut retries = 0;

        for (outcome, wish, took) in steps {
            now += Duration::from_millis(took);
            let wish = wish.map(|ms| hint(Duration::from_millis(ms)));
            let Verdict::Retry { after } = session.on_outcome(now, &outcome, wish.as_ref(), FAIR, &mut rng) else {
                break;
            };
            retries += 1;
            prop_assert!(now + after < deadline);
            prop_assert!(wish.is_none_or(|wish| after >= wish.wait));
            prop_assert!(!is_post || outcome.ran == Ran::No);
            prop_assert!(session.keeps_body(), "what is sent again had to be kept");
            now += after;
        }

        let limit = policy.max_attempts.largest().get() / callers_max.map_or(1, NonZeroU32::get);
        prop_assert!(retries < limit.max(1));
    }
}
