//! One deadline a request.
use std::time::Duration;

use http::HeaderName;

/// A route's time limits (`[deadline]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Nothing waits or starts after it, counted from the request's arrival.
    pub total: Duration,
    /// From the start of an attempt to the answer's head.
    pub attempt: Duration,
    /// For a connection, TLS included.
    pub connect: Duration,
    /// The header in which a client sets its own, hard limit to the answer's head.
    pub header: HeaderName,
}
