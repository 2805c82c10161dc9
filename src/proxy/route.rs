//! Which upstream, which policy: the table of routes and its matching.
//!
//! The raw path decides, byte for byte and undecoded: what a route sees is what the upstream sees. The first route that
//! matches in file order wins. A path that two servers may read differently (`..`, `//`, an encoded slash or dot) never
//! matches a route that is less careful than the default one, so that it cannot be used to slip into it.

use http::Method;

use crate::pace;
use crate::proxy::{deadline, upstream};
use crate::retry::classify::{Integration, Proof};
use crate::retry::{self, UnsafeMethods, budget};

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

/// The routes in file order, each with what the proxy made of it; the last one takes what no other matched.
#[derive(Debug)]
pub struct Table<R> {
    entries: Vec<Entry<R>>,
    default: R,
}

#[derive(Debug)]
struct Entry<R> {
    pattern: Pattern,
    methods: Vec<Method>,
    loosens: bool,
    route: R,
}

#[derive(Debug)]
enum Pattern {
    Exact(String),
    Prefix(String),
}

impl<R> Table<R> {
    /// The table of these routes; the last one is the default whatever its pattern says.
    ///
    /// # Panics
    /// Without a default route.
    pub fn new(mut routes: Vec<(&Params, R)>) -> Self {
        let (default_params, default) = routes.pop().expect("the default route is always there");
        let entries = routes.into_iter().map(|(params, route)| Entry {
            pattern: Pattern::new(&params.path),
            methods: params.methods.clone(),
            loosens: loosens(&params.retry, &default_params.retry),
            route,
        });
        Self {
            entries: entries.collect(),
            default,
        }
    }

    /// The route of a request.
    pub fn find(&self, method: &Method, path: &str) -> &R {
        let found = self.entries.iter().find(|entry| {
            (entry.methods.is_empty() || entry.methods.contains(method))
                && entry.pattern.matches(path)
                && !(entry.loosens && is_ambiguous(path))
        });
        found.map_or(&self.default, |entry| &entry.route)
    }
}

impl Pattern {
    fn new(path: &str) -> Self {
        match path.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(path.to_owned()),
        }
    }

    /// A prefix wants at least what it names: `/orders/*` matches `/orders/1` and `/orders/`, not `/orders`.
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => path == exact,
            Self::Prefix(prefix) => path.starts_with(prefix.as_str()),
        }
    }
}

/// Whether another server may read the path as a different one.
pub fn is_ambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    ["..", "//", "%2e", "%2f", "%5c", "\\"]
        .iter()
        .any(|part| lower.contains(part))
}

/// Whether a route may send again what the default route would not.
fn loosens(route: &retry::Policy, default: &retry::Policy) -> bool {
    let rank = |policy: &retry::Policy| match policy.unsafe_methods {
        UnsafeMethods::Never => 0,
        UnsafeMethods::Proven => 1,
        UnsafeMethods::Always => 2,
    };
    rank(route) > rank(default)
        || (route.rules.proof == Proof::Usual && default.rules.proof == Proof::Strict)
        || (route.rules.integration == Integration::Lambda
            && default.rules.integration == Integration::Any)
        || route.rules.custom != default.rules.custom
        || route.idempotency_key != default.idempotency_key
}

#[cfg(test)]
mod tests;
