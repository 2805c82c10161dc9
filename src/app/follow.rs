//! Notices that the configuration may have changed: a hangup, or files that hold something else than before.
//!
//! Files are looked at by content, every [`LOOK_EVERY`], and not watched through the kernel. A watch would have to know how
//! a file is replaced: Kubernetes swaps a symlink two directories up (`..data`), editors rename, copies write in place; and
//! on network and FUSE mounts it hears nothing. A small file read now and then finds them all in the same way.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;

use super::reload::Reloader;
use super::supervisor;
use crate::config::{self, Loaded};
use crate::proxy::Reloaded;

/// Where the configuration comes from, to be read again.
pub struct Source {
    load: Arc<Load>,
    file: Option<PathBuf>,
    /// What the file held at the start.
    text: Option<String>,
}

type Load = dyn Fn() -> Result<Loaded, config::Error> + Send + Sync;

impl Source {
    /// What `load` reads, which came to `loaded` at the start.
    pub fn new(
        load: impl Fn() -> Result<Loaded, config::Error> + Send + Sync + 'static,
        loaded: &Loaded,
    ) -> Self {
        Self {
            load: Arc::new(load),
            file: loaded.file.clone(),
            text: loaded.text.clone(),
        }
    }

    fn load(&self) -> impl FnOnce() -> Result<Loaded, config::Error> + Send + 'static {
        let load = Arc::clone(&self.load);
        move || load()
    }

    /// What the file holds; what cannot be read holds its error.
    async fn look(&self) -> Option<Result<String, String>> {
        let file = self.file.clone()?;
        let read = move || config::read_file(&file).map_err(|error| error.to_string());
        // Files may stand on a disk that answers late.
        tokio::task::spawn_blocking(read).await.ok()
    }

    /// Reloads whenever there is reason to. Never returns.
    pub(super) async fn follow(&self, reloader: &Reloader, hangup: &mut Signal) -> Infallible {
        // Not looked at now: it may have changed since it was read.
        let mut seen = self.text.clone().map(Ok);
        loop {
            let is_asked = tokio::select! {
                Some(()) = hangup.recv() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            if is_asked {
                seen = self.look().await;
                // What came of it is logged, and nobody waits for it.
                let reload = reloader.reload(self.load());
                supervisor::tell_around(reload).await.unwrap_or_default();
                continue;
            }
            let tls = reloader.reload_tls().await;
            let is_new = self.has_settled_on_another(&mut seen).await;
            if is_new || tls == Reloaded::Kept || reloader.has_failed() {
                reloader
                    .reload_unasked(self.load())
                    .await
                    .unwrap_or_default();
            }
        }
    }

    /// Whether the file holds something else than was seen, and has come to rest with it: a file that is written in place may
    /// be a valid configuration half way.
    async fn has_settled_on_another(&self, seen: &mut Option<Result<String, String>>) -> bool {
        let first = self.look().await;
        if first == *seen {
            return false;
        }
        tokio::time::sleep(SETTLE).await;
        let is_settled = self.look().await == first;
        if is_settled {
            *seen = first;
        }
        is_settled
    }
}

/// How often files are looked at: seconds after a change are early enough, and a few small files are no work.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long a changed file must stay as it is.
const SETTLE: Duration = Duration::from_millis(250);
