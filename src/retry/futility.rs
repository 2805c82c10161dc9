//! The futility guard: a door that nobody has seen open is not knocked at by every caller.
//!
//! Some outcomes look like a passing shortage and last for ever: a function without permission answers as one without free
//! capacity does. Each caller on its own would spend all its attempts on it. So every *cell* (route, method, first two path
//! segments) remembers, for each such kind of outcome, how many retries were made since anybody got through. After
//! [`RETRIES_MIN`] of them over at least [`SILENCE_MIN`] the outcome is futile: delivered at once, with one retry let through
//! every [`PROBE_EVERY`]. First attempts are never held back and knock too; the first success, theirs or a probe's, ends it.
//! A rate limit refills by the clock and is never futile.
//!
//! Memory is bounded twice. There are at most [`CELLS_MAX`] cells, and only cells with retries since their last success
//! take a place; the one that was longest unused makes room. A futile cell that is pushed out is learned anew, which costs at
//! most [`RETRIES_MIN`] retries, each paid by the budget. And what was neither retried nor asked about for [`FORGET_AFTER`] is
//! forgotten: it tells nothing about today.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use super::classify::{Class, Classified, Kind};

/// Where futility is learned: a route, a method and the first two segments of a path, as raw bytes.
///
/// Never a label: it comes from the client. Bounded in length; what agrees up to the bound shares a cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    route: usize,
    /// The method, a space (which no method contains), and the start of the path.
    request: Box<[u8]>,
}

impl Cell {
    /// The cell of a request: the index of its route in the table, its method, and its raw path, of which a query is no part.
    pub fn new(route: usize, method: &Method, path: &str) -> Self {
        let method = method.as_str().as_bytes();
        let mut parts = path.as_bytes().split(|byte| *byte == b'?');
        let path = parts.next().unwrap_or_default();
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        // The path begins with a slash, so that the third one ends the second segment.
        let segments_end = slashes.map(|(at, _)| at).nth(2).unwrap_or(path.len());
        let request = [
            &method[..method.len().min(METHOD_BYTES_MAX)],
            b" ",
            &path[..segments_end.min(PATH_BYTES_MAX)],
        ];
        Self {
            route,
            request: request.concat().into(),
        }
    }
}

/// All cells with retries since their last success.
#[derive(Debug, Default)]
pub struct Cells {
    cells: BTreeMap<Cell, Memory>,
    /// Counts uses, to find the cell that was longest unused.
    uses: u64,
}

#[derive(Debug, Default)]
struct Memory {
    used: u64,
    streaks: [Option<Streak>; Doubt::COUNT],
}

/// Retries without a success between them.
#[derive(Debug)]
struct Streak {
    since: Instant,
    retries: u32,
    /// When the latest retry was caused or let through as a probe.
    last_retry: Instant,
    /// When it was last retried or asked about.
    last_use: Instant,
}

impl Cells {
    /// No memory of anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// A retry was granted because of this outcome. Outcomes that cannot be permanent leave no trace.
    pub fn on_retry(&mut self, now: Instant, cell: &Cell, outcome: &Classified) {
        let Some(doubt) = Doubt::of(outcome) else {
            return;
        };
        let streak = &mut self.memory_of(cell).streaks[doubt as usize];
        let streak = match streak {
            Some(streak) if !streak.is_forgotten(now) => streak,
            _ => streak.insert(Streak::new(now)),
        };
        streak.retries = streak.retries.saturating_add(1);
        streak.last_retry = streak.last_retry.max(now);
        streak.last_use = streak.last_use.max(now);
    }

    /// Somebody got through, at a first attempt or a later one; see [`shows_open`]. Whatever was futile here is not any more.
    pub fn on_success(&mut self, cell: &Cell) {
        self.cells.remove(cell);
    }

    /// Whether a retry because of this outcome would be in vain.
    ///
    /// While it is, this says no once every [`PROBE_EVERY`], to whoever asks first: that one is the probe. If the asker then has
    /// another obstacle, the turn is lost, which only means that the next probe, or the next first attempt, finds out.
    pub fn is_futile(&mut self, now: Instant, cell: &Cell, outcome: &Classified) -> bool {
        let Some(doubt) = Doubt::of(outcome) else {
            return false;
        };
        self.uses += 1;
        let Some(memory) = self.cells.get_mut(cell) else {
            return false;
        };
        memory.used = self.uses;
        let slot = &mut memory.streaks[doubt as usize];
        let Some(streak) = slot.as_mut().filter(|streak| !streak.is_forgotten(now)) else {
            *slot = None;
            return false;
        };
        streak.last_use = streak.last_use.max(now);
        if !streak.is_futile(now) {
            return false;
        }
        let probe = now.saturating_duration_since(streak.last_retry) >= PROBE_EVERY;
        if probe {
            streak.last_retry = now;
        }
        !probe
    }

