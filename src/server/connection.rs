//! One client connection, from the accepted socket to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use prometheus::{IntCounter, IntGauge};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::activity::{Activity, Overdue};
use super::aside::Aside;
use super::counted::Counted;
use super::ending::Why;
use super::kept::{Kept, Warm};
use super::secure::{self, Agreed};
use super::terms::Manner;
use super::watch::Watched;
use super::{BoxError, Ending, Tls, Upload, head_bytes_max};
use crate::tcp::SharedTcp;

/// One accepted connection.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) place: Place,
    /// Shared, and not held by every connection: there may be many.
    pub(super) terms: Arc<Manner>,
    pub(super) tls: Option<Tls>,
    pub(super) refused: Arc<dyn Fn() + Send + Sync>,
    pub(super) ending: Ending,
    pub(super) rejected: IntCounter,
    pub(super) warm: Warm,
}

/// The places of `client.max_connections`.
#[derive(Clone)]
pub(super) struct Places {
    taken: Arc<AtomicUsize>,
    open: IntGauge,
}

/// A connection's place among them.
pub(super) struct Place(Places);

/// The bytes of a connection, plain or out of TLS. hyper is made once for both, and a virtual call is nothing beside a read.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// The bytes of a connection, watched.
pub(super) type Stream = Watched<Box<dyn Transport>>;

impl Connection {
    /// Carries requests to the service until the connection ends, is closed for its idleness, or the server stops.
    pub(super) async fn serve<S, F, B>(self, service: S)
    where
        S: Fn(Request<Upload>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + Send + Unpin + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (tcp, terms, ending) = (prompt(self.stream), self.terms, self.ending);
        let params = &terms.params;
        let secured = secured(&tcp, self.tls.as_ref(), params.header_timeout).await;
        let Some((transport, agreed)) = secured else {
            self.rejected.inc();
            return;
        };
        let activity = Arc::new(Activity::new());
        let shared = Arc::clone(&activity);
        let stream = Box::new(Watched::new(
            transport,
            agreed,
            shared,
            self.refused,
            head_bytes_max(params),
            self.place,
        ));
        let service = Counted::new(service, Arc::clone(&activity));
        let shared = Arc::clone(&activity);
        let mut connection = Kept::new(stream, tcp.clone(), &terms, service, shared, self.warm);
        let (mut is_told, mut is_stopping) = (false, false);
        let done = loop {
            let why = tokio::select! {
                biased;
                done = &mut connection => break done,
                why = Aside::new(ending.or_end(&activity, &tcp, params, is_told, is_stopping)) => why,
            };
            match why {
                // HTTP/2 loses nothing by it (GOAWAY, RFC 9113 section 6.8). HTTP/1 is told in the head of its next answer: closed
                // now, an idle connection might be given a request at this moment. So is who has not shown what it speaks.
                Why::Drain if activity.is_http2() => connection.graceful_shutdown(),
                Why::Drain => {}
                Why::Stop => connection.graceful_shutdown(),
                Why::Calmed => connection.rest(),
                Why::Overdue(Overdue::Silent) if activity.is_http2() => {
                    // So that a client whose request crosses the end knows that it may send it again.
                    connection.graceful_shutdown();
                    let _said_or_not = tokio::time::timeout(params.body_idle, connection).await;
                    break Ok(());
                }
                Why::Overdue(_) | Why::HungUp => break Ok(()),
            }
            is_told |= why != Why::Calmed;
            is_stopping |= why == Why::Stop;
        };
        if let Err(error) = done {
            ended(&tcp, &*error);
        }
    }
}

/// The connection, told not to hold small writes back.
fn prompt(stream: TcpStream) -> SharedTcp {
    // A client that answers slowly must not wait for Nagle; failing to say so only costs latency.
    stream
        .set_nodelay(true)
        .unwrap_or_else(|error| tracing::debug!(%error, "no TCP_NODELAY"));
    SharedTcp::new(stream)
}

/// The bytes that HTTP is spoken in, and which HTTP, where that was agreed on; `None` if no TLS comes about.
async fn secured(
    tcp: &SharedTcp,
    tls: Option<&Tls>,
    limit: Duration,
) -> Option<(Box<dyn Transport>, Option<Agreed>)> {
    let Some(tls) = tls else {
        return Some((Box::new(tcp.clone()), None));
    };
    // Boxed, or every plain connection would carry the room for a handshake for as long as it lasts.
    let shaken = Box::pin(secure::handshake(tcp.clone(), tls.load(), limit)).await;
    let stream = shaken
        .inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::info!(error, "client connection closed: no TLS");
        })
        .ok()?;
    let agreed = stream.get_ref().1.alpn_protocol().map(Agreed::on);
    Some((Box::new(stream), agreed))
}

fn ended(tcp: &SharedTcp, error: &(dyn std::error::Error + Send + Sync + 'static)) {
    // An answer that broke must not end as a whole one does, and the end is all that an HTTP/1.0 client has to go by.
    if error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_user)
    {
        tcp.reset_at_close();
    }
    tracing::debug!(
        error = error as &dyn std::error::Error,
        "client connection ended"
    );
}

impl Places {
    /// All are free; `open` shows how many are not.
    pub(super) fn new(open: &IntGauge) -> Self {
        Self {
            taken: Arc::default(),
            open: open.clone(),
        }
    }

    /// A place, if fewer than `max` are taken.
    pub(super) fn take(&self, max: usize) -> Option<Place> {
        let room = |taken: usize| (taken < max).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .ok()?;
        self.open.inc();
        Some(Place(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        self.0.open.dec();
    }
}
