//! When a door counts as closed, who still knocks, and what opens it.

use super::*;
use crate::clock;
use crate::retry::classify::{Ran, Scope};

mod cell;

fn outcome(class: Class, kind: Kind) -> Classified {
    Classified {
        class,
        ran: Ran::Maybe,
        kind,
        scope: Scope::Unknown,
        because: "a test says so",
    }
}

fn suspected() -> Classified {
    outcome(Class::Suspected, Kind::Concurrency)
}

fn orders() -> Cell {
    Cell::new(0, &Method::GET, "/orders/eu/17")
}

/// Retries every half second, the first one `SILENCE_MIN` before `now` and the last one at `now`.
fn retry_until(now: Instant, cells: &mut Cells, cell: &Cell, outcome: &Classified) {
    for half_second in (0..=20).rev() {
        cells.on_retry(
            now - half_second * Duration::from_millis(500),
            cell,
            outcome,
        );
    }
}

/// A moment with room for the past, and cells in which `orders` has just become futile.
fn futile_orders() -> (Instant, Cells) {
    let now = clock::now() + Duration::from_secs(1_000);
    let mut cells = Cells::new();
    retry_until(now, &mut cells, &orders(), &suspected());
    (now, cells)
}

#[test]
fn a_door_that_never_opened_is_futile_after_enough_retries_and_time() {
    let (now, mut cells) = futile_orders();

    assert!(cells.is_futile(now, &orders(), &suspected()));
    assert_eq!(cells.futile_count(now), 1);
}

#[test]
fn a_burst_of_retries_is_not_futile_before_its_time() {
    let start = clock::now();
    let mut cells = Cells::new();
    for _ in 0..1_000 {
        cells.on_retry(start, &orders(), &suspected());
    }

    assert!(!cells.is_futile(
        start + SILENCE_MIN - Duration::from_nanos(1),
        &orders(),
        &suspected()
    ));
    assert_eq!(
        cells.futile_count(start + SILENCE_MIN - Duration::from_nanos(1)),
        0
    );
    assert_eq!(cells.futile_count(start + SILENCE_MIN), 1);
}

#[test]
fn few_retries_are_not_futile_however_long_they_take() {
    let start = clock::now();
    let mut cells = Cells::new();
    for second in 0..19 {
        cells.on_retry(start + Duration::from_secs(second), &orders(), &suspected());
    }

    assert!(!cells.is_futile(start + Duration::from_secs(20), &orders(), &suspected()));
    cells.on_retry(start + Duration::from_secs(20), &orders(), &suspected());
    assert!(cells.is_futile(start + Duration::from_secs(21), &orders(), &suspected()));
}

#[test]
fn one_retry_every_two_seconds_is_let_through() {
    let (start, mut cells) = futile_orders();

    // Ten callers ask every 100 ms for a minute.
    let mut probes = Vec::new();
    for tick in 0..600 {
        let now = start + tick * Duration::from_millis(100);
        for _ in 0..10 {
            if !cells.is_futile(now, &orders(), &suspected()) {
                cells.on_retry(now, &orders(), &suspected());
                probes.push(now);
            }
        }
    }

    assert_eq!(
        probes.len(),
        29,
        "one every two seconds, from two seconds after the last retry on"
    );
    assert!(
        probes
            .windows(2)
            .all(|pair| pair[1] - pair[0] == PROBE_EVERY)
    );
}

#[test]
fn the_first_success_clears_it() {
    let (now, mut cells) = futile_orders();

    cells.on_success(&orders());

    assert!(!cells.is_futile(now, &orders(), &suspected()));
    assert_eq!(cells.futile_count(now), 0);
}

#[test]
fn a_success_in_between_starts_the_count_again() {
    let (now, mut cells) = futile_orders();
    cells.on_success(&orders());

    for tenth in 0..100 {
        cells.on_retry(
            now + tenth * Duration::from_millis(100),
            &orders(),
            &suspected(),
        );
    }

    assert!(!cells.is_futile(now + Duration::from_millis(9_999), &orders(), &suspected()));
    assert!(cells.is_futile(now + Duration::from_secs(10), &orders(), &suspected()));
}

#[test]
fn a_success_elsewhere_clears_nothing() {
    let (now, mut cells) = futile_orders();

    cells.on_success(&Cell::new(1, &Method::GET, "/orders/eu/17"));
    cells.on_success(&Cell::new(0, &Method::PUT, "/orders/eu/17"));
    cells.on_success(&Cell::new(0, &Method::GET, "/orders/us/17"));

    assert!(cells.is_futile(now, &orders(), &suspected()));
}

#[test]
fn a_rate_limit_is_never_futile() {
    let now = clock::now() + Duration::from_secs(1_000);
    let mut cells = Cells::new();
    for (class, kind) in [
        (Class::Throttled, Kind::Rate),
        (Class::Suspected, Kind::Rate),
        (Class::Throttled, Kind::Unknown),
        (Class::Overloaded, Kind::Unknown),
        (Class::Broken, Kind::Unknown),
        (Class::Unsent, Kind::Unknown),
    ] {
        let outcome = outcome(class, kind);
        retry_until(now, &mut cells, &orders(), &outcome);
        assert!(
            !cells.is_futile(now, &orders(), &outcome),
            "{class:?} {kind:?}"
        );
    }
    assert_eq!(cells.futile_count(now), 0);
}

