//! HTTP/1.1 connections to the upstream: one request at a time.
//!
//! What is said here is how such a connection is made and driven; which request gets it, and when, is the business of
//! the [`pool`](super::pool).

use std::sync::Arc;
use std::time::Instant;

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use super::HeaderCase;
use super::http2::HEADER_BYTES_MAX;
use super::wire::{Held, Ledger, Transport, Wire};
use crate::clock;
use crate::proxy::body::RequestBody;
use crate::retry::classify::{Fault, FaultKind, Sent};
use crate::tcp::SharedTcp;

/// A connection that carries one request at a time, and is closed when it is dropped.
pub(super) struct Connection {
    /// hyper's end of it.
    pub(super) sender: SendRequest<RequestBody>,
    /// The socket, to be asked whether it is quiet.
    pub(super) tcp: SharedTcp,
    /// Who is told of the next byte written.
    pub(super) ledger: Arc<Ledger>,
    /// When it was made.
    pub(super) born: Instant,
    _driver: Driver,
}

/// Ends the task that drives a connection when the connection is dropped.
struct Driver(AbortHandle);

impl Connection {
    /// Speaks HTTP/1.1 over a transport that was just made.
    pub(super) async fn open(
        (tcp, transport): (SharedTcp, Transport),
        header_case: HeaderCase,
        held: Held,
        tasks: &TaskTracker,
    ) -> Result<Self, Fault> {
        let ledger = Arc::new(Ledger::default());
        let wire = TokioIo::new(Wire::new(transport, Arc::clone(&ledger), held));
        let (sender, connection) = Builder::new()
            .preserve_header_case(header_case.preserve)
            .title_case_headers(header_case.title)
            .max_buf_size(BUFFER_BYTES_MAX)
            .handshake(wire)
            .await
            .map_err(|_| Fault {
                kind: FaultKind::Closed,
                sent: Sent::Nothing,
            })?;
        let driver = tasks.spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "upstream connection ended"
                );
            }
        });
        Ok(Self {
            sender,
            tcp,
            ledger,
            born: clock::now(),
            _driver: Driver(driver.abort_handle()),
        })
    }
}

/// What a connection may hold of what it reads or writes: room for the longest head that is taken, and of a body no more than helps.
/// hyper would hold six times as much for each client that takes nothing of its answer.
const BUFFER_BYTES_MAX: usize = HEADER_BYTES_MAX as usize;

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
