//! The client's side: accepts connections and hands requests to the service, one task a connection.
use std::net::SocketAddr;
use std::time::Duration;

/// What clients may do (`listen`, `[client]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The most connections at once; one more is answered 503 and closed.
    pub max_connections: usize,
    /// The longest that a request's head may take.
    pub header_timeout: Duration,
    /// The longest that a connection may be idle between requests.
    pub idle: Duration,
    /// The longest pause inside a body.
    pub body_idle: Duration,
    /// The most bytes of a request's head; more is answered 431.
    pub header_bytes: usize,
    /// Whether a client that closed its sending side is still answered.
    pub half_close: bool,
    /// Whether header names are written in Title-Case.
    pub title_case_headers: bool,
    /// Whether header names keep the case that they came in.
    pub preserve_header_case: bool,
}
