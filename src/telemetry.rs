//! Logs: one subscriber for the process.

/// How redrive logs (`[log]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// The form of a line.
    pub format: Format,
    /// Which requests are told.
    pub requests: Requests,
}

/// The form of a log line (`log.format`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Which requests are logged (`log.requests`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requests {
    /// Every one.
    All,
    /// Those that were retried, delayed, given up or refused.
    Retried,
    /// None.
    None,
}
