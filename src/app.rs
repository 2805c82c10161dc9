//! The composition root: the only file that knows everything.
//!
//! `App::build` binds and wires, `App::run` serves until it is told to stop and has drained. The shutdown is an argument,
//! and the bound addresses can be asked for, so a test runs the whole product on port 0.
//!
//! A drain (SIGTERM) makes `/readyz` fail and goes on serving, new connections included: a sidecar's client may still be
//! at work. It ends when nothing was in flight for `QUIET`, at the latest after `shutdown.grace`; a second signal ends
//! it at once.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use prometheus::{IntGauge, Opts, Registry};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

use crate::admin::{Admin, Readiness};
use crate::clock;
use crate::config::Config;
use crate::proxy::body::{BoxError, ResponseBody};
use crate::proxy::error::Error as ProxyError;
use crate::proxy::shared::Drain;
use crate::proxy::upstream::HeaderCase;
use crate::proxy::{BuildError, Proxy, Surroundings, respond};
use crate::server::Server;
use crate::telemetry;

/// redrive, bound and ready to run.
pub struct App {
    server: Server,
    admin: Admin,
    proxy: Arc<Proxy>,
    readiness: Readiness,
    drain: watch::Sender<Option<Instant>>,
    grace: Duration,
}

/// Why redrive cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be bound.
    #[error("cannot listen on {address} ({key})")]
    Listen {
        /// The configuration's key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The path of a request cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Metrics are registered twice.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// There is no thread left for the log.
    #[error("cannot set up the log")]
    Log(#[source] io::Error),
    /// Signals cannot be received.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

impl Error {
    /// The process's exit code: 69 (EX_UNAVAILABLE), whatever kept it from starting.
    pub fn exit_code(&self) -> u8 {
        69
    }
}

/// Runs redrive until SIGTERM or SIGINT, and drains; a second signal ends it at once.
///
/// # Errors
/// When it cannot start.
pub async fn run(config: Config) -> Result<(), Error> {
    let _last_words = telemetry::init(config.log).map_err(Error::Log)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let app = App::build(&config).await?;
    tracing::info!(
        listen = app.client_addr().map(tracing::field::display),
        admin = app.admin_addr().map(tracing::field::display),
        version = env!("CARGO_PKG_VERSION"),
        "redrive is ready"
    );
    let shutdown = CancellationToken::new();
    let mut running = std::pin::pin!(app.run(shutdown.clone().cancelled_owned()));
    for _ in 0..2 {
        tokio::select! {
            () = &mut running => return Ok(()),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    }
    tracing::warn!("second signal: ending now");
    Ok(())
}

impl App {
    /// Builds everything and binds both listeners; serves nothing yet.
    ///
    /// # Errors
    /// When an address cannot be bound or an upstream's TLS cannot be set up.
    pub async fn build(config: &Config) -> Result<Self, Error> {
        let registry = Registry::new();
        register_process(&registry)?;
        telemetry::register(&registry)?;
        let (ends, drain) = Drain::new();
        let header_case = HeaderCase {
            title: config.server.title_case_headers,
            preserve: config.server.preserve_header_case,
        };
        let listen = config.server.listen;
        let server = Server::bind(config.server.clone(), &registry)
            .await
            .map_err(|source| Error::Listen {
                key: "listen",
                address: listen,
                source,
            })?;
        let readiness = Readiness::default();
        let around = Surroundings {
            registry: &registry,
            own_port: server
                .local_addr()
                .map_or_else(|_| listen.port(), |bound| bound.port()),
            told: config.log.requests,
            body_idle: config.server.body_idle,
            header_case,
            drain,
        };
        let proxy = Proxy::build(&config.proxy, around)?;
        let shown = Arc::clone(&proxy);
        let admin = Admin::bind(&config.admin, registry, readiness.clone(), move || {
            shown.show()
        })
        .await
        .map_err(|source| Error::Listen {
            key: "admin.listen",
            address: config.admin.listen,
            source,
        })?;
        Ok(Self {
            server,
            admin,
            proxy,
            readiness,
            drain: ends,
            grace: config.grace,
        })
    }

    /// Where clients are served.
    pub fn client_addr(&self) -> Option<SocketAddr> {
        self.server.local_addr().ok()
    }

    /// Where the operator is served.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.local_addr().ok()
    }

    /// Serves until `shutdown`, then drains. Dropping the future ends everything at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            server,
            admin,
            proxy,
            readiness,
            drain,
            grace,
        } = self;
        let stop = CancellationToken::new();
        let serve = {
            let (proxy, refusing) = (Arc::clone(&proxy), Arc::clone(&proxy));
            server.run(
                move |client| stack(Arc::clone(&proxy), client),
                move || refusing.count_unreadable(),
                stop.clone(),
            )
        };
        readiness.set(true);
        let life = async {
            shutdown.await;
            readiness.set(false);
            let ends = clock::now() + grace;
            drain.send_replace(Some(ends));
            tracing::info!(grace = ?grace, "draining");
            if tokio::time::timeout_at(ends.into(), quiet(&proxy))
                .await
                .is_err()
            {
                tracing::warn!(
                    in_flight = proxy.in_flight(),
                    "grace is over: what is left is cut off"
                );
            }
            stop.cancel();
            tokio::time::sleep(CLOSE_MAX).await;
        };
        tokio::select! {
            () = life => {}
            () = async { tokio::join!(serve, admin.run(CancellationToken::new())); } => {}
            () = proxy.tell_notices() => {}
        }
    }
}

/// The layers around the walk: what is not ours to write. A panic is a bug; it costs its own request only.
fn stack<B>(
    proxy: Arc<Proxy>,
    client: IpAddr,
) -> impl Service<Request<B>, Response = Response<ResponseBody>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(BodyExt::boxed_unsync))
        .layer(CatchPanicLayer::custom(|_| -> Response<ResponseBody> {
            respond::problem(&ProxyError::Internal)
        }))
        .layer(SetSensitiveRequestHeadersLayer::new(SECRETS))
        .service(service_fn(move |request: Request<B>| {
            let proxy = Arc::clone(&proxy);
            async move { Ok::<_, Infallible>(proxy.serve(request, client).await) }
        }))
}

/// Returns once nothing was in flight for `QUIET`.
async fn quiet(proxy: &Proxy) {
    let mut since = clock::now();
    while clock::now().saturating_duration_since(since) < QUIET {
        tokio::time::sleep(LOOK_EVERY).await;
        if proxy.in_flight() > 0 {
            since = clock::now();
        }
    }
}

fn register_process(registry: &Registry) -> Result<(), prometheus::Error> {
    #[cfg(target_os = "linux")]
    registry.register(Box::new(
        prometheus::process_collector::ProcessCollector::for_self(),
    ))?;
    let info = Opts::new("redrive_build_info", "The version that runs; always 1.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    let info = IntGauge::with_opts(info)?;
    info.set(1);
    registry.register(Box::new(info))
}

/// Headers whose values never show in a log.
const SECRETS: [HeaderName; 5] = [
    AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("idempotency-key"),
];

/// A drain ends when nothing was in flight for this long: a client between two calls gets the second one through.
const QUIET: Duration = Duration::from_secs(1);

/// How often a drain looks whether anything is in flight.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long connections may take to close once nothing is in flight.
const CLOSE_MAX: Duration = Duration::from_millis(250);
