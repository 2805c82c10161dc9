//! The operator of the demo's redrive: what it is configured with, and what it is told while it runs.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use crate::app::{ReloadError, Reloader};
use crate::config::{self, Config, Flags, Loaded, Sources};

/// Changes the settings of a redrive that runs, and ends it.
#[derive(Clone)]
pub struct Operator {
    reloader: Reloader,
    upstream: SocketAddr,
    drain: CancellationToken,
}

impl Operator {
    pub(super) fn new(reloader: Reloader, upstream: SocketAddr) -> Self {
        Self {
            reloader,
            upstream,
            drain: CancellationToken::new(),
        }
    }

    /// Reloads the defaults with these environment variables on top, and nothing of an earlier reload.
    ///
    /// # Errors
    /// When they are no configuration, or redrive drains.
    pub async fn reload(&self, variables: &[(&str, String)]) -> Result<(), ReloadError> {
        let upstream = self.upstream;
        let owned = variables
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()));
        let variables: Vec<_> = owned.collect();
        self.reloader
            .reload(move || load(upstream, &variables))
            .await
    }

    /// Has redrive drain: it serves on, and ends when nobody asks any more.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    pub(super) fn asks_for_drain(&self) -> impl Future<Output = ()> + use<> {
        self.drain.clone().cancelled_owned()
    }
}

/// The product's defaults before this upstream: what an operator gets who sets nothing else.
pub(super) fn load(
    upstream: SocketAddr,
    variables: &[(String, String)],
) -> Result<Loaded, config::Error> {
    Config::load(&Sources {
        flags: Flags {
            config: None,
            upstream: Some(format!("http://{upstream}")),
            listen: Some(ANY_PORT.to_owned()),
            admin: Some(ANY_PORT.to_owned()),
        },
        // The environment of this process is the user's, for their own redrive.
        env: variables.iter().cloned().collect::<BTreeMap<_, _>>(),
        read: &|_| Err(io::ErrorKind::NotFound.into()),
    })
}

/// A free port on loopback.
const ANY_PORT: &str = "127.0.0.1:0";
