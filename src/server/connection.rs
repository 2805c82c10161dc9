//! One client connection, from the accepted socket to its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use prometheus::{IntCounter, IntGauge};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::activity::{Activity, Overdue};
use super::secure::{self, Agreed};
use super::watch::{Counted, Watched};
use super::{BoxError, Params, Tls, Upload, head_bytes_max};
use crate::tcp::SharedTcp;

/// One accepted connection.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) place: Place,
    pub(super) params: Params,
    pub(super) tls: Option<Tls>,
    pub(super) builder: Arc<auto::Builder<TokioExecutor>>,
    pub(super) refused: Arc<dyn Fn() + Send + Sync>,
    pub(super) stop: CancellationToken,
    pub(super) rejected: IntCounter,
}

/// A connection's place among `client.max_connections`.
pub(super) struct Place {
    open: IntGauge,
    _slot: OwnedSemaphorePermit,
}

/// The bytes of a connection, plain or out of TLS. hyper is made once for both, and a virtual call is nothing beside a read.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

impl Connection {
    /// Carries requests to the service until the connection ends, is closed for its idleness, or the server stops.
    pub(super) async fn serve<S, B>(self, service: S)
    where
        S: Service<Request<Upload>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (tcp, params) = (prompt(self.stream), self.params);
        let secured = secured(&tcp, self.tls.as_ref(), params.header_timeout).await;
        let Some((transport, agreed)) = secured else {
            self.rejected.inc();
            return;
        };
        let activity = Arc::new(Activity::new());
        let head_bytes = head_bytes_max(&params);
        let shared = Arc::clone(&activity);
        let watched = Watched::new(
            transport,
            agreed,
            shared,
            self.refused,
            head_bytes,
            self.place,
        );
        let io = TokioIo::new(watched);
        let service = TowerToHyperService::new(Counted::new(service, Arc::clone(&activity)));
        let mut connection = pin!(self.builder.serve_connection_with_upgrades(io, service));
        let done = tokio::select! {
            done = &mut connection => done,
            why = activity.overdue(&params) => {
                tracing::debug!(?why, "client connection closed");
                match why {
                    Overdue::Deaf => tcp.reset_at_close(),
                    Overdue::Silent if activity.is_http2() => {
                        // So that a client whose request crosses the end knows that it may send it again.
                        connection.as_mut().graceful_shutdown();
                        let goodbye = tokio::time::timeout(params.body_idle, connection);
                        let _said_or_not = goodbye.await;
                    }
                    Overdue::Silent | Overdue::Hasty => {}
                }
                Ok(())
            }
            () = activity.abandoned(&tcp), if !params.half_close => {
                tracing::debug!("client connection closed: the client hung up on its request");
                Ok(())
            }
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
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

impl Place {
    /// Takes this slot, and counts the connection as open.
    pub(super) fn new(slot: OwnedSemaphorePermit, open: &IntGauge) -> Self {
        open.inc();
        Self {
            open: open.clone(),
            _slot: slot,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}
