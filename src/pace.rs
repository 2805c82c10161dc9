//! How fast an upstream may be asked.
use std::num::NonZeroU32;
use std::time::Duration;

/// The pace's parameters (`[pace]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Whether the window is learned.
    pub mode: Mode,
    /// The longest that a request waits for its turn.
    pub max_wait: Duration,
    /// The most requests that wait in the process.
    pub max_waiting: usize,
    /// No queue cut in sustained overload.
    pub patient: bool,
    /// A known limit of the upstream.
    pub limit: Option<Limit>,
    /// The most attempts in flight.
    pub max_in_flight: usize,
}

/// Whether the window is learned (`pace.mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Learned from what the upstream answers.
    Adaptive,
    /// Every request goes at once.
    Off,
}

/// A known limit of the upstream (`pace.limit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Attempts per second.
    pub per_second: NonZeroU32,
    /// Attempts that may go at once after a pause.
    pub burst: NonZeroU32,
}
