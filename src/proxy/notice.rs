//! What an operator should hear once a minute, and not once a request.
//!
//! Throttled requests that were not retried for safety's sake, with the setting that would change it; and clients'
//! signatures that the configured host or base path breaks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
        for notice in self.take(route) {
            tracing::warn!(route, "{notice}");
        }
    }

    /// What happened since the last call, in sentences; the next call starts anew.
    fn take(&self, route: &str) -> Vec<String> {
        let unsafe_stops = [
            ("POST", &self.unsafe_posts),
            ("PATCH", &self.unsafe_patches),
            ("other", &self.unsafe_others),
        ];
        let stops = unsafe_stops.map(|(method, count)| {
            let requests = count.swap(0, Ordering::Relaxed);
            (requests > 0).then(|| {
                format!(
                    "{requests} {method} on `{route}` looked throttled and were not retried: unsafe. They may have run; send \
                     an Idempotency-Key, mark the gateway's responses (retry.marker_header), or, if running one twice is \
                     harmless, set retry.unsafe_methods = \"always\" for this route"
                )
            })
        });
        let requests = self.broken_signatures.swap(0, Ordering::Relaxed);
        let signatures = (requests > 0).then(|| {
            format!(
                "{requests} requests on `{route}` were signed by the client for another host or path than the upstream's, \
                 so their signatures do not hold; let the client sign for the upstream, or set host = \"client\" and an \
                 upstream without a path"
            )
        });
        stops.into_iter().flatten().chain(signatures).collect()
    }
}

/// Once a minute has what happened told, on all the routes that there are by then. Never returns.
pub async fn tell_each_minute(tell: impl Fn()) {
    loop {
        tokio::time::sleep(EVERY).await;
        tell();
    }
}

/// Often enough to be seen during an incident, seldom enough not to be one.
const EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what is logged.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        fn lines(&self) -> Vec<String> {
            let kept = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            kept.lines().map(str::to_owned).collect()
        }
    }

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_happened_is_told_when_the_minute_is_over_and_not_again() {
        let (orders, search) = (Notices::default(), Notices::default());
        let kept = Kept::default();
        let sink = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || sink.clone())
            .with_ansi(false)
            .finish();
        let _logs = tracing::subscriber::set_default(subscriber);
        let routes = [("orders", &orders), ("search", &search)];
        let telling = tell_each_minute(|| {
            let routes = routes.iter();
            routes.for_each(|(route, notices)| notices.tell(route));
        });
        let mut telling = std::pin::pin!(telling);
        let mut pass = async |seconds| {
            let span = Duration::from_secs(seconds);
            let _still_telling = tokio::time::timeout(span, &mut telling).await;
        };

        (0..212).for_each(|_| orders.unsafe_stop(&Method::POST));
        pass(59).await;
        assert!(kept.lines().is_empty(), "{:?}", kept.lines());
        pass(2).await;
        let told = kept.lines();
        pass(600).await;

        assert_eq!(told.len(), 1, "{told:?}");
        let sentence = "212 POST on `orders` looked throttled and were not retried: unsafe";
        assert!(told[0].contains("WARN") && told[0].contains(sentence));
        assert!(told[0].contains("retry.unsafe_methods = \"always\""));
        assert_eq!(kept.lines(), told, "nothing happened since");
        search.broken_signature();
        pass(60).await;
        assert_eq!(kept.lines().len(), 2);
    }

    #[test]
    fn what_was_not_retried_for_safety_is_told_once_with_the_setting_that_would_change_it() {
        let notices = Notices::default();
        notices.unsafe_stop(&Method::POST);
        notices.unsafe_stop(&Method::POST);
        notices.unsafe_stop(&Method::PATCH);

        let told = notices.take("orders");

        assert_eq!(told.len(), 2);
        assert!(
            told[0]
                .starts_with("2 POST on `orders` looked throttled and were not retried: unsafe.")
        );
        assert!(told[0].contains("retry.unsafe_methods"));
        assert!(
            notices.take("orders").is_empty(),
            "the next minute starts anew"
        );
    }

    #[test]
    fn signatures_that_cannot_hold_are_told_without_a_word_on_what_did_not_happen() {
        let notices = Notices::default();
        notices.broken_signature();

        let told = notices.take("orders");

        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("1 requests on `orders` were signed by the client"));
    }
}
