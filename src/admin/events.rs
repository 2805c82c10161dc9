//! What the status page is told, as server-sent events (`/events`, or `/events?route=NAME`).
//!
//! The recorder takes a reading every second; then every listener is told, each by a task of its own that holds one event at a time. A
//! listener who does not take an event within [`STALL_MAX`] is cut off with its connection: the page comes back by itself and is
//! told everything anew, which costs less than a queue for whoever does not read.

mod row;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use self::row::{COLUMNS, row};
use super::history::{History, ROUTES_MAX, Series};
use super::summary::{Summary, Switches, summarise};
use crate::proxy::reading::Reading;
use crate::proxy::recent::Explained;
use crate::proxy::status::{Budget, Window};
use crate::retry::Reason;

/// The history, and everybody who listens to it.
#[derive(Debug)]
pub(super) struct Events {
    history: Mutex<History>,
    readings: watch::Sender<u64>,
    places: Arc<Semaphore>,
}

/// Why there is no stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are [`LISTENERS_MAX`] already.
    Full,
    /// There is no history of such a route.
    Unknown,
}

/// One listener: what it looks at, and what it knows already.
pub(super) struct Listener {
    events: Arc<Events>,
    readings: watch::Receiver<u64>,
    route: Option<String>,
    /// How many samples there were when it was last told; none before the first time.
    told: Option<u64>,
    /// How many explained requests there were then.
    explained: u64,
    sender: Sender<Bytes, Infallible>,
    _place: OwnedSemaphorePermit,
}

/// One event: rows to add to those that are known, or all there are.
#[derive(Serialize)]
struct Event<'a> {
    /// Whether what was known is void.
    reset: bool,
    /// See [`row()`].
    rows: Vec<[Option<f64>; COLUMNS]>,
    version: &'static str,
    /// What is looked at; null for all routes.
    route: Option<&'a str>,
    routes: Vec<&'a str>,
    /// Routes that are gone, and have a history yet.
    routes_gone: Vec<&'a str>,
    /// Routes that have no history of their own, since there are too many.
    routes_left_out: usize,
    bypass: bool,
    /// Which routes decide on retries and make none.
    dry_run: Vec<&'a str>,
    in_flight: i64,
    summary: Summary,
    /// Retries not made in the whole time, by reason, most frequent first; what did not happen is left out.
    reasons: Vec<(&'static str, u64)>,
    windows: Vec<&'a Window>,
    budgets: Vec<&'a Budget>,
    /// The latest requests with something to explain; left out while there is nothing new.
    #[serde(skip_serializing_if = "Option::is_none")]
    explained: Option<Vec<Arc<Explained>>>,
}

