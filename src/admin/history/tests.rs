//! A history is fed with readings of a proxy that nobody runs.

use std::sync::Arc;

use super::*;
use crate::proxy::reading::RouteReading;
use crate::proxy::status::{Budget, Window};

/// A clock and a proxy that counts as it is told.
struct Feed {
    now: Instant,
    wall: SystemTime,
    reading: Reading,
}

impl Feed {
    fn of(routes: &[&str]) -> Self {
        let routes = routes.iter().map(|name| route(name, Counts::default()));
        let window = Window {
            route: "default".into(),
            window: 8.0,
            gate_closed: true,
            in_flight: 3,
            waiting: 5,
            learned_requests_per_second: None,
            throttle_share: 0.0,
            service_seconds: 0.0,
            outage: false,
            overload: false,
            unresponsive: false,
        };
        let budget = Budget {
            route: "default".into(),
            tokens: 250.0,
            capacity_tokens: 500.0,
        };
        Self {
            now: crate::clock::now(),
            wall: SystemTime::UNIX_EPOCH,
            reading: Reading {
                bypass: false,
                in_flight: 9,
                waiting: 6,
                routes: routes.collect(),
                gone: Vec::new(),
                windows: vec![window],
                budgets: vec![budget],
                recent: Arc::default(),
            },
        }
    }

    /// A reload takes this route away.
    fn goes(&mut self, name: &str) {
        let place = self.reading.routes.iter().position(|it| it.name == name);
        let gone = self.reading.routes.remove(place.unwrap());
        self.reading.gone.push((gone.name, gone.counts));
    }

    /// A reload brings this route, which may have been there before.
    fn comes(&mut self, name: &str) {
        let place = self.reading.gone.iter().position(|it| it.0 == name);
        let counts = place.map(|place| self.reading.gone.remove(place).1);
        let route = route(name, counts.unwrap_or_default());
        self.reading.routes.insert(0, route);
    }

    /// A second passes, in which every route was offered so many requests.
    fn second(&mut self, history: &mut History, offered: u64) {
        for route in &mut self.reading.routes {
            route.counts.offered += offered;
        }
        self.now += Duration::from_secs(1);
        self.wall += Duration::from_secs(1);
        history.record(self.now, self.wall, self.reading.clone());
    }
}

fn route(name: &str, counts: Counts<u64>) -> RouteReading {
    RouteReading {
        name: name.to_owned(),
        dry_run: false,
        window: 0,
        budget: 0,
        counts,
    }
}

fn offered(series: &Series) -> Vec<u32> {
    series.samples().map(|it| it.counts.offered).collect()
}

#[test]
fn a_sample_is_what_happened_since_the_one_before() {
    let (mut history, mut feed) = (History::default(), Feed::of(&["orders", "default"]));

    for offered in [7, 3, 0, 5] {
        feed.second(&mut history, offered);
    }

    let orders = history.series(Some("orders")).unwrap();
    assert_eq!(
        offered(orders),
        [3, 0, 5],
        "what was counted before the first reading has no second of its own"
    );
    let all = history.series(None).unwrap();
    assert_eq!(offered(all), [6, 0, 10]);
    assert_eq!(all.sum().0.offered, 16);
    assert!(history.series(Some("nobody")).is_none());
}

#[test]
fn everything_is_remembered_for_fifteen_minutes_and_then_forgotten() {
    let (mut history, mut feed) = (History::default(), Feed::of(&["default"]));
    feed.second(&mut history, 0);

    feed.second(&mut history, 1_000);
    for _ in 1..14 * 60 {
        feed.second(&mut history, 1);
    }
    assert_eq!(history.series(None).unwrap().sum().0.offered, 1_839);
    for _ in 0..70 {
        feed.second(&mut history, 1);
    }

    let all = history.series(None).unwrap();
    let (counts, over) = all.sum();
    assert!((900..=905).contains(&over.as_secs()), "{over:?}");
    assert_eq!(counts.offered, over.as_secs());
    let lengths: Vec<f32> = all.samples().map(|sample| sample.seconds).collect();
    assert_eq!(lengths[0], 5.0, "what is older is coarser");
    assert!(lengths.ends_with(&[1.0; FINE_MAX]));
}

