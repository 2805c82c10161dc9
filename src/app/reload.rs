//! A reload: other parameters for everything that can take them while it runs, or none at all.
//!
//! The new configuration is read, judged, and built beside the old one; only when nothing of it failed does it take the old
//! one's place, in one step. A request that is on its way ends on the path that it began on, under the rules that it began
//! with. What was learned, what is counted and the connections stay with the upstreams and routes that stay. What only a
//! restart can change keeps its old value, and is named in the log.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::{IntGauge, Registry};

use super::{Error, descriptors};
use crate::admin::Settings;
use crate::clock;
use crate::config::{self, Config, Loaded};
use crate::dns::Resolver;
use crate::proxy::shared::Drain;
use crate::proxy::upstream::HeaderCase;
use crate::proxy::{BuildError, Current, Proxy, Reloaded, Surroundings};
use crate::server::{Terms, Tls};
use crate::tls::Expiries;

/// Has the configuration read again. Every clone is the same one.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    ground: Ground,
    current: Current,
    terms: Terms,
    listen_tls: Option<Tls>,
    /// What is in use now.
    running: ArcSwap<Config>,
    /// What the last reload failed of, if it did. Held for as long as a reload takes, so that there is one at a time; it may take long,
    /// and nobody but a reload waits for it.
    fault: Mutex<Option<String>>,
    gauges: Gauges,
}

/// What no reload changes, and every path is built on.
pub(super) struct Ground {
    pub(super) registry: Registry,
    /// Where it listens.
    pub(super) own: SocketAddr,
    pub(super) drain: Drain,
    pub(super) resolver: Resolver,
    pub(super) expiries: Expiries,
    /// Where the operator is shown what is in use.
    pub(super) settings: Settings,
}

struct Gauges {
    failed: IntGauge,
    last: IntGauge,
}

/// Why the old configuration stays in use.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new one has faults.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The path of a request cannot be built of it.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// redrive ends, and what comes next is the next process's affair.
    #[error("nothing is reloaded during a drain")]
    Draining,
    /// A bug in redrive.
    #[error("reading the configuration failed")]
    Internal(#[source] tokio::task::JoinError),
}

impl Ground {
    /// Builds the first path.
    pub(super) fn build(&self, config: &Config) -> Result<Current, Error> {
        let proxy = Proxy::build(&config.proxy, &self.around(config))?;
        Ok(Arc::new(ArcSwap::new(proxy)))
    }

    fn around(&self, config: &Config) -> Surroundings<'_> {
        Surroundings {
            registry: &self.registry,
            own: self.own,
            told: config.log.requests,
            body_idle: config.server.body_idle,
            header_case: HeaderCase {
                title: config.server.title_case_headers,
                preserve: config.server.preserve_header_case,
            },
            drain: self.drain.clone(),
            resolver: &self.resolver,
            expiries: &self.expiries,
            is_secure: config.server.tls.is_some(),
        }
    }
}

impl Reloader {
    /// `config` is in use now.
    ///
    /// # Errors
    /// When metrics are registered already.
    pub(super) fn new(
        ground: Ground,
        config: &Config,
        current: Current,
        terms: Terms,
        listen_tls: Option<Tls>,
    ) -> Result<Self, prometheus::Error> {
        let gauges = Gauges::register(&ground.registry)?;
        gauges.succeeded();
        Ok(Self(Arc::new(Inner {
            ground,
            current,
            terms,
            listen_tls,
            running: ArcSwap::from_pointee(config.clone()),
            fault: Mutex::default(),
            gauges,
        })))
    }

    /// The path that requests take.
    pub(super) fn current(&self) -> &Current {
        &self.0.current
    }

    /// The longest that a drain may take, as things are.
    pub(super) fn grace(&self) -> Duration {
        self.0.running.load().grace
    }

    /// Reads the configuration by `load`, with all the files that it names, and puts it in use: wholly, or not at all.
    ///
    /// What is wrong is logged in full, and shown as `redrive_config_reload_failed`.
    ///
    /// # Errors
    /// When it cannot be used, and the old one stays.
    pub async fn reload(
        &self,
        load: impl FnOnce() -> Result<Loaded, config::Error> + Send + 'static,
    ) -> Result<(), ReloadError> {
        self.blocking(|inner| inner.reload(load, Telling::Always))
            .await
    }

