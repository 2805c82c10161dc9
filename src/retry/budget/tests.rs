//! The bound on failing retries, whatever happens in whatever order.

use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock;

const PARAMS: Params = Params {
    capacity_milli: 500_000,
    ratio_milli: 200,
    per_second_milli: 1_000,
    cost: Cost {
        throttled_milli: 1_000,
        suspected_milli: 1_000,
        other_milli: 3_000,
    },
};

/// A bucket from which everything was taken.
fn empty(params: Params, now: Instant) -> Budget {
    let mut budget = Budget::new(params, now);
    assert!(budget.try_spend(now, params.capacity_milli));
    budget
}

#[test]
fn a_full_bucket_pays_for_exactly_its_capacity() {
    let now = clock::now();
    let mut budget = Budget::new(PARAMS, now);

    let paid = (0..1_000).filter(|_| budget.try_spend(now, 1_000)).count();

    assert_eq!(paid, 500);
    assert!(!budget.can_pay(now, 1));
}

#[test]
fn asking_whether_it_could_pay_spends_nothing() {
    let now = clock::now();
    let mut budget = Budget::new(PARAMS, now);

    assert!(budget.can_pay(now, 500_000));
    assert!(!budget.can_pay(now, 500_001));
    assert_eq!(budget.level_milli(now), 500_000);
}

#[test]
fn a_refused_payment_takes_nothing() {
    let now = clock::now();
    let mut budget = empty(PARAMS, now);
    budget.refund(999);

    assert!(!budget.try_spend(now, 1_000));
    assert_eq!(budget.level_milli(now), 999);
}

#[test]
fn five_requests_earn_one_throttled_retry_at_a_fifth() {
    let now = clock::now();
    let mut budget = empty(PARAMS, now);

    for _ in 0..4 {
        budget.earn(now);
    }
    assert!(!budget.can_pay(now, 1_000));
    budget.earn(now);
    assert!(budget.try_spend(now, 1_000));
    assert_eq!(budget.level_milli(now), 0);
}

#[test]
fn time_earns_to_the_nanosecond() {
    let start = clock::now();
    let mut budget = empty(PARAMS, start);

    assert!(!budget.can_pay(start + Duration::from_nanos(999_999_999), 1_000));
    assert!(budget.try_spend(start + Duration::from_secs(1), 1_000));
    assert_eq!(budget.level_milli(start + Duration::from_secs(1)), 0);
}

#[test]
fn fractions_of_a_thousandth_add_up_over_many_small_steps() {
    let slow = Params {
        per_second_milli: 7,
        ..PARAMS
    };
    let start = clock::now();
    let mut budget = empty(slow, start);
    let step = Duration::from_nanos(1_234_567);

    let mut now = start;
    for _ in 0..100_000 {
        now += step;
        budget.level_milli(now);
    }

    let exact = 7 * (step * 100_000).as_nanos() / 1_000_000_000;
    assert_eq!(u128::from(budget.level_milli(now)), exact);
}

#[test]
fn a_clock_that_goes_back_earns_nothing_twice_and_loses_nothing() {
    let start = clock::now();
    let mut budget = empty(PARAMS, start);

    for _ in 0..3 {
        assert_eq!(budget.level_milli(start + Duration::from_secs(10)), 10_000);
        assert_eq!(budget.level_milli(start + Duration::from_secs(4)), 10_000);
    }
    assert_eq!(budget.level_milli(start + Duration::from_secs(11)), 11_000);
}

#[test]
fn centuries_at_an_absurd_rate_only_fill_it() {
    let greedy = Params {
        per_second_milli: u64::MAX,
        ratio_milli: u64::MAX,
        ..PARAMS
    };
    let start = clock::now();
    let mut budget = empty(greedy, start);
    let century = Duration::from_secs(100 * 365 * 24 * 3_600);

    assert_eq!(budget.level_milli(start + century), 500_000);
    budget.earn(start + century);
    budget.refund(u64::MAX);
    assert_eq!(budget.level_milli(start + century), 500_000);
}

#[test]
fn a_reload_does_not_fill_the_bucket() {
    let now = clock::now();
    let mut budget = empty(PARAMS, now);
    budget.refund(3_000);

    budget.set_params(
        Params {
            capacity_milli: 900_000,
            ..PARAMS
        },
        now,
    );
    assert_eq!(budget.level_milli(now), 3_000);
    budget.set_params(
        Params {
            capacity_milli: 2_000,
            ..PARAMS
        },
        now,
    );
    assert_eq!(budget.level_milli(now), 2_000);
}

