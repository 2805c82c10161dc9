//! What outlives a reload: everything learned and counted, by whose it is.
//!
//! A route keeps what was learned of it for as long as its name and its upstream stay, whatever else about it changes; what
//! routes share belongs to their upstream. What is gone is remembered for a while: a route that a second reload brings back
//! finds its budget as empty as it was, and its counters where they stood. Of each kind [`GONE_MAX`] are remembered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::uri::{Authority, Scheme};
use prometheus::Registry;

use super::admit::{Crowd, Door};
use super::lane::Bucket;
use super::metrics::{BudgetFamilies, Families, PaceFamilies, RouteMetrics};
use super::notice::Notices;
use super::pulse::Pulse;
use super::recent::Recent;
use super::route;
use super::upstream;

/// What outlives a reload.
pub(super) struct Lasting {
    pub(super) families: Families,
    pub(super) budgets: BudgetFamilies,
    pub(super) paces: PaceFamilies,
    /// How many wait in the process.
    pub(super) crowd: Arc<Crowd>,
    /// The latest requests with something to explain.
    pub(super) recent: Arc<Recent>,
    learned: Mutex<Learned>,
}

/// What was learned, by whose it is.
#[derive(Default)]
pub(super) struct Learned {
    pub(super) buckets: Shelf<Bucket>,
    pub(super) doors: Shelf<Door>,
    pub(super) pasts: Shelf<Past>,
    /// What is counted of every route, the longest gone first.
    counted: Vec<Counted>,
    /// How many routes there ever were.
    routes: usize,
}

/// A route's past.
pub(super) struct Past {
    /// Its part in every cell's name; no other route ever has the same.
    pub(super) index: usize,
    /// Its name, for the log.
    pub(super) name: String,
    /// What is told of it once a minute.
    pub(super) notices: Arc<Notices>,
}

/// What is counted under one route's name, wherever the route leads: a sum must not fall.
pub(super) struct Counted {
    pub(super) name: String,
    pub(super) metrics: Arc<RouteMetrics>,
    /// What the status page counts beyond that.
    pub(super) pulse: Arc<Pulse>,
}

/// Whose something is: an upstream's, or that of one route to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    scheme: Scheme,
    authority: Authority,
    base_path: String,
    route: Option<String>,
}

/// Things by their owners: those in use last, and before them those that are gone, the longest gone first.
pub(super) struct Shelf<T> {
    things: Vec<(Owner, Arc<T>)>,
    in_use: usize,
}

impl Lasting {
    /// Nothing learned yet.
    ///
    /// # Errors
    /// When metrics are registered already.
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let families = Families::register(registry)?;
        let crowd = Crowd::new(0, families.gauges.waiting.clone());
        Ok(Self {
            budgets: BudgetFamilies::register(registry)?,
            paces: PaceFamilies::register(registry)?,
            families,
            crowd,
            recent: Arc::default(),
            learned: Mutex::default(),
        })
    }

    /// What was learned; held while a path is built or its past is told, which no request waits for.
    pub(super) fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Learned {
    /// A path is about to be built: what of all this it uses is found out anew.
    pub(super) fn begin(&mut self) {
        self.buckets.in_use = 0;
        self.doors.in_use = 0;
        self.pasts.in_use = 0;
    }

    /// The past of this route, which may be none.
    pub(super) fn past(&mut self, route: &route::Params) -> Arc<Past> {
        let routes = &mut self.routes;
        let owner = Owner::route(&route.upstream, &route.name);
        self.pasts.renew(&owner, |past| {
            let (index, notices) = match past {
                Some(past) => (past.index, Arc::clone(&past.notices)),
                None => {
                    *routes += 1;
                    (*routes, Arc::default())
                }
            };
            Past {
                index,
                name: route.name.clone(),
                notices,
            }
        })
    }

    /// What is counted of this route, at 0 if it is new.
    pub(super) fn counted(&mut self, families: &Families, name: &str) -> &Counted {
        let found = self.counted.iter().position(|it| it.name == name);
        let at = found.unwrap_or_else(|| {
            self.counted.push(Counted {
                name: name.to_owned(),
                metrics: Arc::new(RouteMetrics::new(families, name)),
                pulse: Arc::default(),
            });
            self.counted.len() - 1
        });
        &self.counted[at]
    }

    /// What is counted of every route that is or was.
    pub(super) fn all_counted(&self) -> impl Iterator<Item = &Counted> {
        self.counted.iter()
    }

    /// The path is built, from routes of these names: what has been gone for the longest is forgotten, and its series with it.
    pub(super) fn end<'a>(
        &mut self,
        families: &Families,
        used: impl Iterator<Item = &'a str> + Clone,
    ) {
        self.buckets.forget_the_oldest();
        self.doors.forget_the_oldest();
        self.pasts.forget_the_oldest();
        let all = std::mem::take(&mut self.counted).into_iter();
        let (in_use, mut gone): (Vec<_>, Vec<_>) =
            all.partition(|it| used.clone().any(|name| name == it.name));
        let surplus = gone.len().saturating_sub(GONE_MAX);
        for forgotten in gone.drain(..surplus) {
            RouteMetrics::forget(families, &forgotten.name);
        }
        self.counted = gone;
        self.counted.extend(in_use);
    }
}

