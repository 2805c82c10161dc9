//! The door under paused time: turns, waits, their bounds, and what a leaving request gives back.

use http::{Method, StatusCode};
use prometheus::{IntGauge, Registry};

use super::*;
use crate::proxy::metrics::PaceFamilies;
use crate::retry::classify::{Class, Classified, Kind, Ran, Scope};
use crate::retry::futility::Cell;

const FIRST: bool = false;
const SECOND: Duration = Duration::from_secs(1);

fn params() -> Params {
    Params {
        mode: Mode::Adaptive,
        max_wait: 10 * SECOND,
        max_waiting: 10,
        patient: false,
        limit: None,
        max_in_flight: 1,
    }
}

fn door(params: Params) -> (Door, IntGauge) {
    let gauge = IntGauge::new("waiting", "waiting").unwrap();
    let families = PaceFamilies::register(&Registry::new()).unwrap();
    let crowd = Crowd::new(params.max_waiting, gauge.clone());
    let door = Door::new(params, crowd, families.of("default"), clock::now());
    (door, gauge)
}

fn asker(start_within: Duration, is_retry: bool) -> Waiter {
    let now = clock::now();
    Waiter {
        since: now,
        start_by: now + start_within,
        answer_by: None,
        is_retry,
    }
}

async fn admit(door: &Door, waiter: Waiter) -> Result<Permit, Refused> {
    match door.ask(clock::now(), waiter)? {
        Asked::Go(permit) => Ok(permit),
        Asked::Wait(waiting) => waiting.turn().await,
    }
}

fn first() -> Waiter {
    asker(30 * SECOND, FIRST)
}

fn waiting(door: &Door, waiter: Waiter) -> Waiting {
    match door.ask(clock::now(), waiter) {
        Ok(Asked::Wait(waiting)) => waiting,
        Ok(Asked::Go(_)) => panic!("it went"),
        Err(refused) => panic!("{refused:?}"),
    }
}

fn goes(door: &Door) -> Permit {
    match door.ask(clock::now(), first()) {
        Ok(Asked::Go(permit)) => permit,
        Ok(Asked::Wait(_)) => panic!("it waits"),
        Err(refused) => panic!("{refused:?}"),
    }
}

fn in_flight(door: &Door) -> usize {
    door.keeper.lock().controller.in_flight()
}

/// Tells what came of an attempt: a success, or a throttle.
fn tell(permit: &mut Permit, class: Class) {
    let outcome = Classified {
        class,
        ran: Ran::No,
        kind: Kind::Rate,
        scope: Scope::Api,
        because: "a test says so",
    };
    let status = if class == Class::Ok {
        StatusCode::OK
    } else {
        StatusCode::TOO_MANY_REQUESTS
    };
    permit.learn(
        clock::now(),
        &Seen {
            outcome: &outcome,
            status: Some(status),
            cell: &Cell::new(0, &Method::GET, "/a/b"),
            is_futile: false,
            is_labelled: false,
            is_clients: false,
            elapsed: Duration::from_millis(10),
            hint: None,
        },
    );
}

/// Lets throttles in until the gate is closed.
fn close(door: &Door) {
    tell(&mut goes(door), Class::Ok);
    for _ in 0..6 {
        tell(&mut goes(door), Class::Throttled);
        if door.keeper.lock().controller.is_gate_closed() {
            return;
        }
    }
    panic!("the gate is open");
}