#[test]
fn each_class_has_its_price() {
    assert_eq!(PARAMS.cost.of(Class::Throttled), 1_000);
    let priced = Cost {
        throttled_milli: 1,
        suspected_milli: 2,
        other_milli: 3,
    };
    let prices = [
        Class::Throttled,
        Class::Suspected,
        Class::Overloaded,
        Class::Unsent,
        Class::Broken,
    ]
    .map(|class| priced.of(class));
    assert_eq!(prices, [1, 2, 3, 3, 3]);
}

#[test]
fn threads_that_race_get_exactly_what_is_there() {
    let now = clock::now();
    let budget = Mutex::new(Budget::new(PARAMS, now));

    let paid: usize = std::thread::scope(|scope| {
        let spend = || {
            (0..200)
                .filter(|_| budget.lock().unwrap().try_spend(now, 1_000))
                .count()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(spend)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });

    assert_eq!(paid, 500);
}

#[derive(Clone, Debug)]
enum Step {
    Forward(Duration),
    Back(Duration),
    Earn,
    Spend(u64),
    /// One of the payments that are still open succeeded.
    RefundOwn(prop::sample::Index),
}

fn any_step() -> impl Strategy<Value = Step> {
    let nanos = prop_oneof![0u64..10, 0u64..2_000_000_000, 0u64..100_000_000_000];
    prop_oneof![
        nanos.prop_map(|nanos| Step::Forward(Duration::from_nanos(nanos))),
        (0u64..1_000_000_000).prop_map(|nanos| Step::Back(Duration::from_nanos(nanos))),
        Just(Step::Earn),
        (0u64..5_000).prop_map(Step::Spend),
        (0u64..5_000).prop_map(Step::Spend),
        any::<prop::sample::Index>().prop_map(Step::RefundOwn),
    ]
}

proptest! {
    #[test]
    fn what_stays_spent_never_exceeds_what_was_given(
        capacity_milli in 0u64..20_000, ratio_milli in 0u64..2_000, per_second_milli in 0u64..5_000,
        steps in prop::collection::vec(any_step(), 1..200),
    ) {
        let params = Params { capacity_milli, ratio_milli, per_second_milli, ..PARAMS };
        // Room below the start, so that steps back never leave the range of an instant.
        let start = clock::now() + Duration::from_secs(3_600);
        let mut budget = Budget::new(params, start);
        let (mut now, mut latest) = (start, start);
        let (mut open, mut requests) = (Vec::new(), 0u64);

        for step in steps {
            match step {
                Step::Forward(by) => now += by,
                Step::Back(by) => now -= by,
                Step::Earn => { budget.earn(now); requests += 1; }
                Step::Spend(cost) => if budget.try_spend(now, cost) { open.push(cost); },
                Step::RefundOwn(index) => if !open.is_empty() {
                    budget.refund(open.swap_remove(index.index(open.len())));
                },
            }
            latest = latest.max(now);
            prop_assert!(budget.level_milli(now) <= capacity_milli);

            let spent_nano = u128::from(open.iter().sum::<u64>()) * NANOS_PER_SECOND;
            let given_nano = u128::from(capacity_milli + ratio_milli * requests) * NANOS_PER_SECOND
                + u128::from(per_second_milli) * (latest - start).as_nanos();
            prop_assert!(spent_nano <= given_nano, "{spent_nano} of {given_nano}");
        }
    }

    #[test]
    fn how_often_it_is_asked_changes_nothing(
        per_second_milli in 0u64..1_000_000, cuts in prop::collection::vec(0u64..3_000_000_000, 1..50),
    ) {
        let params = Params { capacity_milli: u64::MAX / 2, per_second_milli, ..PARAMS };
        let start = clock::now();
        let (mut asked_often, mut asked_once) = (empty(params, start), empty(params, start));

        let mut now = start;
        for nanos in cuts {
            now += Duration::from_nanos(nanos);
            asked_often.level_milli(now);
        }

        prop_assert_eq!(asked_often.level_milli(now), asked_once.level_milli(now));
    }
}
