//! Which limit refuses, in which order, and what that costs.

use super::*;

fn door(params: Params) -> (Door, Instant) {
    let now = clock::now();
    (Door::new(&params, now), now)
}

#[test]
fn a_throttle_by_concurrency_leaves_the_token_spent() {
    let (mut door, now) = door(Params {
        rate: Some(1),
        burst: Some(2),
        concurrency: Some(0),
        ..Params::default()
    });

    for _ in 0..2 {
        assert_eq!(door.enter(now), Ok(()));
        assert_eq!(door.invoke(now), Err(Refusal::Concurrency));
    }

    assert_eq!(door.enter(now), Err(Refusal::Rate));
}

#[test]
fn the_quota_is_asked_before_the_rate_and_is_spent_by_throttled_requests() {
    let (mut door, now) = door(Params {
        rate: Some(0),
        quota: Some(2),
        ..Params::default()
    });

    let refusals = [(); 3].map(|()| door.enter(now));

    assert_eq!(
        refusals,
        [Err(Refusal::Rate), Err(Refusal::Rate), Err(Refusal::Quota)]
    );
}

#[test]
fn a_place_is_taken_for_exactly_the_service_time() {
    let service_time = Duration::from_millis(20);
    let (mut door, now) = door(Params {
        concurrency: Some(1),
        service_time,
        ..Params::default()
    });

    assert_eq!(door.invoke(now), Ok(now + service_time));
    let just_before = now + service_time - Duration::from_nanos(1);
    assert_eq!(door.invoke(just_before), Err(Refusal::Concurrency));
    assert_eq!(door.seen(just_before).in_flight, 1);
    assert_eq!(door.seen(now + service_time).served, 1);
    assert!(door.invoke(now + service_time).is_ok());
    assert_eq!(door.seen(now + service_time).most_in_flight, 1);
}

#[test]
fn a_service_time_of_zero_never_throttles_by_concurrency() {
    let (mut door, now) = door(Params {
        concurrency: Some(1),
        service_time: Duration::ZERO,
        ..Params::default()
    });

    for _ in 0..100 {
        assert_eq!(door.invoke(now), Ok(now));
    }
    assert_eq!(door.seen(now).served, 100);
}

#[test]
fn executions_have_a_limit_where_none_is_set() {
    let (mut door, now) = door(Params::default());

    for _ in 0..EXECUTIONS_MAX {
        assert!(door.invoke(now).is_ok());
    }
    assert_eq!(door.invoke(now), Err(Refusal::Concurrency));
}
