//! The operator's side: a second listener with health, readiness and metrics. Read-only.
use std::net::SocketAddr;

/// The admin listener's parameters (`[admin]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who may see `/status` and `/config`.
    pub pages: Pages,
}

/// Who may see the pages that show configuration (`admin.pages`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Peers on a loopback address.
    Loopback,
    /// Anyone who reaches the listener.
    Any,
}
