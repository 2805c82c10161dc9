//! The composition root: the only file that knows everything.
//!
//! `App::build` binds and wires, `App::run` serves until it is told to stop and has drained. The shutdown is an argument,
//! and the bound addresses can be asked for, so a test runs the whole product on port 0.
//!
//! While it runs, the configuration may change ([`Reloader`]), which `follow` notices. A drain (SIGTERM) makes `/readyz` fail
//! and goes on serving, see `drain`; it ends when nobody asks any more, at the latest after `shutdown.grace`, and a second
//! signal ends it at once.

mod drain;
mod follow;
mod reload;
mod stack;
mod supervisor;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use prometheus::{IntGauge, Opts, Registry};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::drain::Drainer;
use self::reload::Ground;
use self::stack::stack;
use crate::admin::{Admin, Readiness, Settings};
use crate::clock;
use crate::config::Config;
use crate::proxy::shared::Drain;
use crate::proxy::{BuildError, Proxy};
use crate::server::{Ending, Server};
use crate::telemetry;
use crate::tls::{self, Expiries};

pub use self::follow::Source;
pub use self::reload::{ReloadError, Reloader};

/// redrive, bound and ready to run.
pub struct App {
    server: Server,
    admin: Admin,
    reloader: Reloader,
    readiness: Readiness,
    drain: watch::Sender<Option<Instant>>,
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

/// Runs redrive by this configuration until SIGTERM or SIGINT, and drains; a second signal ends it at once. On SIGHUP, and when
/// a file changes, the configuration is read again from its source.
///
/// # Errors
/// When it cannot start.
pub async fn run(config: Config, source: Source) -> Result<(), Error> {
    let _last_words = telemetry::init(config.log).map_err(Error::Log)?;
    let traces = telemetry::traces::start();
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
    let reloader = app.reloader();
    let mut running = std::pin::pin!(app.run(shutdown.clone().cancelled_owned()));
    let mut following = std::pin::pin!(source.follow(&reloader, &mut hangup));
    let mut told_to_end = 0;
    let mut ends = None;
    while told_to_end < 2 {
        tokio::select! {
            () = &mut running => {
                traces.flush(ends).await;
                return Ok(());
            }
            never = &mut following => match never {},
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told_to_end += 1;
        ends.get_or_insert_with(|| clock::now() + reloader.grace());
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
        let listen = config.server.listen;
        let server = Server::bind(config.server.clone(), listen_tls.clone(), &registry)
            .await
            .map_err(|source| Error::Listen {
                key: "listen",
                address: listen,
                source,
            })?;
        let ground = Ground {
            registry: registry.clone(),
            own_port: server
                .local_addr()
                .map_or_else(|_| listen.port(), |bound| bound.port()),
            drain,
            expiries,
            settings: Settings::new(config.settings.clone()),
        };
        let current = ground.build(config)?;
        let readiness = Readiness::default();
        let shown = Arc::clone(&current);
        let settings = ground.settings.clone();
        let admin = Admin::bind(&config.admin, registry, readiness.clone(), shown, settings)
            .await
            .map_err(|source| Error::Listen {
                key: "admin.listen",
                address: config.admin.listen,
                source,
            })?;
        let reloader = Reloader::new(ground, config, current, server.terms(), listen_tls)?;
        Ok(Self {
            server,
            admin,
            reloader,
            readiness,
            drain: ends,
        })
    }

    /// What has the configuration read again while it runs.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
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
            reloader,
            readiness,
            drain,
        } = self;
        let current = Arc::clone(reloader.current());
        let drainer = Drainer {
            current: Arc::clone(&current),
            ending: Ending::default(),
        };
        let serve = {
            let (serving, refusing) = (Arc::clone(&current), Arc::clone(&current));
            server.run(
                move |client| stack(Arc::clone(&serving), client),
                move || refusing.load().count_unreadable(),
                drainer.ending.clone(),
            )
        };
        // Shared by every path, whichever is in use at the end. The path itself must not be held: it would keep its connections.
        let _cut_off = current.load().tunnels().end_with();
        readiness.set(true);
        let life = async {
            shutdown.await;
            readiness.set(false);
            let grace = reloader.grace();
            let ends = clock::now() + grace;
            drain.send_replace(Some(ends));
            tracing::info!(grace = ?grace, "draining");
            drainer.run(ends).await;
        };
        tokio::select! {
            () = life => {}
            () = async { tokio::join!(serve, admin.run(CancellationToken::new())); } => {}
            () = Proxy::tell_notices(&current) => {}
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
