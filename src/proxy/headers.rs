//! The headers that a proxy must remove, set or add.

/// Which `Host` the upstream sees (`host`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The upstream's own authority.
    Upstream,
    /// What the client sent.
    Client,
}

/// How the client's address is told to the upstream (`forwarded`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// Not at all.
    Off,
    /// `X-Forwarded-For`, `-Proto`, `-Host`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}
