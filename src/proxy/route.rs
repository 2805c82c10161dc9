//! Which upstream, which policy: the table of routes and its matching.
use http::Method;

use crate::pace;
use crate::proxy::{deadline, upstream};
use crate::retry::{self, budget};

/// One route: what it matches, and what applies to what matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Its name; the only source of the `route` label.
    pub name: String,
    /// Which paths match: the raw path itself, or a prefix when it ends in `*`.
    pub path: String,
    /// Which methods match; none given means every one.
    pub methods: Vec<Method>,
    /// Where its requests go.
    pub upstream: upstream::Params,
    /// Its time limits.
    pub deadline: deadline::Params,
    /// Its retry policy.
    pub retry: retry::Policy,
    /// Its budget's parameters.
    pub budget: budget::Params,
    /// Whose budget it spends.
    pub budget_share: Share,
    /// Its pace's parameters.
    pub pace: pace::Params,
    /// Whose window it uses.
    pub pace_share: Share,
}

/// Whether a route shares its upstream's bucket or window, or has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// The one of its upstream.
    Upstream,
    /// Its own, since the route set it.
    Own,
}