    /// The same without having been asked: a fault that was told already is not told again.
    pub(super) async fn reload_unasked(
        &self,
        load: impl FnOnce() -> Result<Loaded, config::Error> + Send + 'static,
    ) -> Result<(), ReloadError> {
        self.blocking(|inner| inner.reload(load, Telling::News))
            .await
    }

    /// Reads the files of TLS on both sides and of the API key again; what cannot be used is logged, and the old ones stay.
    pub async fn reload_files(&self) -> Reloaded {
        let read = self.blocking(|inner| Ok(inner.reload_files())).await;
        read.unwrap_or(Reloaded::Same)
    }

    /// Whether the last reload failed.
    pub(super) fn has_failed(&self) -> bool {
        self.0.gauges.failed.get() == 1
    }

    /// Files may stand on a disk that answers late.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ReloadError> + Send + 'static,
    ) -> Result<T, ReloadError> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| {
            tracing::error!(%error, "reading files again failed");
            Err(ReloadError::Internal(error))
        })
    }
}

/// Whether a fault is told that was told before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    Always,
    News,
}

impl Inner {
    fn reload(
        &self,
        load: impl FnOnce() -> Result<Loaded, config::Error>,
        telling: Telling,
    ) -> Result<(), ReloadError> {
        let mut last_fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ground.drain.has_begun() {
            if telling == Telling::Always {
                tracing::info!("configuration not reloaded: draining");
            }
            return Err(ReloadError::Draining);
        }
        match self.swap(load) {
            Ok(()) => {
                *last_fault = None;
                Ok(())
            }
            Err(error) => {
                self.gauges.failed.set(1);
                let fault = told(&error);
                if telling == Telling::Always || last_fault.as_ref() != Some(&fault) {
                    tracing::error!(
                        fault,
                        "configuration not reloaded: the old one stays in use"
                    );
                }
                *last_fault = Some(fault);
                Err(error)
            }
        }
    }

    /// Everything that can fail, and then what cannot.
    fn swap(
        &self,
        load: impl FnOnce() -> Result<Loaded, config::Error>,
    ) -> Result<(), ReloadError> {
        let loaded = load()?;
        loaded.check_files()?;
        let (config, unchanged) = loaded.config.beside(&self.running.load());
        let proxy = self.current.load();
        let proxy = proxy.follow(&config.proxy, &self.ground.around(&config))?;

        self.current.store(proxy);
        self.terms.follow(&descriptors::fitted(&config));
        self.reload_files();
        for warning in &loaded.warnings {
            tracing::warn!(%warning, "the configuration contradicts itself");
        }
        if !unchanged.is_empty() {
            let keys = unchanged.join(", ");
            tracing::warn!(
                keys,
                "changed in the configuration, and in use after a restart only"
            );
        }
        let routes = config.proxy.routes.len();
        self.ground.settings.replace(config.settings.clone());
        self.running.store(Arc::new(config));
        // Shown before it is told: whoever reads the log may look at once.
        self.gauges.succeeded();
        tracing::info!(routes, "configuration reloaded");
        Ok(())
    }

    fn reload_files(&self) -> Reloaded {
        let listen = self.listen_tls.as_ref().map(|files| files.reload());
        let upstreams = self.current.load().reload_files();
        listen.unwrap_or(Reloaded::Same).max(upstreams)
    }
}

/// The error with all its causes.
fn told(error: &ReloadError) -> String {
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told.push_str(&format!(": {error}"));
        cause = error.source();
    }
    told
}

impl Gauges {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let failed = IntGauge::new(
            "redrive_config_reload_failed",
            "1 while the configuration as it stands could not be used, so that an older one is.",
        )?;
        let last = IntGauge::new(
            "redrive_config_last_reload_timestamp_seconds",
            "When the configuration was last read and put in use, at the start or later, in Unix time.",
        )?;
        registry.register(Box::new(failed.clone()))?;
        registry.register(Box::new(last.clone()))?;
        Ok(Self { failed, last })
    }

    fn succeeded(&self) {
        let seconds = clock::since_1970().as_secs();
        self.last.set(i64::try_from(seconds).unwrap_or(i64::MAX));
        self.failed.set(0);
    }
}
