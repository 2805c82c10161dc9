//! The files of TLS on both sides, followed while redrive runs.

use std::sync::Arc;
use std::time::Duration;

use crate::proxy::Proxy;
use crate::server::Tls;

/// What TLS is read from on both sides.
#[derive(Clone)]
pub struct TlsFiles {
    listen: Option<Tls>,
    proxy: Arc<Proxy>,
}

impl TlsFiles {
    /// Those of the listener, if it has any, and of every upstream.
    pub(super) fn new(listen: Option<Tls>, proxy: &Arc<Proxy>) -> Self {
        Self {
            listen,
            proxy: Arc::clone(proxy),
        }
    }

    /// Reads the files again; what cannot be used is logged, and the old ones stay.
    pub async fn reload(&self) {
        let files = self.clone();
        let read = move || {
            if let Some(listen) = &files.listen {
                listen.reload();
            }
            files.proxy.reload_tls();
        };
        // Files may stand on a disk that answers late.
        if let Err(error) = tokio::task::spawn_blocking(read).await {
            tracing::error!(%error, "reading the TLS files again failed");
        }
    }

    /// Reads the files again and again, so that a change is noticed whatever made it. Never returns.
    pub(super) async fn follow(&self) {
        if self.listen.is_none() && !self.proxy.has_tls_files() {
            std::future::pending().await
        }
        loop {
            tokio::time::sleep(TLS_FILES_EVERY).await;
            self.reload().await;
        }
    }
}

/// How often the files of TLS are read again: seconds after a renewal are early enough, and three small files are no work.
const TLS_FILES_EVERY: Duration = Duration::from_secs(5);