#[tokio::test(start_paused = true)]
async fn who_finds_a_permit_goes_at_once_and_who_finds_none_waits_for_one() {
    let (door, gauge) = door(params());
    let held = admit(&door, first()).await.ok().unwrap();

    let second = admit(&door, first());
    let (second, ()) = tokio::join!(second, async {
        tokio::task::yield_now().await;
        assert_eq!(gauge.get(), 1);
        drop(held);
    });

    assert!(second.is_ok());
    assert_eq!(gauge.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_limit_or_at_the_deadline_whichever_comes_first() {
    let (door, gauge) = door(params());
    let _held = goes(&door);

    let start = clock::now();
    let patient = admit(&door, first()).await.err().unwrap();
    assert_eq!(clock::now().duration_since(start).as_secs(), 10);
    let hurried = admit(&door, asker(2 * SECOND, FIRST)).await.err().unwrap();
    assert_eq!(clock::now().duration_since(start).as_secs(), 12);

    assert!(!patient.is_deadline && patient.retry_after >= SECOND);
    assert!(hurried.is_deadline);
    assert_eq!(gauge.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_more_than_may_wait_is_shed_at_once_and_nobody_who_may_go() {
    let (door, _) = door(Params {
        max_waiting: 0,
        max_wait: Duration::ZERO,
        ..params()
    });
    let now = clock::now();
    let held = goes(&door);

    let shed = admit(&door, first()).await.err().unwrap();

    assert!(!shed.is_deadline);
    assert_eq!(clock::now(), now, "no time passed");
    drop(held);
    assert!(admit(&door, first()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_process_s_crowd_bounds_every_door() {
    let gauge = IntGauge::new("waiting", "waiting").unwrap();
    let families = PaceFamilies::register(&Registry::new()).unwrap();
    let crowd = Crowd::new(1, gauge.clone());
    let doors = ["one", "other"].map(|route| {
        let crowd = Arc::clone(&crowd);
        Door::new(params(), crowd, families.of(route), clock::now())
    });
    let _held = doors.each_ref().map(goes);

    let waits = waiting(&doors[0], first());
    assert!(doors[1].ask(clock::now(), first()).is_err());
    drop(waits);
    assert_eq!(gauge.get(), 0);
    drop(waiting(&doors[1], first()));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_waiting_gives_its_place_back() {
    let (door, gauge) = door(Params {
        max_waiting: 1,
        ..params()
    });
    let held = goes(&door);

    let left = tokio::time::timeout(SECOND, admit(&door, first())).await;

    assert!(left.is_err());
    assert_eq!(gauge.get(), 0);
    assert_eq!(door.keeper.lock().controller.waiting(), 0);
    assert!(door.keeper.lock().waiters.is_empty());
    drop(held);
    assert!(admit(&door, first()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_came_to_one_who_has_just_left_goes_to_the_next() {
    let (door, _) = door(params());
    let held = goes(&door);
    let leaves = waiting(&door, first());
    let stays = waiting(&door, first());

    drop(held); // the decision names the one who leaves
    assert_eq!(in_flight(&door), 1);
    drop(leaves);

    let permit = stays.turn().await.ok().unwrap();
    assert_eq!(in_flight(&door), 1);
    drop(permit);
    assert_eq!(in_flight(&door), 0);
}

#[tokio::test(start_paused = true)]
async fn a_turn_on_its_way_to_one_who_has_just_left_goes_back() {
    let (door, _) = door(params());
    let mut held = goes(&door);
    let leaves = waiting(&door, first());
    let attempt = held.attempt.take().unwrap();
    let decided = {
        let mut state = door.keeper.lock();
        state.controller.release(clock::now(), attempt);
        state.decide(clock::now()).0
    };

    drop(leaves); // named, and not told yet
    assert_eq!(in_flight(&door), 1);
    door.keeper.tell(decided, None);

    assert_eq!(in_flight(&door), 0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_before_those_who_were_not_sent_yet() {
    let (door, _) = door(params());
    let held = goes(&door);
    let other = waiting(&door, first());
    let retry = waiting(&door, asker(30 * SECOND, true));

    drop(held);

    let permit = retry.turn().await.ok().unwrap();
    assert_eq!(door.keeper.lock().controller.waiting(), 1);
    drop(permit);
    assert!(other.turn().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_driver_wakes_those_whose_turn_comes_by_time_alone() {
    let limit = crate::pace::Limit {
        per_second: std::num::NonZeroU32::new(2).unwrap(),
        burst: std::num::NonZeroU32::MIN,
    };
    let (door, _) = door(Params {
        limit: Some(limit),
        max_in_flight: 10,
        ..params()
    });
    let start = clock::now();
    let _held = goes(&door);

    for half_second in 1..=4u32 {
        assert!(admit(&door, first()).await.is_ok());
        let due = half_second * (SECOND / 2);
        let late = clock::now().duration_since(start).saturating_sub(due);
        // The timer rounds up to milliseconds, and a burst of one never catches up.
        assert!(late < Duration::from_millis(10), "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_driver_ends_with_the_door() {
    let (door, _) = door(params());
    let alarm = Arc::downgrade(&door.keeper.alarm);
    tokio::task::yield_now().await;

    drop(door);
    tokio::task::yield_now().await;

    assert!(alarm.upgrade().is_none(), "the driver holds the last one");
}

#[tokio::test(start_paused = true)]
async fn throttles_close_the_gate_which_is_shown_and_retries_rest_in_the_queue() {
    let (door, _) = door(Params {
        max_in_flight: 100,
        ..params()
    });
    assert_eq!(door.come_back_after(), None);
    assert!((0..20).any(|_| !door.rest(1).unwrap().is_zero()));

    close(&door);

    assert_eq!(door.rest(1), Some(Duration::ZERO));
    assert!(door.come_back_after().unwrap() >= SECOND);
    door.show();
    let gauges = &door.gauges;
    assert_eq!(
        (gauges.gate_closed.get(), gauges.unresponsive.get()),
        (1, 0)
    );
    assert!(gauges.window.get() < 100.0);
    assert!(gauges.learned_per_second.get() > 0.0);
}

#[tokio::test(start_paused = true)]
async fn with_the_pace_switched_off_nothing_is_learned() {
    let (door, _) = door(Params {
        mode: Mode::Off,
        max_in_flight: 100,
        ..params()
    });

    tell(&mut goes(&door), Class::Ok);
    for _ in 0..100 {
        tell(&mut goes(&door), Class::Throttled);
    }

    assert!(!door.keeper.lock().controller.is_gate_closed());
    assert_eq!((door.rest(1), door.come_back_after()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn with_the_pace_switched_off_nobody_is_shed_on_a_guess_of_how_long_attempts_take() {
    let (door, _) = door(Params {
        mode: Mode::Off,
        max_wait: SECOND,
        max_waiting: 1_000,
        ..params()
    });
    let held = goes(&door);

    let crowd: Vec<Waiting> = (0..1_000).map(|_| waiting(&door, first())).collect();

    drop(held);
    for waiting in crowd {
        assert!(waiting.turn().await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_lets_everybody_through_in_the_end_without_further_events() {
    let (door, gauge) = door(Params {
        max_in_flight: 100,
        ..params()
    });
    close(&door);

    for _ in 0..5 {
        let mut permit = admit(&door, first()).await.ok().unwrap();
        tell(&mut permit, Class::Ok);
    }

    assert_eq!((gauge.get(), in_flight(&door)), (0, 0));
}

#[tokio::test]
async fn ten_thousand_who_leave_at_once_leave_nothing_behind() {
    let (door, gauge) = door(Params {
        max_waiting: 10_000,
        mode: Mode::Off,
        ..params()
    });
    let _held = goes(&door);
    let crowd: Vec<Waiting> = (0..10_000).map(|_| waiting(&door, first())).collect();
    assert_eq!(gauge.get(), 10_000);

    drop(crowd);

    assert_eq!(gauge.get(), 0);
    assert_eq!(door.keeper.lock().controller.waiting(), 0);
    assert!(door.keeper.lock().waiters.is_empty());
}

/// Decisions fall on one thread while those whom they name leave on another: whichever is first, no place is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_and_being_named_at_the_same_moment_loses_no_place() {
    let (door, gauge) = door(params());
    let door = Arc::new(door);
    for _ in 0..2_000 {
        let held = goes(&door);
        let leaves = waiting(&door, first());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { drop(held) });
        tasks.spawn(async move { drop(leaves) });
        tasks.join_all().await;
        assert_eq!((in_flight(&door), gauge.get()), (0, 0));
    }
}
