//! One deadline a request: after it nothing waits and nothing starts.
//!
//! Two limits meet here. The route's total stops new attempts and lets a running one come home within its own limit. The
//! client's header is harder: the client will not wait longer, so the answer's head must be there by then.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use pin_project_lite::pin_project;
use tokio::task::coop::{Unconstrained, unconstrained};

use crate::retry::fields::rare;

/// A route's time limits (`[deadline]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Nothing waits or starts after it, counted from the request's arrival.
    pub total: Duration,
    /// From the start of an attempt, or from the last byte of its upload, to the answer's head. Waiting for the client's own bytes
    /// is limited as a pause in a body, and does not count.
    pub attempt: Duration,
    /// For a connection, TLS included.
    pub connect: Duration,
    /// The header in which a client sets its own, hard limit to the answer's head.
    pub header: HeaderName,
}

/// One request's limits, as moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// When the request came.
    pub arrival: Instant,
    /// Nothing waits or starts after it.
    pub start_by: Instant,
    /// No retry starts after it: as long as the client's signature holds, if it made one that ends earlier.
    pub retry_by: Instant,
    /// The client's own limit to the answer's head, if it set one.
    pub head_by: Option<Instant>,
}

pin_project! {
    /// What is done, unless a limit ends before: see [`unless`].
    ///
    /// A type of its own, since the future of a function has room for its arguments twice.
    pub struct Unless<L, D> {
        #[pin]
        limit: Unconstrained<L>,
        #[pin]
        done: D,
    }
}

/// What is done, unless `limit` ends before.
///
/// The limit is asked whatever the task has done already: who never has to wait uses up all that a task may do at once, and would
/// leave nothing for the clock.
pub fn unless<L, D>(limit: L, done: D) -> Unless<L, D>
where
    L: Future<Output = ()>,
    D: Future,
{
    Unless {
        limit: unconstrained(limit),
        done,
    }
}

impl<L, D> Future for Unless<L, D>
where
    L: Future<Output = ()>,
    D: Future,
{
    type Output = Option<D::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(done) = this.done.poll(cx) {
            return Poll::Ready(Some(done));
        }
        this.limit.poll(cx).map(|()| None)
    }
}

impl Deadline {
    /// The limits of a request that arrived at `arrival`. A header that cannot be read limits nothing: the route's total
    /// stands, and refusing the request would help nobody.
    pub fn new(params: &Params, headers: &HeaderMap, arrival: Instant) -> Self {
        let client = rare(headers, &params.header).and_then(|value| value.to_str().ok());
        let client = client.and_then(|value| humantime::parse_duration(value.trim()).ok());
        let total = params.total.min(client.unwrap_or(Duration::MAX));
        let start_by = arrival + total;
        Self {
            arrival,
            start_by,
            retry_by: start_by,
            head_by: client.map(|limit| arrival + limit.min(params.cap())),
        }
    }

    /// The same, with retries only while something holds that ends `left` after `now`. The first attempt is none of its
    /// business: whether it comes too late is for the upstream to say.
    pub fn retrying_within(self, left: Option<Duration>, now: Instant) -> Self {
        let end = left.and_then(|left| now.checked_add(left));
        Self {
            retry_by: end.map_or(self.retry_by, |end| self.retry_by.min(end)),
            ..self
        }
    }

    /// Whether the client's own limit has passed.
    pub fn is_over(&self, now: Instant) -> bool {
        self.head_by.is_some_and(|end| end <= now)
    }

    /// How much is left of the client's own limit; without end if it set none.
    pub fn head_within(&self, now: Instant) -> Duration {
        self.head_by
            .map_or(Duration::MAX, |end| end.saturating_duration_since(now))
    }

    /// By when the answer's head must be there, where nobody but the upstream is waited for since `since`.
    pub fn head(&self, params: &Params, since: Instant) -> Instant {
        let own = since + params.attempt;
        self.head_by.map_or(own, |client| client.min(own))
    }
}

impl Params {
    /// No client limit needs to be longer than this; it also keeps absurd ones from overflowing the clock.
    fn cap(&self) -> Duration {
        self.total.saturating_add(self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        Params {
            total: Duration::from_secs(30),
            attempt: Duration::from_secs(31),
            connect: Duration::from_secs(3),
            header: HeaderName::from_static("redrive-timeout"),
        }
    }

    #[track_caller]
    fn check(header: Option<&'static str>, start_within: Duration, head_within: Duration) {
        let now = crate::clock::now();
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|value| (params().header, value.parse().unwrap())));

        let deadline = Deadline::new(&params(), &headers, now);

        assert_eq!(deadline.start_by - now, start_within, "{header:?}");
        assert_eq!(
            deadline.head(&params(), now) - now,
            head_within,
            "{header:?}"
        );
    }

    #[test]
    fn a_client_may_shorten_its_deadline_and_not_lengthen_it() {
        check(None, Duration::from_secs(30), Duration::from_secs(31));
        check(
            Some("2.5s"),
            Duration::from_millis(2500),
            Duration::from_millis(2500),
        );
        check(
            Some("800ms"),
            Duration::from_millis(800),
            Duration::from_millis(800),
        );
        check(Some("1h"), Duration::from_secs(30), Duration::from_secs(31));
        check(
            Some("100000years"),
            Duration::from_secs(30),
            Duration::from_secs(31),
        );
    }

    #[test]
    fn what_ends_earlier_ends_the_retries_and_not_the_first_attempt() {
        let now = crate::clock::now();
        let deadline = Deadline::new(&params(), &HeaderMap::new(), now);
        let within = |left| {
            let limited = deadline.retrying_within(left, now);
            assert_eq!(limited.start_by, deadline.start_by);
            limited.retry_by - now
        };

        assert_eq!(within(None), Duration::from_secs(30));
        assert_eq!(within(Some(Duration::from_secs(5))), Duration::from_secs(5));
        assert_eq!(within(Some(Duration::ZERO)), Duration::ZERO);
        assert_eq!(
            within(Some(Duration::from_secs(300))),
            Duration::from_secs(30)
        );
        assert_eq!(within(Some(Duration::MAX)), Duration::from_secs(30));
    }

    #[test]
    fn a_limit_that_cannot_be_read_limits_nothing() {
        check(
            Some("soon"),
            Duration::from_secs(30),
            Duration::from_secs(31),
        );
        check(
            Some("-1s"),
            Duration::from_secs(30),
            Duration::from_secs(31),
        );
    }

    #[tokio::test]
    async fn a_limit_holds_for_who_never_has_to_wait() {
        let by = crate::clock::now() + Duration::from_secs(5);
        let never_waits = async {
            while crate::clock::now() < by {
                tokio::task::coop::consume_budget().await;
            }
        };
        let limit = tokio::time::sleep(Duration::from_millis(1));

        assert_eq!(unless(limit, never_waits).await, None);
    }
}
