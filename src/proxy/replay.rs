//! A request body that can be sent again, up to a limit.

/// What is kept of request bodies (`[replay]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// The most bytes kept of one body; a longer one is sent once.
    pub max_body: usize,
    /// The most bytes kept in the process; past it bodies are sent once.
    pub max_total: usize,
}
