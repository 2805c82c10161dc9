//! Whole courses of events: what is learned, who goes, who waits, who is turned away.

use std::collections::HashSet;
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::super::Limit;
use super::super::neighbours::tests::unresponsive;
use super::super::turn::{Admission, Decision, Feedback, Waiter};
use super::*;
use crate::clock;

fn params() -> Params {
    Params {
        mode: Mode::Adaptive,
        max_wait: Duration::from_secs(10),
        max_waiting: 10_000,
        patient: false,
        limit: None,
        max_in_flight: 512,
    }
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn first(now: Instant, deadline: Duration) -> Waiter {
    Waiter {
        since: now,
        start_by: now + deadline,
        answer_by: None,
        is_retry: false,
    }
}

fn retry(now: Instant, deadline: Duration) -> Waiter {
    Waiter {
        is_retry: true,
        ..first(now, deadline)
    }
}

const DEADLINE: Duration = Duration::from_secs(30);
const THROTTLED: Feedback = Feedback::Throttle(Kind::Rate);

/// A controller under a hand that sends, answers and counts.
struct Bench {
    controller: Controller,
    now: Instant,
    rng: fastrand::Rng,
}

impl Bench {
    fn new(params: Params) -> Self {
        let now = clock::now();
        Self {
            controller: Controller::new(params, now, Duration::ZERO),
            now,
            rng: fastrand::Rng::with_seed(7),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn arrive(&mut self, waiter: Waiter) -> Admission {
        self.controller.arrive(self.now, waiter, &mut self.rng)
    }

    /// One that goes at once.
    #[track_caller]
    fn go(&mut self) -> Attempt {
        match self.arrive(first(self.now, DEADLINE)) {
            Admission::Go(attempt) => attempt,
            other => panic!("it does not go: {other:?}"),
        }
    }

    /// One that waits.
    #[track_caller]
    fn wait(&mut self, waiter: Waiter) -> WaiterId {
        match self.arrive(waiter) {
            Admission::Wait(id) => id,
            other => panic!("it does not wait: {other:?}"),
        }
    }

    fn finish(&mut self, attempt: Attempt, feedback: Feedback) {
        self.controller
            .finish(self.now, attempt, feedback, &mut self.rng);
    }

    fn decide(&mut self) -> Vec<Decision> {
        let decide = || self.controller.decide(self.now, &mut self.rng);
        std::iter::from_fn(decide).collect()
    }

    /// Closes the gate at a window of about `size`, with an attempt taking 100 ms.
    fn close_at(&mut self, size: usize) {
        let attempts: Vec<_> = (0..size).map(|_| self.go()).collect();
        self.pass(millis(100));
        for attempt in attempts {
            self.finish(attempt, Feedback::Success);
        }
        let attempts: Vec<_> = (0..size).map(|_| self.go()).collect();
        self.pass(millis(5));
        for attempt in attempts {
            self.finish(attempt, THROTTLED);
        }
        assert!(self.controller.is_gate_closed());
        self.pass(millis(200)); // the held places are free again
    }
}

#[test]
fn a_window_of_next_to_nothing_sends_seldom_but_sends() {
    let long = Duration::from_secs(600);
    let mut bench = Bench::new(Params {
        max_wait: long,
        ..params()
    });
    bench.controller.gate.close(0.0, 0.0);
    bench.controller.gate.end_ramp(0.0);
    bench.controller.gate.keep_closed(0.0);
    bench.controller.window.set(0.002);

    let waits = bench.arrive(first(bench.now, long));
    assert!(matches!(waits, Admission::Wait(_)), "{waits:?}");
    bench.pass(Duration::from_secs(80));

    let decision = bench.controller.decide(bench.now, &mut bench.rng);
    assert!(matches!(decision, Some(Decision::Go(..))), "{decision:?}");
}

#[test]
fn without_throttles_everything_goes_at_once() {
    let mut bench = Bench::new(params());

    for _ in 0..100 {
        let attempts: Vec<_> = (0..500).map(|_| bench.go()).collect();
        bench.pass(millis(100));
        for attempt in attempts {
            bench.finish(attempt, Feedback::Success);
        }
    }

    assert!(!bench.controller.is_gate_closed());
    assert_eq!(bench.controller.next_wake(bench.now), None);
}

#[test]
fn a_few_throttles_close_the_gate_at_what_was_in_flight() {
    let mut bench = Bench::new(params());

    bench.close_at(20);

    assert!(bench.controller.is_gate_closed());
    assert!((15.0..25.0).contains(&bench.controller.window()));
}

#[test]
fn behind_a_closed_gate_no_more_go_than_the_window_holds() {
    let mut bench = Bench::new(params());
    bench.close_at(20);
    let window = bench.controller.window();

    let mut out = Vec::new();
    for _ in 0..100 {
        if let Admission::Go(attempt) = bench.arrive(first(bench.now, DEADLINE)) {
            out.push(attempt);
        }
    }

    // The window ramps a little with every attempt that is sent.
    assert!(out.len() as f64 <= bench.controller.window() + 1.0);
    assert!(out.len() as f64 >= window - 1.0);
    assert_eq!(bench.controller.waiting(), 100 - out.len());
}

#[test]
fn who_is_throttled_again_and_again_rests_even_behind_a_closed_gate() {
    let mut bench = Bench::new(params());
    bench.close_at(4);
    let mut longest = |retry_number| {
        let rests = (0..100).map(|_| bench.controller.rest(retry_number, &mut bench.rng));
        rests.max().unwrap()
    };

    assert_eq!(longest(5), Duration::ZERO);
    let (sixth, ninth) = (longest(6), longest(9));

    assert!(
        sixth > Duration::ZERO && ninth > 4 * sixth,
        "{sixth:?} {ninth:?}"
    );
    assert!(longest(1_000) <= millis(2_000));
}

#[test]
fn where_next_to_nothing_gets_through_all_but_the_first_retry_rest() {
    let mut bench = Bench::new(params());
    let attempts: Vec<_> = (0..3).map(|_| bench.go()).collect();
    for attempt in attempts {
        bench.finish(attempt, THROTTLED);
    }
    assert!(bench.controller.is_gate_closed());
    let mut longest = |retry_number| {
        let rests = (0..100).map(|_| bench.controller.rest(retry_number, &mut bench.rng));
        rests.max().unwrap()
    };

    assert_eq!(longest(1), Duration::ZERO);
    assert!(longest(2) > Duration::ZERO);
}

#[test]
fn a_place_that_becomes_free_wakes_the_one_whose_turn_it_is_and_nobody_else() {
    let mut bench = Bench::new(Params {
        max_in_flight: 1,
        ..params()
    });
    let out = bench.go();
    let late = bench.wait(first(bench.now, millis(9_000)));
    let early = bench.wait(first(bench.now, millis(5_000)));
    let again = bench.wait(retry(bench.now, millis(9_500)));

    let mut order = Vec::new();
    let mut out = Some(out);
    while let Some(attempt) = out.take() {
        bench.finish(attempt, Feedback::Success);
        let mut decisions = bench.decide();
        assert!(decisions.len() <= 1, "{decisions:?}");
        if let Some(Decision::Go(id, attempt)) = decisions.pop() {
            order.push(id);
            out = Some(attempt);
        }
    }

    assert_eq!(order, [again, early, late]);
}

#[test]
fn who_left_is_never_named_again_and_leaves_once() {
    let mut bench = Bench::new(Params {
        max_in_flight: 1,
        ..params()
    });
    let out = bench.go();
    let gone = bench.wait(first(bench.now, DEADLINE));

    assert!(bench.controller.leave(bench.now, gone));
    assert!(!bench.controller.leave(bench.now, gone));
    bench.finish(out, Feedback::Success);

    assert!(bench.decide().is_empty());
    assert_eq!(bench.controller.in_flight(), 0);
}

#[test]
fn nobody_waits_past_its_limit_or_its_deadline() {
    let mut bench = Bench::new(Params {
        max_in_flight: 1,
        ..params()
    });
    let _out = bench.go();
    let patient = bench.wait(first(bench.now, DEADLINE));
    let hurried = bench.wait(first(bench.now, millis(3_000)));

    let mut shed = Vec::new();
    while let Some(wake) = bench.controller.next_wake(bench.now) {
        bench.now = wake;
        for decision in bench.decide() {
            let Decision::Shed { waiter, .. } = decision else {
                panic!("nobody can go");
            };
            shed.push((waiter, wake));
        }
    }

    let start = bench.controller.start;
    let near = |at: Instant, expected| {
        let waited = at - start;
        assert!(
            waited >= expected && waited < expected + millis(1),
            "{waited:?}"
        );
    };
    assert_eq!([shed[0].0, shed[1].0], [hurried, patient]);
    near(shed[0].1, millis(3_000));
    near(shed[1].1, millis(10_000));
}

#[test]
fn a_newcomer_that_cannot_be_served_in_time_is_turned_away_at_once() {
    let mut bench = Bench::new(params());
    bench.close_at(10);

    let mut shed = 0;
    for _ in 0..5_000 {
        if let Admission::Shed { retry_after } = bench.arrive(first(bench.now, millis(2_000))) {
            assert!(retry_after >= Duration::from_secs(1));
            shed += 1;
        }
    }

    assert!(shed > 4_000, "two seconds serve about two hundred: {shed}");
    assert!(bench.controller.waiting() > 100);
}

#[test]
fn more_than_may_wait_are_shed() {
    let mut bench = Bench::new(Params {
        max_waiting: 3,
        max_in_flight: 1,
        ..params()
    });
    let _out = bench.go();
    for _ in 0..3 {
        bench.wait(first(bench.now, DEADLINE));
    }

    assert!(matches!(
        bench.arrive(first(bench.now, DEADLINE)),
        Admission::Shed { .. }
    ));
    assert!(matches!(
        bench.arrive(retry(bench.now, DEADLINE)),
        Admission::Shed { .. }
    ));
}

#[test]
fn an_outage_lets_single_probes_go_and_arrivals_wait_two_seconds() {
    let mut bench = Bench::new(params());
    bench.close_at(20);
    for _ in 0..40 {
        bench.pass(millis(50));
        if let Admission::Go(attempt) = bench.arrive(first(bench.now, DEADLINE)) {
            bench.pass(millis(5));
            bench.finish(attempt, Feedback::Failure);
        }
        for decision in bench.decide() {
            if let Decision::Go(_, attempt) = decision {
                bench.finish(attempt, Feedback::Failure);
            }
        }
    }
    assert!(bench.controller.is_outage());

    let mut longest = Duration::ZERO;
    let mut probes = 0;
    let end = bench.now + millis(20_000);
    let mut waiting: std::collections::HashMap<WaiterId, Instant> = Default::default();
    while bench.now < end {
        bench.pass(millis(10));
        match bench.arrive(first(bench.now, DEADLINE)) {
            Admission::Wait(id) => drop(waiting.insert(id, bench.now)),
            Admission::Go(attempt) => bench.finish(attempt, Feedback::Failure),
            Admission::Shed { .. } => {}
        }
        for decision in bench.decide() {
            match decision {
                Decision::Go(_, attempt) => {
                    probes += 1;
                    bench.finish(attempt, Feedback::Failure);
                }
                Decision::Shed { waiter, .. } => {
                    if let Some(since) = waiting.remove(&waiter) {
                        longest = longest.max(bench.now - since);
                    }
                }
            }
        }
    }

    assert!((15..60).contains(&probes), "about one a second: {probes}");
    assert!(longest <= millis(2_010), "{longest:?}");
}

#[test]
fn after_an_outage_the_first_success_brings_half_of_the_window_back() {
    let mut bench = Bench::new(params());
    bench.close_at(40);
    let before = bench.controller.window();
    let attempts: Vec<_> = (0..30).map(|_| bench.go()).collect();
    for attempt in attempts {
        bench.pass(millis(50));
        bench.finish(attempt, Feedback::Failure);
    }
    assert!(bench.controller.is_outage());

    bench.pass(millis(2_000));
    let probe = bench.go();
    bench.finish(probe, Feedback::Success);

    assert!(!bench.controller.is_outage());
    assert!(bench.controller.window() >= before / 2.0 - 1.0);
    assert!(bench.controller.window() <= before);
}

#[test]
fn a_fraction_of_a_place_is_used_as_often_as_it_says() {
    let mut bench = Bench::new(params());
    bench.close_at(4);
    for round in 0..200 {
        let attempt = bench.go_when_it_may();
        bench.pass(millis(100));
        let feedback = if round % 2 == 0 {
            THROTTLED
        } else {
            Feedback::Success
        };
        bench.finish(attempt, feedback);
        if bench.controller.window() < 0.5 {
            break;
        }
    }
    let window = bench.controller.window();
    assert!(window < 0.5, "{window}");

    let start = bench.now;
    let mut sent = 0;
    while bench.now - start < Duration::from_secs(4) {
        let attempt = bench.go_when_it_may();
        bench.finish(attempt, Feedback::Neutral);
        sent += 1;
    }

    let expected = window / bench.controller.service.mean() * 4.0;
    let share = f64::from(sent) / expected;
    assert!((0.7..1.4).contains(&share), "{sent} of {expected}");
}

impl Bench {
    fn go_when_it_may(&mut self) -> Attempt {
        match self.arrive(retry(self.now, DEADLINE)) {
            Admission::Go(attempt) => attempt,
            Admission::Wait(_) => loop {
                self.now = self.controller.next_wake(self.now).unwrap();
                for decision in self.decide() {
                    if let Decision::Go(_, attempt) = decision {
                        return attempt;
                    }
                }
            },
            Admission::Shed { .. } => panic!("there is room"),
        }
    }
}

impl Bench {
    /// First attempts go freely, sixty a second, until a check, in which six tenths of those are 3.6 places.
    fn in_a_check() -> Self {
        let mut bench = Self::new(params());
        bench.close_at(4);
        let (neighbours, at) = unresponsive();
        bench.controller.neighbours = neighbours;
        bench.controller.gate.keep_closed(16.0);
        bench.now = bench.controller.start + Duration::from_secs_f64(at);
        while bench.now < bench.controller.start + millis(16_300) {
            let attempts: Vec<_> = (0..6).map(|_| bench.go()).collect();
            bench.pass(millis(100));
            for attempt in attempts {
                bench.finish(attempt, Feedback::Success);
            }
        }
        bench.now = bench.controller.start + millis(16_500);
        assert!(bench.controller.is_unresponsive());
        bench
    }
}

#[test]
fn who_goes_freely_waits_in_a_check_and_goes_when_it_ends() {
    let mut bench = Bench::in_a_check();

    (0..4).for_each(|_| drop(bench.go()));
    let waits = bench.arrive(first(bench.now, DEADLINE));
    assert!(matches!(waits, Admission::Wait(_)), "{waits:?}");
    bench.now = bench.controller.next_wake(bench.now).unwrap();

    assert!(bench.now - bench.controller.start - millis(17_000) < millis(1));
    assert!(matches!(bench.decide()[..], [Decision::Go(..)]));
}

#[test]
fn in_a_check_too_the_place_of_a_throttled_attempt_stays_taken_for_a_while() {
    let mut bench = Bench::in_a_check();
    let throttled = bench.go();
    (0..3).for_each(|_| drop(bench.go()));
    bench.wait(first(bench.now, DEADLINE));

    bench.pass(millis(5));
    bench.finish(throttled, THROTTLED);

    assert!(bench.decide().is_empty());
    let wake = bench.controller.next_wake(bench.now).unwrap();
    assert!((millis(40)..millis(200)).contains(&(wake - bench.now)));
}

#[test]
fn a_known_limit_is_kept_and_wakes_at_the_right_moment() {
    let mut bench = Bench::new(Params {
        limit: Some(Limit {
            per_second: NonZeroU32::new(10).unwrap(),
            burst: NonZeroU32::new(1).unwrap(),
        }),
        ..params()
    });
    let start = bench.now;
    let _first = bench.go();
    for _ in 0..10 {
        bench.wait(first(bench.now, DEADLINE));
    }

    let mut wakes = 0;
    while let Some(wake) = bench.controller.next_wake(bench.now) {
        assert!(wake > bench.now, "it makes progress");
        bench.now = wake;
        wakes += bench.decide().len();
    }

    assert_eq!(wakes, 10);
    let took = bench.now - start;
    assert!(took >= millis(1_000) && took < millis(1_001), "{took:?}");
}

#[test]
fn a_hint_for_everybody_holds_everybody_back_until_it_ends() {
    let mut bench = Bench::new(params());
    bench.controller.hold_back(bench.now, millis(1_500));

    let start = bench.now;
    let held = bench.wait(first(bench.now, DEADLINE));
    bench.now = bench.controller.next_wake(bench.now).unwrap();

    assert!(bench.now - start >= millis(1_500));
    assert!(matches!(bench.decide()[..], [Decision::Go(id, _)] if id == held));
}

#[test]
fn quota_and_client_made_failures_teach_nothing() {
    let mut bench = Bench::new(params());

    for _ in 0..1_000 {
        for feedback in [Feedback::Neutral, Feedback::Throttle(Kind::Quota)] {
            let attempt = bench.go();
            bench.pass(millis(5));
            bench.finish(attempt, feedback);
        }
    }

    assert!(!bench.controller.is_gate_closed() && !bench.controller.is_outage());
    assert!(bench.controller.snapshot(bench.now).throttle_share == 0.0);
}

#[test]
fn with_the_pace_off_nothing_is_learned_and_the_maximum_still_holds() {
    let mut bench = Bench::new(Params {
        mode: Mode::Off,
        max_in_flight: 10,
        ..params()
    });

    for _ in 0..100 {
        let attempts: Vec<_> = (0..10).map(|_| bench.go()).collect();
        bench.pass(millis(100));
        for attempt in attempts {
            bench.finish(attempt, THROTTLED);
        }
    }

    assert!(!bench.controller.is_gate_closed());
}

#[test]
fn a_pace_that_is_switched_off_leaves_no_gate_closed() {
    let mut bench = Bench::new(params());
    bench.close_at(16);
    assert!(bench.controller.is_gate_closed());

    let off = Params {
        mode: Mode::Off,
        ..params()
    };
    bench.controller.set_params(off, bench.now);

    assert!(!bench.controller.is_gate_closed() && !bench.controller.is_outage());
    let _out: Vec<_> = (0..100).map(|_| bench.go()).collect();
}

#[test]
fn news_from_the_fleet_pull_the_window_half_way_and_nonsense_is_no_news() {
    let mut bench = Bench::new(params());
    bench.close_at(16);
    let attempt = bench.go();
    bench.pass(millis(5));
    bench.finish(attempt, THROTTLED); // ends the ramp
    let told = |part| super::super::Told {
        tolerated: 0.05,
        part,
        is_throttled: true,
        fresh_for: millis(1_500),
    };
    let before = bench.controller.window();

    bench.controller.join_fleet(bench.now, told(f64::NAN));
    assert!((bench.controller.window() - before).abs() < 1e-9);
    bench.controller.join_fleet(bench.now, told(before / 4.0));

    assert!((bench.controller.window() - before / 2.0).abs() < 1e-9);
}

#[test]
fn ten_thousand_that_wait_can_all_leave_and_the_next_goes() {
    let mut bench = Bench::new(Params {
        max_in_flight: 1,
        ..params()
    });
    let out = bench.go();
    let now = bench.now;
    let waiters: Vec<_> = (0..10_000u64)
        .map(|n| Waiter {
            start_by: now + millis(5_000 + n % 97),
            ..retry(now, DEADLINE)
        })
        .filter_map(|waiter| match bench.arrive(waiter) {
            Admission::Wait(id) => Some(id),
            _ => None,
        })
        .collect();
    assert_eq!(waiters.len(), 10_000);

    for waiter in waiters {
        assert!(bench.controller.leave(bench.now, waiter));
    }
    bench.finish(out, Feedback::Success);

    assert_eq!(bench.controller.waiting(), 0);
    let _next = bench.go();
}

/// What may happen to a controller.
#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Arrive {
        deadline: u64,
        answer: Option<u64>,
        is_retry: bool,
    },
    Leave(usize),
    Finish(usize, u8),
    Forget(usize),
    HoldBack(u64),
    Resize(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0u64..400).prop_map(Event::Pass),
        1 => (0u64..20_000).prop_map(Event::Pass),
        6 => (0u64..40_000, prop::option::of(0u64..20_000), any::<bool>())
            .prop_map(|(deadline, answer, is_retry)| Event::Arrive { deadline, answer, is_retry }),
        1 => (0usize..64).prop_map(Event::Leave),
        5 => (0usize..64, 0u8..8).prop_map(|(which, how)| Event::Finish(which, how)),
        1 => (0usize..64).prop_map(Event::Forget),
        1 => (0u64..3_000).prop_map(Event::HoldBack),
        1 => (0usize..12).prop_map(Event::Resize),
    ]
}

