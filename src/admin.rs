//! The operator's side: a second listener with liveness, readiness, metrics, status, settings and a page to look at. Read-only.
//!
//! Readiness never speaks of the upstream's health: a throttled upstream is when redrive is needed most. What shows names of
//! routes, upstreams and requests is for loopback only, unless `admin.pages` opens it: a scraper and an orchestrator come from
//! elsewhere, a person looks from inside.
//!
//! | file | holds |
//! |---|---|
//! | `answer` | answers that are known at once |
//! | `connection` | one connection, and what ends it |
//! | `guard` | who may see the pages |
//! | `settings` | the configuration in use |
//! | `page` | the page's files and what a browser may do with them |
//! | `history` | the last 15 minutes |
//! | `summary` | whether redrive helps, in words |
//! | `events` | what the page is told every second |

mod answer;
mod connection;
mod events;
mod guard;
mod history;
mod page;
mod settings;
mod summary;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::answer::{shown, text};
use self::connection::{AnswerBody, Connection};
use self::events::{Events, Refused};
pub use self::guard::Pages;
pub use self::settings::{Setting, Settings};
use crate::clock;
use crate::proxy::Current;

/// The admin listener's parameters (`[admin]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who may see the pages that show routes and upstreams.
    pub pages: Pages,
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
    current: Current,
    settings: Settings,
    events: Arc<Events>,
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
    /// Binds the listener that shows the path in use and these settings.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(
        params: &Params,
        registry: Registry,
        readiness: Readiness,
        current: Current,
        settings: Settings,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(params.listen).await?;
        Ok(Self {
            listener,
            registry,
            readiness,
            pages: params.pages,
            current,
            settings,
            events: Events::new(),
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
        let recorder = Arc::clone(&admin);
        // Counting begins before anybody can ask, so that whoever does finds every route.
        recorder.read();
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
                        let connection = Connection::new(peer.ip(), &tasks, &end);
                        tasks.spawn(end.clone().run_until_cancelled_owned(async move {
                            let answer = |request: &_, from: &_| admin.answer(request, from);
                            connection.serve(stream, answer).await;
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
            () = recorder.record() => {}
            () = stop.cancelled() => {}
        }
    }

    /// Takes a reading every second. Never returns.
    async fn record(&self) {
        let mut seconds = interval_at((clock::now() + READ_EVERY).into(), READ_EVERY);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            seconds.tick().await;
            self.read();
        }
    }

    fn read(&self) {
        let reading = self.current.load().read();
        self.events.record(clock::now(), clock::wall(), reading);
    }

    fn answer<B>(&self, request: &Request<B>, connection: &Connection) -> Response<AnswerBody> {
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
        let path = request.uri().path();
        let is_page =
            matches!(path, "/status" | "/config" | "/events") || page::asset(path).is_some();
        if is_page && !self.pages.are_open_to(connection.peer, request) {
            return text(
                StatusCode::FORBIDDEN,
                "for loopback peers only, by a name of loopback: see admin.pages\n",
            );
        }
        match path {
            "/livez" => text(StatusCode::OK, "live\n"),
            "/readyz" if self.readiness.is_ready() => text(StatusCode::OK, "ready\n"),
            "/readyz" => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "not ready: starting or draining\n",
            ),
            "/metrics" => self.metrics(),
            "/status" => self.status(),
            "/config" => shown("application/json", self.settings.page()),
            "/events" => self.events(request, connection),
            _ => page::asset(path).map_or_else(
                || {
                    text(
                        StatusCode::NOT_FOUND,
                        "there are /, /livez, /readyz, /metrics, /status and /config\n",
                    )
                },
                |asset| shown(asset.content_type, Bytes::from_static(asset.bytes)),
            ),
        }
    }

    /// A stream of events; the task that tells them ends with the connection, the admin listener, or a reader too slow.
    fn events<B>(&self, request: &Request<B>, connection: &Connection) -> Response<AnswerBody> {
        if guard::is_from_elsewhere(request.headers()) {
            return text(StatusCode::FORBIDDEN, "for the status page only\n");
        }
        let route = request.uri().query().and_then(route_of);
        let (listener, body) = match self.events.listen(route) {
            Ok(listening) => listening,
            Err(Refused::Unknown) => {
                return text(StatusCode::NOT_FOUND, "there is no such route\n");
            }
            Err(Refused::Full) => {
                let mut response = text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many pages are open: close one\n",
                );
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(2));
                return response;
            }
        };
        if request.method() == Method::GET {
            connection.tell(listener);
        }
        let mut response = Response::new(Either::Right(body));
        page::protect(response.headers_mut(), "text/event-stream");
        response
    }

    fn status(&self) -> Response<AnswerBody> {
        let status = self.current.load().show();
        let page = serde_json::to_vec(&status).expect("a status holds words and numbers");
        shown("application/json", Bytes::from(page))
    }

    fn metrics(&self) -> Response<AnswerBody> {
        self.current.load().show();
        let mut page = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut page) {
            tracing::warn!(%error, "metrics cannot be written");
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics cannot be written\n",
            );
        }
        let mut response = Response::new(Either::Left(Full::new(Bytes::from(page))));
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static(prometheus::TEXT_FORMAT),
        );
        response
    }
}

/// The route that a query names.
fn route_of(query: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(name, value)| (name == "route").then(|| value.into_owned()))
}

/// Enough for a scraper, probes and a few people; one more waits in the listener's backlog.
const CONNECTIONS_MAX: usize = 64;

/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the status page's history grows, and its listeners are told.
const READ_EVERY: Duration = Duration::from_secs(1);
