//! The end: goes on serving until nobody asks any more, and not for ever.
//!
//! A sidecar is told to end last, or at the same moment as the clients that it serves, which may have calls left to make
//! (a native sidecar of Kubernetes is the first, ECS the second). So listeners stay open, new connections too, and only
//! whoever keeps a connection is told that it has no future: HTTP/1 by `Connection: close` on its next answer, HTTP/2 by
//! GOAWAY. A request that comes after the end then finds no connection to be lost on.

use std::time::{Duration, Instant};

use crate::clock;
use crate::proxy::Current;
use crate::server::Ending;

/// Ends what a drain has to end, in its order.
pub(super) struct Drainer {
    pub(super) current: Current,
    /// Tells the connections of clients.
    pub(super) ending: Ending,
}

impl Drainer {
    /// Serves on until nothing was in flight for [`QUIET`], or until `ends`; then closes what is open.
    pub(super) async fn run(&self, ends: Instant) {
        self.ending.drain.cancel();
        if tokio::time::timeout_at(ends.into(), self.quiet())
            .await
            .is_err()
        {
            tracing::warn!(
                in_flight = self.in_flight(),
                "grace is over: what is left is cut off"
            );
        }
        self.ending.stop.cancel();
        // What came with the last look is answered, too.
        let _done_or_grace_over = tokio::time::timeout_at(ends.into(), self.idle()).await;
        self.current.load().tunnels().cut_off();
        tokio::time::sleep(CLOSE_MAX).await;
    }

    /// Returns once nothing was in flight for `QUIET`.
    async fn quiet(&self) {
        let mut since = clock::now();
        let mut arrivals = self.current.load().arrivals();
        while clock::now().saturating_duration_since(since) < QUIET {
            tokio::time::sleep(LOOK_EVERY).await;
            // Two looks may have a whole request between them.
            let arrived = self.current.load().arrivals();
            if self.in_flight() > 0 || arrived != arrivals {
                since = clock::now();
                arrivals = arrived;
            }
        }
    }

    /// Returns once nothing is in flight.
    async fn idle(&self) {
        while self.in_flight() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn in_flight(&self) -> i64 {
        self.current.load().in_flight()
    }
}

/// A drain ends when nothing was in flight for this long: a client between two calls gets the second one through.
const QUIET: Duration = Duration::from_secs(1);

/// How often a drain looks whether anything is in flight.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long connections may take to close once nothing is in flight.
const CLOSE_MAX: Duration = Duration::from_millis(250);
