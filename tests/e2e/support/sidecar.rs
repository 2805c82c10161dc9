//! The whole of redrive on port 0, in this process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use redrive::app::{App, ReloadError, Reloader};
use redrive::config::{self, Config, Flags, Loaded, Sources};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::client::Client;

/// A running redrive; ends with its handle.
pub(crate) struct Sidecar {
    /// Where clients are served.
    pub(crate) addr: SocketAddr,
    /// Where the operator is served.
    pub(crate) admin: SocketAddr,
    reloader: Reloader,
    variables: BTreeMap<String, String>,
    shutdown: Option<oneshot::Sender<()>>,
    running: JoinSet<()>,
}

impl Sidecar {
    /// redrive before this upstream, with short waits and what the TOML says on top. Nothing is paced, so that every request is
    /// sent at once and a wait is the rule's own.
    pub(crate) async fn before(upstream: SocketAddr, toml: &str) -> Self {
        Self::configured(&format!("upstream = \"http://{upstream}\"\n{toml}"), &[]).await
    }

    /// The same, but with the learned window, as it is by default.
    pub(crate) async fn pacing(upstream: SocketAddr, toml: &str) -> Self {
        let toml = format!("upstream = \"http://{upstream}\"\n{toml}");
        Self::configured(&toml, &[("REDRIVE_PACE__MODE", "adaptive")]).await
    }

    /// redrive with this file and these environment variables.
    pub(crate) async fn configured(toml: &str, env: &[(&str, &str)]) -> Self {
        let mut variables: BTreeMap<String, String> = BTreeMap::from([
            (FILE.into(), toml.into()),
            ("REDRIVE_LISTEN".into(), "127.0.0.1:0".into()),
            ("REDRIVE_ADMIN".into(), "127.0.0.1:0".into()),
            (
                "REDRIVE_RETRY__BACKOFF__THROTTLE_BASE".into(),
                "20ms".into(),
            ),
            ("REDRIVE_RETRY__BACKOFF__BASE".into(), "10ms".into()),
            ("REDRIVE_PACE__MODE".into(), "off".into()),
        ]);
        variables.extend(
            env.iter()
                .map(|(name, value)| ((*name).into(), (*value).into())),
        );
        let loaded = load(&variables).unwrap_or_else(|error| panic!("{error}"));
        let config = loaded.config;
        let app = App::build(&config).await.unwrap();
        let (addr, admin) = (app.client_addr().unwrap(), app.admin_addr().unwrap());
        let reloader = app.reloader();
        let (shutdown, stopped) = oneshot::channel();
        let mut running = JoinSet::new();
        running.spawn(app.run(async move {
            // Told to drain, or the handle was dropped: either way it ends.
            let _told = stopped.await;
        }));
        let sidecar = Self {
            addr,
            admin,
            reloader,
            variables,
            shutdown: Some(shutdown),
            running,
        };
        sidecar.until_ready().await;
        sidecar
    }

    /// Reads the files of TLS again.
    pub(crate) async fn reload_tls(&self) {
        self.reloader.reload_tls().await;
    }

    /// Reads another file in place of the first, as a hangup does; what was set on top stays.
    pub(crate) async fn reload(&self, toml: &str) -> Result<(), ReloadError> {
        let mut variables = self.variables.clone();
        variables.insert(FILE.into(), toml.into());
        self.reloader.reload(move || load(&variables)).await
    }

    /// The metrics page.
    pub(crate) async fn metrics(&self) -> String {
        String::from_utf8(Client::get(self.admin, "/metrics").await.body).unwrap()
    }

    /// One series' value; 0 where there is none.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let page = self.metrics().await;
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// The sum over all series of a family that carry all these labels.
    pub(crate) async fn total(&self, family: &str, labels: &[&str]) -> f64 {
        let page = self.metrics().await;
        let lines = page.lines().filter(|line| {
            line.split(['{', ' ']).next() == Some(family)
                && labels.iter().all(|label| line.contains(label))
        });
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Waits until the sum is this much.
    pub(crate) async fn reaches(&self, family: &str, labels: &[&str], value: f64) {
        for _ in 0..1000 {
            if self.total(family, labels).await >= value {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "{family}{labels:?} is {} and not {value}",
            self.total(family, labels).await
        );
    }

    /// Waits until the sum is exactly this and stays so for a few looks: a gauge that comes to rest.
    pub(crate) async fn settles(&self, family: &str, labels: &[&str], value: f64) {
        let mut looks = 0;
        for _ in 0..1000 {
            looks = if self.total(family, labels).await == value {
                looks + 1
            } else {
                0
            };
            if looks == 3 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "{family}{labels:?} is {} and not {value}",
            self.total(family, labels).await
        );
    }

    /// Begins the drain.
    pub(crate) fn terminate(&mut self) {
        self.shutdown
            .take()
            .expect("told once")
            .send(())
            .expect("still running");
    }

    /// Waits until the drain has begun.
    pub(crate) async fn is_draining(&self) {
        for _ in 0..1000 {
            if Client::get(self.admin, "/readyz").await.status == 503 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never draining");
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(mut self) {
        tokio::time::timeout(Duration::from_secs(20), self.running.join_next())
            .await
            .expect("ends in time")
            .unwrap()
            .unwrap();
    }

    async fn until_ready(&self) {
        for _ in 0..1000 {
            if Client::get(self.admin, "/readyz").await.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never ready");
    }
}

/// The configuration of these variables and of the files that they name.
fn load(env: &BTreeMap<String, String>) -> Result<Loaded, config::Error> {
    let read = |path: &Path| std::fs::read_to_string(path);
    let sources = Sources {
        flags: Flags::default(),
        env: env.clone(),
        read: &read,
    };
    Config::load(&sources)
}

/// The variable that holds a whole file.
const FILE: &str = "REDRIVE_CONFIG_TOML";
