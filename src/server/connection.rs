//! One client connection, from the accepted socket to its end.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper_util::rt::TokioIo;
use prometheus::{IntCounter, IntGauge};
use tokio::net::TcpStream;

use super::activity::{Activity, Overdue};
use super::aside::{First, beside};
use super::counted::Counted;
use super::ending::{Told, Why};
use super::http1::{Ahead, Held, Http1, Opened, Over};
use super::secure;
use super::taken::Taken;
use super::terms::Manner;
use super::watch::Watched;
use super::{BoxError, Ending, Tls, Upload};
use crate::handover::Stream;
use crate::tcp::{SharedTcp, TELLS_OF_HANG_UPS};

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
}

/// What may end a connection from outside.
struct Watch {
    tcp: SharedTcp,
    terms: Arc<Manner>,
    ending: Ending,
    activity: Arc<Activity>,
    told: Told,
}

/// The places of `client.max_connections`.
#[derive(Clone)]
pub(super) struct Places {
    taken: Arc<AtomicUsize>,
    open: IntGauge,
}

/// A connection's place among them.
pub(super) struct Place(Places);

impl Connection {
    /// Carries requests to the service until the connection ends, is closed for its idleness, or the server stops.
    pub(super) async fn serve<S, F, B>(self, service: S)
    where
        S: Fn(Request<Upload>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + Unpin + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (tcp, terms) = (prompt(self.stream), self.terms);
        let params = &terms.params;
        let activity = Arc::new(Activity::new());
        let secured = secured(&tcp, &activity, self.tls.as_ref(), params.header_timeout).await;
        let Some((io, agreed_http2)) = secured else {
            self.rejected.inc();
            return;
        };
        // Boxed, since every future around it would have the room for it once more.
        let http1 = Box::new(Http1 {
            wire: Held::new(io, tcp.clone(), Arc::clone(&activity)),
            service,
            activity: Arc::clone(&activity),
            manner: Arc::clone(&terms),
            refused: self.refused,
            agreed_http2,
            // Where the kernel tells, nobody needs to look; of TLS it does not know the end.
            looks_for_end: !(params.half_close || TELLS_OF_HANG_UPS && params.tls.is_none()),
            place: self.place,
        });
        let watch = Watch {
            tcp,
            terms,
            ending: self.ending,
            activity,
            told: Told::default(),
        };
        watch.carry(http1).await;
    }
}

impl Watch {
    /// Carries a connection of HTTP/1, or of which that is not known yet.
    async fn carry<S, F, B>(mut self, http1: Box<Http1<S>>)
    where
        S: Fn(Request<Upload>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + Unpin + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let wire = http1.wire.share();
        let done = {
            let mut carried = pin!(http1.carry());
            loop {
                let why = match beside(carried.as_mut(), self.why()).await {
                    First::Busy(done) => break done,
                    First::Aside(why) => why,
                };
                match why {
                    // It is told in the head of its next answer: closed now, an idle connection might be given a request at this
                    // moment. So is who has not shown what it speaks.
                    Why::Drain => {}
                    Why::Stop if !wire.stops() => {}
                    Why::Stop | Why::Overdue(_) | Why::HungUp => return,
                }
                self.told.note(why);
            }
        };
        match done {
            Ok(Over::Ended) => {}
            // Boxed, since every connection of HTTP/1 would have the room for it otherwise.
            Ok(Over::SpeaksHttp2(opened)) => Box::pin(self.carry_http2(opened)).await,
            Err(error) => ended(&error),
        }
    }

    /// Carries a connection of HTTP/2.
    async fn carry_http2<S, F, B>(mut self, opened: Opened<S>)
    where
        S: Fn(Request<Upload>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + Unpin + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        self.activity.speaks_http2();
        let io = Ahead::new(opened.io, opened.ahead, opened.place);
        let io = Watched::new(io, Arc::clone(&self.activity));
        let service = Counted::new(opened.service, Arc::clone(&self.activity));
        let http2 = &Arc::clone(&self.terms).http2;
        let mut carried = pin!(http2.serve_connection(TokioIo::new(io), service));
        if self.told.of_stop {
            // The stop came while the connection had not shown yet what it speaks.
            carried.as_mut().graceful_shutdown();
        }
        let done = loop {
            let why = match beside(carried.as_mut(), self.why()).await {
                First::Busy(done) => break done,
                First::Aside(why) => why,
            };
            match why {
                // It loses nothing by it (GOAWAY, RFC 9113 section 6.8).
                Why::Drain | Why::Stop => carried.as_mut().graceful_shutdown(),
                Why::Overdue(Overdue::Silent) => {
                    // So that a client whose request crosses the end knows that it may send it again.
                    carried.as_mut().graceful_shutdown();
                    let _said_or_not =
                        tokio::time::timeout(self.terms.params.body_idle, carried).await;
                    return;
                }
                Why::Overdue(_) | Why::HungUp => return,
            }
            self.told.note(why);
        };
        if let Err(error) = done {
            if error.is_user() {
                // An answer that broke must not end as a whole one does.
                self.tcp.reset_at_close();
            }
            ended(&error);
        }
    }

    /// Waits for a reason not to carry it on.
    async fn why(&self) -> Why {
        let (activity, params) = (&self.activity, &self.terms.params);
        self.ending
            .or_end(activity, &self.tcp, params, self.told)
            .await
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

/// The bytes that HTTP is spoken in, and whether that is HTTP/2, where it was agreed on; `None` if no TLS comes about.
async fn secured(
    tcp: &SharedTcp,
    activity: &Arc<Activity>,
    tls: Option<&Tls>,
    limit: Duration,
) -> Option<(Stream, Option<bool>)> {
    let Some(tls) = tls else {
        let io = Taken::new(tcp.clone(), Arc::clone(activity));
        return Some((Box::new(io), None));
    };
    // Boxed, or every plain connection would carry the room for a handshake for as long as it lasts.
    let shaken = Box::pin(secure::handshake(
        tcp.clone(),
        Arc::clone(activity),
        tls.load(),
        limit,
    ))
    .await;
    let stream = shaken
        .inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::info!(error, "client connection closed: no TLS");
        })
        .ok()?;
    let agreed = stream.get_ref().1.alpn_protocol().map(|it| it == b"h2");
    Some((Box::new(stream), agreed))
}

fn ended(error: &(dyn std::error::Error + 'static)) {
    tracing::debug!(error, "client connection ended");
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

#[cfg(test)]
#[path = "connection/tests.rs"]
mod tests;
