//! Which protocols a new connection offers to the upstream (ALPN): HTTP/2 and HTTP/1.1, or HTTP/1.1 alone.
//!
//! The upstream chooses, and may think better of it: one that resets a stream with HTTP_1_1_REQUIRED (RFC 9113 section 7) is
//! spoken to in HTTP/1.1 for [`HTTP1_FOR`]. An upgrade asks for HTTP/1.1 by itself, since HTTP/2 has none (RFC 9113 section
//! 8.6).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a new connection offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2 and HTTP/1.1.
    Both,
    /// HTTP/1.1 alone.
    Http1,
}

/// What the upstream was found to require.
#[derive(Debug, Default)]
pub(super) struct Required {
    http1_until: Mutex<Option<Instant>>,
}

impl Required {
    /// What to offer for a request.
    pub(super) fn offer(&self, asks_upgrade: bool, now: Instant) -> Offer {
        let is_required = self.http1_until().is_some_and(|until| now < until);
        if asks_upgrade || is_required {
            Offer::Http1
        } else {
            Offer::Both
        }
    }

    /// The upstream requires HTTP/1.1.
    pub(super) fn http1(&self, now: Instant) {
        *self.http1_until() = Some(now + HTTP1_FOR);
    }

    /// The upstream took no connection that offers HTTP/1.1 alone.
    pub(super) fn forget(&self) {
        *self.http1_until() = None;
    }

    fn http1_until(&self) -> MutexGuard<'_, Option<Instant>> {
        let until = self.http1_until.lock();
        until.unwrap_or_else(PoisonError::into_inner)
    }
}

/// HTTP/2 in ALPN (RFC 9113 section 3.1).
pub(super) const HTTP2: &[u8] = b"h2";

/// HTTP/1.1 in ALPN (RFC 7301 section 6).
pub(super) const HTTP1: &[u8] = b"http/1.1";

/// How long an upstream that requires HTTP/1.1 is offered nothing else. Asking again costs one request a retry.
const HTTP1_FOR: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn an_upgrade_asks_for_http_1_whatever_the_upstream_speaks() {
        let required = Required::default();

        assert_eq!(required.offer(true, clock::now()), Offer::Http1);
        assert_eq!(required.offer(false, clock::now()), Offer::Both);
    }

    #[test]
    fn an_upstream_that_requires_http_1_is_asked_again_later() {
        let (required, now) = (Required::default(), clock::now());

        required.http1(now);

        let just_before = now + HTTP1_FOR - Duration::from_nanos(1);
        assert_eq!(required.offer(false, just_before), Offer::Http1);
        assert_eq!(required.offer(false, now + HTTP1_FOR), Offer::Both);
    }

    #[test]
    fn an_upstream_that_has_no_http_1_cannot_require_it() {
        let (required, now) = (Required::default(), clock::now());

        required.http1(now);
        required.forget();

        assert_eq!(required.offer(false, now), Offer::Both);
    }
}
