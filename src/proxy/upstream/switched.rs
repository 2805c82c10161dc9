//! The upstream's end of a connection that leaves HTTP: what it becomes, and the place that it goes on taking.

use http::Response;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::pool::{Held, Lease};

/// The upstream's end of a connection that leaves HTTP. It keeps its place among `connections.max`.
pub struct Switched {
    upgrade: OnUpgrade,
    place: Held,
}

impl Switched {
    pub(super) fn of(response: &mut Response<Incoming>, lease: Lease) -> Self {
        Self {
            upgrade: hyper::upgrade::on(response),
            place: lease.hold(),
        }
    }

    /// The connection once it has left HTTP, and its place, which is given back with what is returned.
    pub fn into_parts(self) -> (OnUpgrade, Held) {
        (self.upgrade, self.place)
    }
}
