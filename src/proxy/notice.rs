//! What an operator should hear once a minute, and not once a request.
//!
//! Throttled requests that were not retried for safety's sake, with the setting that would change it; and clients'
//! signatures that the configured host or base path breaks.

use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;

/// What happened on one route since it was last told.
#[derive(Debug, Default)]
pub struct Notices {
    unsafe_posts: AtomicU64,
    unsafe_patches: AtomicU64,
    unsafe_others: AtomicU64,
    broken_signatures: AtomicU64,
}

impl Notices {
    /// A request looked throttled and was not retried, since it might have done its work twice.
    pub fn unsafe_stop(&self, method: &Method) {
        let count = match *method {
            Method::POST => &self.unsafe_posts,
            Method::PATCH => &self.unsafe_patches,
            _ => &self.unsafe_others,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// A request that the client signed went to a host or path other than the signed one.
    pub fn broken_signature(&self) {
        self.broken_signatures.fetch_add(1, Ordering::Relaxed);
    }

    /// Logs what happened since the last call, and starts anew.
    pub fn tell(&self, route: &str) {
        let unsafe_stops = [
            ("POST", &self.unsafe_posts),
            ("PATCH", &self.unsafe_patches),
            ("other", &self.unsafe_others),
        ];
        for (method, count) in unsafe_stops {
            let requests = count.swap(0, Ordering::Relaxed);
            if requests > 0 {
                tracing::warn!(
                    route,
                    reason = "unsafe",
                    "{requests} {method} on `{route}` looked throttled and were not retried: unsafe. They may have run; \
                     send an Idempotency-Key, mark the gateway's responses (retry.marker_header), or, if running one \
                     twice is harmless, set retry.unsafe_methods = \"always\" for this route"
                );
            }
        }
        let requests = self.broken_signatures.swap(0, Ordering::Relaxed);
        if requests > 0 {
            tracing::warn!(
                route,
                "{requests} requests on `{route}` were signed by the client for another host or path than the upstream's, \
                 so their signatures do not hold; let the client sign for the upstream, or set host = \"client\" and an \
                 upstream without a path"
            );
        }
    }
}