    /// Whether this outcome is known to be in vain here. Unlike [`Self::is_futile`] it lets no probe through and is no use of the
    /// cell: it is for those who ask what the outcome teaches.
    pub fn knows_as_futile(&self, now: Instant, cell: &Cell, outcome: &Classified) -> bool {
        Doubt::of(outcome).is_some_and(|doubt| {
            let memory = self.cells.get(cell);
            let streak = memory.and_then(|memory| memory.streaks[doubt as usize].as_ref());
            streak.is_some_and(|streak| !streak.is_forgotten(now) && streak.is_futile(now))
        })
    }

    /// How many cells are futile now, in at least one kind of outcome; the gauge `redrive_futile_cells`.
    pub fn futile_count(&self, now: Instant) -> usize {
        let is_futile = |streak: &Streak| !streak.is_forgotten(now) && streak.is_futile(now);
        self.cells
            .values()
            .filter(|memory| memory.streaks.iter().flatten().any(is_futile))
            .count()
    }

    /// The cell's memory, made if need be, at the cost of the one that was longest unused.
    fn memory_of(&mut self, cell: &Cell) -> &mut Memory {
        self.uses += 1;
        if self.cells.len() >= CELLS_MAX && !self.cells.contains_key(cell) {
            let longest_unused = self.cells.iter().min_by_key(|(_, memory)| memory.used);
            if let Some(cell) = longest_unused.map(|(cell, _)| cell.clone()) {
                self.cells.remove(&cell);
            }
        }
        let memory = self.cells.entry(cell.clone()).or_default();
        memory.used = self.uses;
        memory
    }
}

impl Streak {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            retries: 0,
            last_retry: now,
            last_use: now,
        }
    }

    fn is_futile(&self, now: Instant) -> bool {
        self.retries >= RETRIES_MIN && now.saturating_duration_since(self.since) >= SILENCE_MIN
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_use) >= FORGET_AFTER
    }
}

/// The kinds of outcome that can be permanent. Kept apart: that concurrency is short proves nothing about a suspicion.
#[derive(Clone, Copy, Debug)]
enum Doubt {
    Suspected,
    Concurrency,
}

impl Doubt {
    const COUNT: usize = 2;

    fn of(outcome: &Classified) -> Option<Self> {
        match (outcome.class, outcome.kind) {
            (_, Kind::Rate) => None,
            (Class::Suspected, _) => Some(Self::Suspected),
            (Class::Throttled, Kind::Concurrency) => Some(Self::Concurrency),
            _ => None,
        }
    }
}

/// Whether an attempt's outcome shows that the door is open, so that [`Cells::on_success`] is due.
///
/// An `ok` does, and so does a refusal below 500 that the function itself will have written, such as a 404 or a 422. A 401 or
/// 403 mostly comes from an authorizer or a firewall before it, and would clear the memory each time a stranger passes by.
pub fn shows_open(outcome: &Classified, status: Option<StatusCode>) -> bool {
    match (outcome.class, status) {
        (Class::Ok, _) => true,
        (Class::Permanent, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => false,
        (Class::Permanent, Some(status)) => status.is_client_error(),
        _ => false,
    }
}

/// Fewer retries than this prove nothing: a function that scales from cold refuses for a second or two, to many at once.
pub const RETRIES_MIN: u32 = 20;

/// Shorter than this, many retries are one burst: Lambda adds capacity in steps of ten seconds.
pub const SILENCE_MIN: Duration = Duration::from_secs(10);

/// Often enough that a repaired function is found again at once, rare enough that a broken one does not notice.
pub const PROBE_EVERY: Duration = Duration::from_secs(2);

/// What nobody retried or asked about for so long is no longer known.
pub const FORGET_AFTER: Duration = Duration::from_secs(60);

/// The most cells that are remembered. At [`PATH_BYTES_MAX`] each, a few dozen KiB.
pub const CELLS_MAX: usize = 256;

/// The most bytes of a path that tell cells apart. Two segments of ordinary paths fit several times.
pub const PATH_BYTES_MAX: usize = 128;

/// The most bytes of a method that tell cells apart. Every method in the registry of IANA is shorter.
pub const METHOD_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests;