#[test]
fn a_lasting_shortage_of_concurrency_is_futile_without_condemning_what_is_only_suspected() {
    let now = clock::now() + Duration::from_secs(1_000);
    let mut cells = Cells::new();
    let concurrency = outcome(Class::Throttled, Kind::Concurrency);
    retry_until(now, &mut cells, &orders(), &concurrency);

    assert!(cells.is_futile(now, &orders(), &concurrency));
    assert!(!cells.is_futile(now, &orders(), &suspected()));
    assert!(!cells.is_futile(now, &orders(), &outcome(Class::Throttled, Kind::Rate)));
}

#[test]
fn what_nobody_asks_about_is_forgotten() {
    let (now, mut cells) = futile_orders();

    assert_eq!(
        cells.futile_count(now + FORGET_AFTER - Duration::from_nanos(1)),
        1
    );
    assert_eq!(cells.futile_count(now + FORGET_AFTER), 0);
    assert!(!cells.is_futile(now + FORGET_AFTER, &orders(), &suspected()));
}

#[test]
fn retries_before_a_long_silence_do_not_count() {
    let (now, mut cells) = futile_orders();
    let later = now + FORGET_AFTER;

    cells.on_retry(later, &orders(), &suspected());

    assert_eq!(cells.futile_count(later), 0);
    assert!(!cells.is_futile(later + SILENCE_MIN, &orders(), &suspected()));
}

#[test]
fn what_is_asked_about_now_and_then_stays_known() {
    let (start, mut cells) = futile_orders();

    let mut now = start;
    for _ in 0..20 {
        now += FORGET_AFTER / 2;
        assert!(
            !cells.is_futile(now, &orders(), &suspected()),
            "the probe is due"
        );
        assert!(
            cells.is_futile(now, &orders(), &suspected()),
            "a second one is not"
        );
    }
}

#[test]
fn the_cell_that_was_longest_unused_makes_room() {
    let (now, mut cells) = futile_orders();
    let strangers = |range: std::ops::Range<usize>| range.map(|n| Cell::new(n, &Method::GET, "/"));

    for stranger in strangers(1..CELLS_MAX) {
        cells.on_retry(now, &stranger, &suspected());
    }
    assert!(
        cells.is_futile(now, &orders(), &suspected()),
        "the last place was free, and this is a use"
    );
    cells.on_retry(now, &Cell::new(CELLS_MAX, &Method::GET, "/"), &suspected());
    assert!(
        cells.is_futile(now, &orders(), &suspected()),
        "a stranger was unused for longer"
    );
    for stranger in strangers(1_000..1_000 + CELLS_MAX) {
        cells.on_retry(now, &stranger, &suspected());
    }

    assert_eq!(cells.cells.len(), CELLS_MAX);
    assert!(
        !cells.is_futile(now, &orders(), &suspected()),
        "pushed out, it is learned anew"
    );
    assert_eq!(cells.futile_count(now), 0);
}

#[test]
fn a_clock_that_goes_back_harms_nothing() {
    let (now, mut cells) = futile_orders();
    let earlier = now - Duration::from_secs(900);

    cells.on_retry(earlier, &orders(), &suspected());
    assert!(!cells.is_futile(earlier, &orders(), &suspected()));
    assert!(cells.is_futile(now, &orders(), &suspected()));
}

#[test]
fn a_refusal_by_the_function_shows_an_open_door_and_one_before_it_does_not() {
    let permanent = outcome(Class::Permanent, Kind::Unknown);

    assert!(shows_open(
        &outcome(Class::Ok, Kind::Unknown),
        Some(StatusCode::OK)
    ));
    assert!(shows_open(&permanent, Some(StatusCode::NOT_FOUND)));
    assert!(shows_open(
        &permanent,
        Some(StatusCode::UNPROCESSABLE_ENTITY)
    ));
    assert!(!shows_open(&permanent, Some(StatusCode::FORBIDDEN)));
    assert!(!shows_open(&permanent, Some(StatusCode::UNAUTHORIZED)));
    assert!(!shows_open(
        &permanent,
        Some(StatusCode::INTERNAL_SERVER_ERROR)
    ));
    assert!(!shows_open(&permanent, None));
    assert!(!shows_open(
        &outcome(Class::Throttled, Kind::Rate),
        Some(StatusCode::TOO_MANY_REQUESTS)
    ));
}

#[test]
fn asking_what_an_outcome_teaches_takes_no_probe_s_turn() {
    let (now, mut cells) = futile_orders();
    let later = now + PROBE_EVERY;

    for _ in 0..3 {
        assert!(cells.knows_as_futile(later, &orders(), &suspected()));
    }
    assert!(!cells.is_futile(later, &orders(), &suspected()), "a probe");
    assert!(cells.knows_as_futile(later, &orders(), &suspected()));
    let rate = outcome(Class::Throttled, Kind::Rate);
    assert!(!cells.knows_as_futile(later, &orders(), &rate));
    cells.on_success(&orders());
    assert!(!cells.knows_as_futile(later, &orders(), &suspected()));
}
