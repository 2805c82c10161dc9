//! The composition root: the only file that knows everything.
//!
//! `App::build` binds and wires, `App::run` serves until it is told to stop and has drained. The shutdown is an argument,
//! and the bound addresses can be asked for, so a test runs the whole product on port 0.
//!
//! A drain (SIGTERM) makes `/readyz` fail and goes on serving, new connections included: a sidecar's client may still be
//! at work. It ends when nothing was in flight for `QUIET`, at the latest after `shutdown.grace`; a second signal ends
//! it at once.

mod stack;
mod supervisor;
mod tls_files;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::{IntGauge, Opts, Registry};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::stack::stack;
pub use self::tls_files::TlsFiles;
use crate::admin::{Admin, Readiness};
use crate::clock;
use crate::config::Config;
use crate::proxy::shared::Drain;
use crate::proxy::upstream::HeaderCase;
use crate::proxy::{BuildError, Proxy, Surroundings};
use crate::server::Server;
use crate::telemetry;
use crate::tls::{self, Expiries};

/// redrive, bound and ready to run.
pub struct App {
    server: Server,
    admin: Admin,
    proxy: Arc<Proxy>,
    readiness: Readiness,
    drain: watch::Sender<Option<Instant>>,
    grace: Duration,
    files: TlsFiles,
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
    /// TLS towards clients cannot be set up.
    #[error("TLS towards clients cannot be set up")]
    Tls(#[source] Box<tls::Error>),
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
    let mut hangup = signal(SignalKind::hangup()).map_err(Error::Signals)?;
    let app = App::build(&config).await?;
    tracing::info!(
        listen = app.client_addr().map(tracing::field::display),
        admin = app.admin_addr().map(tracing::field::display),
        version = env!("CARGO_PKG_VERSION"),
        "redrive is ready"
    );
    supervisor::tell_ready();
    let shutdown = CancellationToken::new();
    let files = app.tls_files();
    let mut running = std::pin::pin!(app.run(shutdown.clone().cancelled_owned()));
    let mut told_to_end = 0;
    while told_to_end < 2 {
        tokio::select! {
            () = &mut running => return Ok(()),
            _ = hangup.recv() => {
                supervisor::tell_around(files.reload()).await;
                continue;
            }
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told_to_end += 1;
        supervisor::tell_stopping();
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
        let expiries = Expiries::register(&registry)?;
        let listen_tls = config.server.tls.as_ref();
        let listen_tls = listen_tls
            .map(|params| params.read(expiries.place()).map(Arc::new))
            .transpose()
            .map_err(|error| Error::Tls(Box::new(error)))?;
        let (ends, drain) = Drain::new();
        let header_case = HeaderCase {
            title: config.server.title_case_headers,
            preserve: config.server.preserve_header_case,
        };
        let listen = config.server.listen;
        let server = Server::bind(config.server.clone(), listen_tls.clone(), &registry)
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
            expiries: &expiries,
            is_secure: listen_tls.is_some(),
        };
        let proxy = Proxy::build(&config.proxy, around)?;
        let shown = Arc::clone(&proxy);
        let admin = Admin::bind(&config.admin, registry, readiness.clone(), shown)
            .await
            .map_err(|source| Error::Listen {
                key: "admin.listen",
                address: config.admin.listen,
                source,
            })?;
        Ok(Self {
            server,
            admin,
            files: TlsFiles::new(listen_tls, &proxy),
            proxy,
            readiness,
            drain: ends,
            grace: config.grace,
        })
    }

    /// What TLS is read from, to have it read again at once.
    pub fn tls_files(&self) -> TlsFiles {
        self.files.clone()
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
            files,
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
        let _cut_off = proxy.tunnels().end_with();
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
            proxy.tunnels().cut_off();
            tokio::time::sleep(CLOSE_MAX).await;
        };
        tokio::select! {
            () = life => {}
            () = async { tokio::join!(serve, admin.run(CancellationToken::new())); } => {}
            () = proxy.tell_notices() => {}
            () = files.follow() => {}
        }
    }
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

/// A drain ends when nothing was in flight for this long: a client between two calls gets the second one through.
const QUIET: Duration = Duration::from_secs(1);

/// How often a drain looks whether anything is in flight.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long connections may take to close once nothing is in flight.
const CLOSE_MAX: Duration = Duration::from_millis(250);