#[test]
fn memory_stays_within_its_limit_whatever_the_routes_and_the_time() {
    let names: Vec<String> = (0..ROUTES_MAX + 10)
        .map(|route| format!("r{route}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut history, mut feed) = (History::default(), Feed::of(&names));

    for _ in 0..20 * 60 {
        feed.second(&mut history, 1);
    }

    assert!(history.memory() <= MEMORY_MAX, "{}", history.memory());
    let last = names.last().copied();
    assert!(history.series(last).is_none(), "too many routes");
    let latest = history.series(None).unwrap().latest(1).next().unwrap();
    assert_eq!(
        latest.counts.offered as usize,
        names.len(),
        "all together means all"
    );
}

#[test]
fn joined_samples_add_up_what_happened_and_keep_the_worst_of_what_was() {
    let (mut history, mut feed) = (History::default(), Feed::of(&["default"]));
    feed.second(&mut history, 0);
    for second in 0..FINE_MAX + COARSE_EVERY {
        feed.reading.waiting = if second == 2 { 80 } else { 0 };
        feed.reading.budgets[0].tokens = if second == 3 { 50.0 } else { 500.0 };
        feed.second(&mut history, 2);
    }

    let oldest = history.series(None).unwrap().samples().next().unwrap();

    assert_eq!(oldest.seconds, 5.0);
    assert_eq!(oldest.counts.offered, 10);
    let levels = oldest.levels.unwrap();
    assert_eq!(levels.waiting, 80);
    assert_eq!(levels.budget, 0.1);
    assert_eq!(levels.window, Some(8.0));
}

#[test]
fn an_open_gate_shows_no_window() {
    let (mut history, mut feed) = (History::default(), Feed::of(&["default"]));
    feed.reading.windows[0].gate_closed = false;
    feed.second(&mut history, 0);
    feed.second(&mut history, 0);

    let all = history.series(None).unwrap();

    let levels = all.samples().next().unwrap().levels;
    assert_eq!(levels.unwrap().window, None);
}

#[test]
fn counts_that_begin_anew_are_no_burst() {
    let (mut history, mut feed) = (History::default(), Feed::of(&["default"]));
    feed.second(&mut history, 5_000);
    feed.second(&mut history, 0);
    feed.reading.routes[0].counts.offered = 0;

    feed.second(&mut history, 4);

    assert_eq!(offered(history.series(None).unwrap()), [0, 0]);
}

#[test]
fn a_route_that_comes_begins_at_0_and_one_that_went_keeps_its_history() {
    let (mut history, mut feed) = (History::default(), Feed::of(&["old", "default"]));
    feed.second(&mut history, 0);
    feed.second(&mut history, 3);

    feed.goes("old");
    feed.comes("new");
    feed.second(&mut history, 5);

    let of = |history: &History, name| offered(history.series(Some(name)).unwrap());
    assert_eq!(of(&history, "old"), [3, 0]);
    assert_eq!(of(&history, "new"), [5]);
    assert_eq!(history.gone().collect::<Vec<_>>(), ["old"]);
    let old = history.series(Some("old")).unwrap();
    let levels: Vec<_> = old.samples().map(|it| it.levels.is_some()).collect();
    assert_eq!(levels, [true, false], "what is gone has no window");

    feed.comes("old");
    feed.second(&mut history, 1);
    assert_eq!(of(&history, "old"), [3, 0, 1]);
    assert_eq!(history.gone().count(), 0);
}

#[test]
fn what_ends_on_a_route_that_is_gone_still_counts_and_no_sum_falls() {
    let (mut history, mut feed) = (History::default(), Feed::of(&["old", "default"]));
    feed.second(&mut history, 0);
    feed.second(&mut history, 1_000);

    feed.goes("old");
    feed.reading.gone[0].1.served += 2;
    feed.second(&mut history, 7);

    assert_eq!(offered(history.series(None).unwrap()), [2_000, 7]);
    let served = |route| history.series(route).unwrap().sum().0.served;
    assert_eq!((served(None), served(Some("old"))), (2, 2));
}

#[test]
fn a_route_that_went_is_forgotten_with_its_last_sample_and_is_no_burst_when_it_returns() {
    let (mut history, mut feed) = (History::default(), Feed::of(&["old", "default"]));
    feed.second(&mut history, 0);
    feed.second(&mut history, 1_000);
    feed.goes("old");

    for _ in 1..15 * 60 {
        feed.second(&mut history, 0);
    }
    assert!(history.series(Some("old")).is_some());
    feed.second(&mut history, 0);
    assert!(history.series(Some("old")).is_none());

    feed.comes("old");
    feed.second(&mut history, 2);
    assert_eq!(offered(history.series(Some("old")).unwrap()), [2]);
}

#[test]
fn routes_that_come_and_go_for_ever_take_no_more_memory_and_the_latest_stay() {
    let (mut history, mut feed) = (History::default(), Feed::of(&["default"]));

    for n in 0..3 * ROUTES_MAX {
        feed.comes(&format!("r{n}"));
        feed.second(&mut history, 1);
        feed.goes(&format!("r{n}"));
    }
    feed.second(&mut history, 1);

    assert!(history.memory() <= MEMORY_MAX, "{}", history.memory());
    let gone: Vec<_> = history.gone().collect();
    assert_eq!(gone.len(), ROUTES_MAX - 1);
    assert_eq!(gone[0], format!("r{}", 3 * ROUTES_MAX - 1));
    assert!(history.series(Some("default")).is_some());
}

#[test]
fn half_and_almost_all_of_the_waits_are_told_from_their_buckets() {
    let mut counts = Counts::<u64>::default();
    assert_eq!(wait_quantile(&counts, 0.5), None);
    (counts.waits[0], counts.waits[10], counts.waits[20]) = (60, 38, 2);

    assert_eq!(wait_quantile(&counts, 0.5), Some(0.0));
    assert_eq!(wait_quantile(&counts, 0.98), Some(wait_at(10)));
    assert_eq!(wait_quantile(&counts, 0.99), Some(wait_at(20)));
}
