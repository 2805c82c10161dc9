//! What an outcome teaches the pace, and what it must not.

use http::Method;

use super::*;
use crate::clock;
use crate::retry::classify::{Kind, Scope};

fn outcome(class: Class, kind: Kind, ran: Ran) -> Classified {
    Classified {
        class,
        ran,
        kind,
        scope: Scope::Unknown,
        because: "a test says so",
    }
}

fn cell(path: &str) -> Cell {
    Cell::new(0, &Method::GET, path)
}

fn seen<'a>(outcome: &'a Classified, status: u16, cell: &'a Cell) -> Seen<'a> {
    Seen {
        outcome,
        status: StatusCode::from_u16(status).ok(),
        cell,
        is_futile: false,
        is_labelled: false,
        is_clients: false,
        elapsed: Duration::from_millis(10),
        hint: None,
    }
}

/// Lessons that have seen somebody get through at the cell.
fn after_success(at: &Cell) -> Lessons {
    let mut lessons = Lessons::new();
    let ok = outcome(Class::Ok, Kind::Unknown, Ran::Yes);
    let lesson = lessons.draw(clock::now(), &seen(&ok, 200, at));
    assert_eq!(lesson.feedback, Feedback::Success);
    lessons
}

const RATE: Feedback = Feedback::Throttle(Kind::Rate);

#[test]
fn a_throttle_where_somebody_got_through_is_one_and_elsewhere_it_is_not() {
    let (healthy, sick) = (cell("/a/b"), cell("/sick/one"));
    let mut lessons = after_success(&healthy);
    let throttled = outcome(Class::Throttled, Kind::Rate, Ran::No);
    let now = clock::now();

    let of_sick = lessons.draw(now, &seen(&throttled, 429, &sick)).feedback;
    let of_healthy = lessons.draw(now, &seen(&throttled, 429, &healthy)).feedback;

    assert_eq!((of_sick, of_healthy), (Feedback::Neutral, RATE));
}

#[test]
fn a_futile_cell_teaches_nothing_and_is_no_evidence_against_others() {
    let (one, other) = (cell("/a/b"), cell("/c/d"));
    let mut lessons = Lessons::new();
    let suspected = outcome(Class::Suspected, Kind::Concurrency, Ran::Maybe);
    let futile = Seen {
        is_futile: true,
        ..seen(&suspected, 500, &one)
    };
    let now = clock::now();
    lessons.draw(now, &seen(&suspected, 500, &one));

    assert_eq!(lessons.draw(now, &futile).feedback, Feedback::Neutral);
    let of_other = lessons.draw(now, &seen(&suspected, 500, &other)).feedback;
    assert_eq!(of_other, Feedback::Neutral, "the only one that counts");
}

#[test]
fn a_suspicion_counts_when_it_was_quick_or_is_labelled() {
    let cell = cell("/a/b");
    let suspected = outcome(Class::Suspected, Kind::Concurrency, Ran::Maybe);
    let quick = seen(&suspected, 502, &cell);
    let slow = Seen {
        elapsed: Duration::from_millis(80),
        ..quick
    };
    let labelled = Seen {
        is_labelled: true,
        ..slow
    };
    let throttle = Feedback::Throttle(Kind::Concurrency);
    let now = clock::now();

    for (seen, expected) in [
        (quick, throttle),
        (slow, Feedback::Neutral),
        (labelled, throttle),
    ] {
        let mut lessons = after_success(&cell);
        assert_eq!(lessons.draw(now, &seen).feedback, expected, "{seen:?}");
    }
}

#[test]
fn quotas_and_what_the_client_made_teach_nothing_and_no_answer_is_a_failure() {
    let cell = cell("/a/b");
    let now = clock::now();
    let (ran, no) = (Ran::Maybe, Ran::No);
    let cases = [
        (Class::Quota, 429, no, Feedback::Neutral),
        (Class::Cancelled, 0, ran, Feedback::Neutral),
        (Class::Unsent, 0, no, Feedback::Failure),
        (Class::Broken, 0, ran, Feedback::Failure),
        (Class::Timeout, 0, ran, Feedback::Failure),
        (Class::Timeout, 504, Ran::Yes, Feedback::Neutral),
        (Class::Permanent, 404, Ran::Yes, Feedback::Success),
        (Class::Permanent, 500, Ran::Yes, Feedback::Success),
        (Class::Permanent, 403, Ran::Yes, Feedback::Neutral),
        (Class::Permanent, 503, Ran::Yes, Feedback::Neutral),
    ];
    for (class, status, ran, expected) in cases {
        let outcome = outcome(class, Kind::Unknown, ran);
        let own = seen(&outcome, status, &cell);
        let clients = Seen {
            is_clients: true,
            ..own
        };
        let mut lessons = after_success(&cell);
        assert_eq!(lessons.draw(now, &own).feedback, expected, "{own:?}");
        assert_eq!(lessons.draw(now, &clients).feedback, Feedback::Neutral);
    }
}

#[test]
fn two_requests_with_a_hint_hold_everybody_back_and_those_of_a_sick_cell_nobody() {
    let (healthy, sick) = (cell("/a/b"), cell("/sick/one"));
    let mut lessons = after_success(&healthy);
    let overloaded = outcome(Class::Overloaded, Kind::Unknown, Ran::Maybe);
    let now = clock::now();
    let mut hold_back = |cell| {
        let seen = Seen {
            hint: Some(Duration::from_secs(60)),
            ..seen(&overloaded, 503, cell)
        };
        lessons.draw(now, &seen).hold_back
    };

    let sicks = [hold_back(&sick), hold_back(&sick)];
    let healthys = [hold_back(&healthy), hold_back(&healthy)];

    assert_eq!(sicks, [None, None]);
    assert_eq!(healthys, [None, Some(Duration::from_secs(2))]);
}