impl Owner {
    /// What all routes to this upstream share.
    pub(super) fn upstream(upstream: &upstream::Params) -> Self {
        Self {
            scheme: upstream.scheme.clone(),
            authority: upstream.authority.clone(),
            base_path: upstream.base_path.clone(),
            route: None,
        }
    }

    /// What one route to this upstream has for itself.
    pub(super) fn route(upstream: &upstream::Params, name: &str) -> Self {
        Self {
            route: Some(name.to_owned()),
            ..Self::upstream(upstream)
        }
    }
}

impl<T> Shelf<T> {
    /// The owner's thing in use; made of what it had before, if it had anything, when it is first asked for.
    pub(super) fn renew(&mut self, owner: &Owner, make: impl FnOnce(Option<&T>) -> T) -> Arc<T> {
        let first_in_use = self.things.len() - self.in_use;
        let found = self.things.iter().position(|(other, _)| other == owner);
        if let Some(at) = found.filter(|at| *at >= first_in_use) {
            return Arc::clone(&self.things[at].1);
        }
        let before = found.map(|at| self.things.remove(at).1);
        let made = Arc::new(make(before.as_deref()));
        self.things.push((owner.clone(), Arc::clone(&made)));
        self.in_use += 1;
        made
    }

    /// Everything in use.
    pub(super) fn in_use(&self) -> Vec<Arc<T>> {
        let first_in_use = self.things.len() - self.in_use;
        let used = self.things[first_in_use..].iter();
        used.map(|(_, thing)| Arc::clone(thing)).collect()
    }

    /// Everything in use, and what is gone and not forgotten.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.things.iter().map(|(_, thing)| &**thing)
    }

    fn forget_the_oldest(&mut self) {
        let gone = self.things.len() - self.in_use;
        self.things.drain(..gone.saturating_sub(GONE_MAX));
    }
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            things: Vec::new(),
            in_use: 0,
        }
    }
}

/// How many budgets, windows, routes and sets of series are remembered that no reload since has used: as many as a configuration
/// may have routes. Beyond that the longest gone is forgotten: it would start anew if it came back.
const GONE_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Owner {
        Owner {
            scheme: Scheme::HTTP,
            authority: Authority::from_static("a.example"),
            base_path: String::new(),
            route: Some(name.to_owned()),
        }
    }

    /// One more generation that uses these, each counting how often it was renewed.
    fn use_of(shelf: &mut Shelf<usize>, names: &[&str]) -> Vec<usize> {
        shelf.in_use = 0;
        for name in names {
            shelf.renew(&owner(name), |before| before.map_or(1, |count| count + 1));
        }
        shelf.forget_the_oldest();
        shelf.in_use().iter().map(|count| **count).collect()
    }

    #[test]
    fn what_stays_is_made_of_what_it_was_and_once_for_all_who_share_it() {
        let mut shelf = Shelf::default();

        assert_eq!(use_of(&mut shelf, &["a", "b", "a"]), [1, 1]);
        assert_eq!(use_of(&mut shelf, &["b"]), [2]);
        assert_eq!(use_of(&mut shelf, &["a", "b"]), [2, 3], "a was remembered");
    }

    #[test]
    fn what_is_gone_is_forgotten_once_too_much_is_gone() {
        let mut shelf = Shelf::default();
        use_of(&mut shelf, &["first", "second"]);

        for n in 0..GONE_MAX {
            use_of(&mut shelf, &[&format!("{n}")]);
        }

        assert_eq!(shelf.things.len(), GONE_MAX + 1);
        assert_eq!(use_of(&mut shelf, &["second"]), [2]);
        assert_eq!(use_of(&mut shelf, &["first"]), [1]);
    }
}
