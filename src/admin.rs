//! The operator's side: a second listener with liveness, readiness, metrics and the status. Read-only.
//!
//! Readiness never speaks of the upstream's health: a throttled upstream is when redrive is needed most. What shows names of
//! routes and upstreams is for loopback peers only, unless `admin.pages` opens it: a scraper and an orchestrator come from
//! elsewhere, a person looks from inside.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::proxy::status::Status;

/// The admin listener's parameters (`[admin]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who may see the pages that show routes and upstreams.
    pub pages: Pages,
}

/// Who may see the pages that show routes and upstreams (`admin.pages`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Peers on a loopback address.
    Loopback,
    /// Anyone who reaches the listener.
    Any,
}

/// Whether new work is welcome: from the moment that all listeners are bound, until a drain begins.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

/// A bound admin listener, not accepting yet.
pub struct Admin {
    listener: TcpListener,
    registry: Registry,
    readiness: Readiness,
    pages: Pages,
    show: Arc<dyn Fn() -> Status + Send + Sync>,
}

impl Pages {
    fn are_open_to(self, peer: IpAddr) -> bool {
        match self {
            // A listener on an IPv6 wildcard sees an IPv4 peer as a mapped address.
            Self::Loopback => peer.to_canonical().is_loopback(),
            Self::Any => true,
        }
    }
}

impl Readiness {
    /// Says whether new work is welcome.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Admin {
    /// Binds the listener. `show` brings gauges up to date before they are read, and tells the status.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(
        params: &Params,
        registry: Registry,
        readiness: Readiness,
        show: impl Fn() -> Status + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(params.listen).await?;
        Ok(Self {
            listener,
            registry,
            readiness,
            pages: params.pages,
            show: Arc::new(show),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the socket does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop`, to the last moment of a drain.
    pub async fn run(self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let admin = Arc::new(self);
        // Dropped with this future, so that no connection outlives it.
        let end = CancellationToken::new();
        let _cut_off = end.clone().drop_guard();
        let work = async {
            loop {
                let slot = Arc::clone(&slots)
                    .acquire_owned()
                    .await
                    .expect("the semaphore is never closed");
                match admin.listener.accept().await {
                    Ok((stream, peer)) => {
                        let admin = Arc::clone(&admin);
                        tasks.spawn(end.clone().run_until_cancelled_owned(async move {
                            admin.serve(stream, peer.ip()).await;
                            drop(slot);
                        }));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept admin connections just now");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    async fn serve(&self, stream: TcpStream, peer: IpAddr) {
        let service = service_fn(async |request| Ok::<_, Infallible>(self.answer(&request, peer)));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "admin connection ended"
            );
        }
    }

    fn answer<B>(&self, request: &Request<B>, peer: IpAddr) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(
                StatusCode::METHOD_NOT_ALLOWED,
                "the admin listener is read-only\n",
            );
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "live\n"),
            "/readyz" if self.readiness.is_ready() => text(StatusCode::OK, "ready\n"),
            "/readyz" => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "not ready: starting or draining\n",
            ),
            "/metrics" => self.metrics(),
            "/status" if self.pages.are_open_to(peer) => self.status(),
            "/status" => text(
                StatusCode::FORBIDDEN,
                "for loopback peers only: see admin.pages\n",
            ),
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /livez, /readyz, /metrics and /status\n",
            ),
        }
    }

    fn status(&self) -> Response<Full<Bytes>> {
        let page = serde_json::to_vec(&(self.show)()).expect("a status holds words and numbers");
        let mut response = Response::new(Full::new(Bytes::from(page)));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        (self.show)();
        let mut page = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut page) {
            tracing::warn!(%error, "metrics cannot be written");
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics cannot be written\n",
            );
        }
        let mut response = Response::new(Full::new(Bytes::from(page)));
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static(prometheus::TEXT_FORMAT),
        );
        response
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// Enough for a scraper, probes and a few people; one more waits in the listener's backlog.
const CONNECTIONS_MAX: usize = 64;

/// An admin connection without a request is closed after this.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn pages_are_for_loopback_peers_unless_they_are_for_anyone() {
        let near = [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::from([127, 8, 0, 1]),
            IpAddr::from(Ipv6Addr::LOCALHOST),
            IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped()),
        ];
        let far = [
            IpAddr::from([10, 0, 0, 1]),
            IpAddr::from(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped()),
            IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]),
        ];

        for peer in near {
            assert!(Pages::Loopback.are_open_to(peer), "{peer}");
        }
        for peer in far {
            assert!(!Pages::Loopback.are_open_to(peer), "{peer}");
            assert!(Pages::Any.are_open_to(peer), "{peer}");
        }
    }
}
