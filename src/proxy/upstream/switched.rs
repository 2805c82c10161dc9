//! The upstream's end of a connection that leaves HTTP: what it becomes, and the place that it goes on taking.

use http::Response;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::lease::Whole;

/// The upstream's end of a connection that leaves HTTP. It keeps its place among `connections.max`.
pub struct Switched {
    upgrade: OnUpgrade,
    place: Place,
}

/// The place of a connection that left HTTP.
pub struct Place(#[expect(dead_code, reason = "held for what its end gives back")] Whole);

impl Switched {
    pub(super) fn of(response: &mut Response<Incoming>, mut whole: Whole) -> Self {
        // Nobody polls for anything on it any more.
        whole.run_apart();
        Self {
            upgrade: hyper::upgrade::on(response),
            place: Place(whole),
        }
    }

    /// The connection once it has left HTTP, and its place, which is given back with what is returned.
    pub fn into_parts(self) -> (OnUpgrade, Place) {
        (self.upgrade, self.place)
    }
}
