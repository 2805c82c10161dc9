//! HTTP/1.1 connections to the upstream: one request at a time.
//!
//! What is said here is how such a connection is made and driven; which request gets it, and when, is the business of
//! the [`pool`](super::pool).
//!
//! A connection is driven by the task of the request that has it: see [`driver`].

mod driver;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio_util::task::TaskTracker;

use self::driver::{Driver, Upload, silent};
use super::HeaderCase;
use super::http2::HEADER_BYTES_MAX;
use super::lease::Unanswered;
use super::wire::{Held, Ledger, Transport, Wire};
use crate::clock;
use crate::proxy::body::RequestBody;
use crate::retry::classify::{Fault, FaultKind, Sent};
use crate::tcp::SharedTcp;

/// A connection that carries one request at a time, and is closed when it is dropped.
pub(super) struct Connection {
    sender: SendRequest<Upload>,
    driver: Driver,
    /// The socket, to be asked whether it is quiet.
    pub(super) tcp: SharedTcp,
    /// Who is told of the next byte written.
    pub(super) ledger: Arc<Ledger>,
    /// When it was made.
    pub(super) born: Instant,
}

impl Connection {
    /// Speaks HTTP/1.1 over a transport that was just made.
    pub(super) async fn open(
        (tcp, transport): (SharedTcp, Transport),
        header_case: HeaderCase,
        held: Held,
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
        Ok(Self {
            sender,
            driver: Driver::new(connection),
            tcp,
            ledger,
            born: clock::now(),
        })
    }

    /// Sends a request, and returns the answer as soon as its head is there.
    pub(super) fn send<'a>(
        &'a mut self,
        request: Request<RequestBody>,
        tasks: &'a TaskTracker,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> + Send + 'a {
        let request = request.map(|body| self.driver.upload(body));
        let sent = self.sender.try_send_request(request);
        let (driver, ledger) = (&mut self.driver, &self.ledger);
        async move {
            let mut sent = pin!(sent);
            let sent = poll_fn(|cx| driver.poll(cx, |cx| sent.as_mut().poll(cx)));
            let response = sent.await.map_err(|mut error| Unanswered {
                untouched: error.take_message().map(Upload::taken_back),
                error: error.into_error(),
            })?;
            if driver.has_upload() || ledger.holds_back() {
                // It goes on whether or not the client takes anything of the answer.
                driver.run_apart(tasks);
            }
            Ok(response)
        }
    }

    /// Polls for the next frame of the answer that came over the connection.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        answer: &mut Incoming,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        // What came with the head is there already.
        let there = Pin::new(&mut *answer).poll_frame(&mut silent());
        if there.is_ready() {
            return there;
        }
        self.driver.poll(cx, |cx| Pin::new(answer).poll_frame(cx))
    }

    /// Leaves it to a task to drive the connection from now on.
    pub(super) fn run_apart(&mut self, tasks: &TaskTracker) {
        self.driver.run_apart(tasks);
    }

    /// Whether it can carry a request, as far as anybody has looked.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether nothing of the last request is left to be done.
    pub(super) fn is_done(&self) -> bool {
        self.is_ready() && !self.ledger.holds_back()
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until it can carry a request; a task drives it meanwhile. Returns whether it can.
    pub(super) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}

/// What a connection may hold of what it reads or writes: room for the longest head that is taken, and of a body no more than helps.
/// hyper would hold six times as much for each client that takes nothing of its answer.
const BUFFER_BYTES_MAX: usize = HEADER_BYTES_MAX as usize;