fn feedback(how: u8) -> Feedback {
    match how {
        0 | 1 => Feedback::Success,
        2 | 3 => Feedback::Throttle(Kind::Concurrency),
        4 => Feedback::Throttle(Kind::Unknown),
        5 => Feedback::Throttle(Kind::Quota),
        6 => Feedback::Failure,
        _ => Feedback::Neutral,
    }
}

proptest! {
    #[test]
    fn whatever_happens_limits_hold_and_everybody_gets_exactly_one_end(
        events in prop::collection::vec(event(), 1..400),
        max_in_flight in 0usize..8,
        max_waiting in 0usize..16,
    ) {
        let params = Params { max_in_flight, max_waiting, ..params() };
        let mut bench = Bench::new(params);
        let mut max_in_flight = max_in_flight.max(1);
        let mut waiting: HashSet<WaiterId> = HashSet::new();
        let mut out: Vec<Attempt> = Vec::new();
        for event in events {
            match event {
                Event::Pass(time) => bench.pass(millis(time)),
                Event::Arrive { deadline, answer, is_retry } => {
                    let waiter = Waiter {
                        answer_by: answer.map(|answer| bench.now + millis(answer)),
                        is_retry,
                        ..first(bench.now, millis(deadline))
                    };
                    match bench.arrive(waiter) {
                        Admission::Go(attempt) => out.push(attempt),
                        Admission::Wait(id) => prop_assert!(waiting.insert(id)),
                        Admission::Shed { retry_after } => {
                            prop_assert!(retry_after >= Duration::from_secs(1));
                        }
                    }
                    prop_assert!(bench.controller.waiting() <= max_waiting);
                }
                Event::Leave(which) => {
                    let id = waiting.iter().copied().nth(which % waiting.len().max(1));
                    if let Some(id) = id {
                        prop_assert!(bench.controller.leave(bench.now, id));
                        waiting.remove(&id);
                    }
                }
                Event::Finish(which, how) if !out.is_empty() => {
                    let attempt = out.swap_remove(which % out.len());
                    bench.finish(attempt, feedback(how));
                }
                Event::Forget(which) if !out.is_empty() => {
                    let attempt = out.swap_remove(which % out.len());
                    bench.controller.forget(bench.now, attempt);
                }
                Event::Finish(..) | Event::Forget(_) => {}
                Event::HoldBack(time) => bench.controller.hold_back(bench.now, millis(time)),
                Event::Resize(size) => {
                    max_in_flight = size.max(1);
                    let params = Params { max_in_flight: size, ..bench.controller.params };
                    bench.controller.set_params(params, bench.now);
                }
            }
            let before = out.len();
            for decision in bench.decide() {
                match decision {
                    Decision::Go(id, attempt) => {
                        prop_assert!(waiting.remove(&id), "it waited");
                        out.push(attempt);
                    }
                    Decision::Shed { waiter, .. } => {
                        prop_assert!(waiting.remove(&waiter), "it waited");
                    }
                }
            }
            prop_assert!(out.len() <= max_in_flight.max(before));
            prop_assert_eq!(bench.controller.in_flight(), out.len());
            prop_assert_eq!(bench.controller.waiting(), waiting.len());
            let window = bench.controller.window();
            prop_assert!(window > 0.0 && window <= max_in_flight as f64);
            if let Some(wake) = bench.controller.next_wake(bench.now) {
                prop_assert!(wake > bench.now, "what is due was decided");
            }
        }
        // Everybody else's time ends too.
        for attempt in out {
            bench.controller.forget(bench.now, attempt);
        }
        let mut rounds = 0;
        while let Some(wake) = bench.controller.next_wake(bench.now) {
            bench.now = wake;
            rounds += 1;
            prop_assert!(rounds < 10_000, "it ends");
            for decision in bench.decide() {
                match decision {
                    Decision::Go(id, attempt) => {
                        prop_assert!(waiting.remove(&id));
                        bench.finish(attempt, Feedback::Success);
                    }
                    Decision::Shed { waiter, .. } => prop_assert!(waiting.remove(&waiter)),
                }
            }
        }
        prop_assert!(waiting.is_empty());
    }
}