impl Events {
    /// Nothing has happened and nobody listens.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            history: Mutex::default(),
            readings: watch::Sender::new(0),
            places: Arc::new(Semaphore::new(LISTENERS_MAX)),
        })
    }

    /// Takes a reading, and tells every listener.
    pub(super) fn record(&self, now: Instant, wall: SystemTime, reading: Reading) {
        self.with(|history| history.record(now, wall, reading));
        self.readings.send_modify(|readings| *readings += 1);
    }

    /// A listener to the given route, or to all, and the body that it is told in.
    pub(super) fn listen(
        self: &Arc<Self>,
        route: Option<String>,
    ) -> Result<(Listener, Channel<Bytes, Infallible>), Refused> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Refused::Full)?;
        if route.is_some() && self.with(|history| history.series(route.as_deref()).is_none()) {
            return Err(Refused::Unknown);
        }
        let (sender, body) = Channel::new(1);
        let listener = Listener {
            events: Arc::clone(self),
            readings: self.readings.subscribe(),
            route,
            told: None,
            explained: 0,
            sender,
            _place: place,
        };
        Ok((listener, body))
    }

    #[cfg(test)]
    pub(super) fn places_left(&self) -> usize {
        self.places.available_permits()
    }

    /// Held for the making of one event at most, and never across an await.
    fn with<T>(&self, f: impl FnOnce(&mut History) -> T) -> T {
        f(&mut self.history.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Listener {
    /// Tells everything, then what is new after every reading, until the listener leaves, is too slow, or looks at a route that
    /// is forgotten; says which.
    pub(super) async fn tell(mut self) -> Left {
        self.readings.mark_changed();
        while self.readings.changed().await.is_ok() {
            let Some(event) = self.event() else {
                if self.route.is_some() {
                    return Left::Forgotten;
                }
                continue;
            };
            match tokio::time::timeout(STALL_MAX, self.sender.send_data(event)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Left::ByItself,
                Err(_) => return Left::TooSlow,
            }
        }
        Left::ByItself
    }

    /// The next event; none before the first reading, or when there is nothing of this route any more.
    fn event(&mut self) -> Option<Bytes> {
        let events = Arc::clone(&self.events);
        events.with(|history| {
            let series = history.series(self.route.as_deref())?;
            let reading = history.now()?;
            let known = self.told.replace(history.taken());
            let rows = match known {
                Some(known) => {
                    let new = usize::try_from(history.taken() - known).unwrap_or(usize::MAX);
                    series.latest(new).map(row).collect()
                }
                None => series.samples().map(row).collect(),
            };
            let explained = reading.recent.since(self.explained);
            let explained = explained.map(|(total, requests)| {
                self.explained = total;
                requests
            });
            let event = Event {
                reset: known.is_none(),
                rows,
                explained,
                ..Event::of(reading, self.route.as_deref(), series, history)
            };
            let json = serde_json::to_string(&event).expect("an event holds words and numbers");
            // JSON has no raw line break, so one `data` line holds all of it.
            let retry = if event.reset { RETRY } else { "" };
            Some(Bytes::from(format!("{retry}data: {json}\n\n")))
        })
    }
}

/// Why a listener is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It closed its connection.
    ByItself,
    /// It did not take what it was told.
    TooSlow,
    /// What it looked at has been gone for so long that there is nothing to tell. Its stream ends well, and coming back finds no
    /// such route.
    Forgotten,
}

impl<'a> Event<'a> {
    /// How everything stands, without what is new.
    fn of(
        reading: &'a Reading,
        route: Option<&'a str>,
        series: &Series,
        history: &'a History,
    ) -> Self {
        let (counts, over) = series.sum();
        let looked_at = || {
            let routes = reading.routes.iter();
            routes.filter(|it| route.is_none_or(|route| it.name == route))
        };
        let used = |index: usize, of: fn(&crate::proxy::reading::RouteReading) -> usize| {
            looked_at().any(|it| of(it) == index)
        };
        let windows = reading.windows.iter().enumerate();
        let budgets = reading.budgets.iter().enumerate();
        let words = Reason::ALL.map(Reason::as_str);
        let mut reasons: Vec<_> = words.into_iter().zip(counts.reasons).collect();
        reasons.retain(|(_, count)| *count > 0);
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let switches = Switches {
            bypass: reading.bypass,
            // A route that is gone decides nothing any more.
            dry_run: looked_at().next().is_some() && looked_at().all(|it| it.dry_run),
        };
        let names = reading.routes.iter().map(|it| it.name.as_str());
        let dry = reading.routes.iter().filter(|it| it.dry_run);
        Self {
            reset: false,
            rows: Vec::new(),
            version: env!("CARGO_PKG_VERSION"),
            route,
            routes: names.take(ROUTES_MAX).collect(),
            routes_gone: history.gone().collect(),
            routes_left_out: reading.routes.len().saturating_sub(ROUTES_MAX),
            bypass: reading.bypass,
            dry_run: dry.map(|it| it.name.as_str()).collect(),
            in_flight: reading.in_flight,
            summary: summarise(&counts, over, switches),
            reasons,
            windows: windows
                .filter(|(index, _)| used(*index, |it| it.window))
                .map(|(_, window)| window)
                .collect(),
            budgets: budgets
                .filter(|(index, _)| used(*index, |it| it.budget))
                .map(|(_, budget)| budget)
                .collect(),
            explained: None,
        }
    }
}

/// So many pages may be open at once, over all; one more is answered 503 and comes back by itself.
pub(super) const LISTENERS_MAX: usize = 16;

/// A listener who has not taken an event by then is cut off. Events come every second.
pub(super) const STALL_MAX: Duration = Duration::from_secs(5);

/// A page that has lost its connection comes back after this.
const RETRY: &str = "retry: 2000\n";

#[cfg(test)]
mod tests;
