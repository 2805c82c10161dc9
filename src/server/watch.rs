//! Whether a client connection is idle, or takes too long over a request's head.
//!
//! hyper has one timer for both, and starts it when the last answer ends. So the connection's bytes and its requests are
//! watched from both sides: the first byte that comes while nothing is in flight begins a head, the service's call ends
//! it, and the end of the last answer begins idleness.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

use super::Params;
use crate::clock;
use crate::tcp::SharedTcp;

/// What a connection does.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    in_flight: usize,
    /// When the first byte of a head came that is not complete.
    head_since: Option<Instant>,
    /// When the connection was made, or its last answer ended.
    idle_since: Instant,
    /// HTTP/2 sends bytes of its own while idle, so there no byte begins a head.
    is_http2: bool,
}

/// A stream whose reads are seen.
pub(super) struct Watched<IO> {
    io: IO,
    activity: Arc<Activity>,
}

/// A service whose requests are counted until their answers end.
#[derive(Clone)]
pub(super) struct Counted<S> {
    service: S,
    activity: Arc<Activity>,
}

/// An answer's body that ends its request when it is dropped.
pub(super) struct InFlight<B> {
    body: B,
    _request: Flight,
}

/// One request in flight.
struct Flight(Arc<Activity>);

impl Activity {
    /// A fresh connection.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            in_flight: 0,
            head_since: None,
            idle_since: clock::now(),
            is_http2: false,
        }))
    }

    /// Waits until the connection has been idle, or in one head, for too long.
    pub(super) async fn overdue(&self, params: &Params) {
        loop {
            let now = clock::now();
            let due = match self.due(params) {
                Some(due) if due <= now => return,
                Some(due) => due,
                None => now + params.idle,
            };
            // A head may begin meanwhile; looked at this often, it is noticed within half its limit more.
            tokio::time::sleep_until(due.min(now + params.header_timeout / 2).into()).await;
        }
    }

    /// Waits until the client has hung up on a request that is in flight. hyper notices that only while it reads, which it
    /// does not do in the middle of an upload that nobody wants just now, say because the request backs off.
    pub(super) async fn abandoned(&self, tcp: &SharedTcp) {
        tcp.hung_up().await;
        while self.lock().in_flight == 0 {
            // What was sent before the end may still become a request, or be refused; hyper ends the connection after it.
            tokio::time::sleep(ABANDONED_EVERY).await;
        }
    }

    /// When patience ends, if nothing changes; never while a request is in flight.
    fn due(&self, params: &Params) -> Option<Instant> {
        let state = self.lock();
        if state.in_flight > 0 {
            return None;
        }
        let idle = state.idle_since + params.idle;
        Some(
            state
                .head_since
                .map_or(idle, |since| since + params.header_timeout),
        )
    }

    fn bytes_came(&self) {
        let mut state = self.lock();
        if state.in_flight == 0 && state.head_since.is_none() && !state.is_http2 {
            state.head_since = Some(clock::now());
        }
    }

    fn request_came(self: &Arc<Self>, version: Version) -> Flight {
        let mut state = self.lock();
        state.in_flight += 1;
        state.head_since = None;
        state.is_http2 = version == Version::HTTP_2;
        Flight(Arc::clone(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight -= 1;
        state.idle_since = clock::now();
    }
}

impl<IO> Watched<IO> {
    /// Watches `io`.
    pub(super) fn new(io: IO, activity: Arc<Activity>) -> Self {
        Self { io, activity }
    }
}

impl<S> Counted<S> {
    /// Counts the requests of `service`.
    pub(super) fn new(service: S, activity: Arc<Activity>) -> Self {
        Self { service, activity }
    }
}

impl<S, A, B> Service<Request<A>> for Counted<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<InFlight<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let flight = self.activity.request_came(request.version());
        let answered = self.service.call(request);
        Box::pin(async move {
            Ok(answered.await?.map(|body| InFlight {
                body,
                _request: flight,
            }))
        })
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for InFlight<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.activity.bytes_came();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// How often a connection whose client has hung up is looked at, for as long as it carries no request.
const ABANDONED_EVERY: Duration = Duration::from_millis(50);
