//! One attempt on the wire. hyper's errors become a [`Fault`] here, once, and nobody else sees them.
//!
//! The seam between the retry loop and the connections: the loop hands over a request and a [`Tally`], and gets an answer
//! or a fault that says whether anything was sent. Dropping either closes the connection that it came on, so a client
//! that leaves stops the upstream's work, too.

mod answer;
mod connect;
mod distrust;
mod mark;
mod pool;
mod switched;
mod wire;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::UPGRADE;
use http::uri::{Authority, Scheme};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use prometheus::IntGauge;

use self::answer::{Ambiguous, Keep};
use self::connect::{Connector, Tls};
use self::pool::{Lease, Pool};
use super::body::RequestBody;
use crate::retry::classify::{Fault, FaultKind, Sent};
use crate::tls::{Expiry, Reloaded};

pub use self::connect::TlsError;
pub use self::mark::Tally;
pub use self::pool::Held;
pub use self::switched::Switched;
pub use crate::tls::ClientParams as TlsParams;

/// Where requests go, and over which connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    /// Put before the request's path; empty, or starting with a slash and not ending in one.
    pub base_path: String,
    /// How the upstream is known and trusted over TLS.
    pub tls: TlsParams,
    /// The connections' limits.
    pub connections: ConnectionParams,
}

/// The limits of the connections to one upstream (`[connections]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionParams {
    /// The most connections at once.
    pub max: usize,
    /// An unused connection is closed after this.
    pub idle: Duration,
    /// No request starts on an older connection, so that DNS changes are followed.
    pub max_age: Duration,
}

/// How header names are written to the upstream (`client.title_case_headers`, `client.preserve_header_case`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderCase {
    /// In Title-Case.
    pub title: bool,
    /// In the case that they came in.
    pub preserve: bool,
}

/// Which connections a request may be sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Any: if the upstream closes it just then, the request is sent again.
    Any,
    /// Only one that shows no sign of being closed, since the request may not be sent twice.
    Settled,
}

/// How long one attempt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a new connection, TLS included.
    pub connect: Duration,
    /// The moment by which the answer's head must be there.
    pub head: Instant,
}

/// One upstream and its connections.
pub struct Upstream {
    pool: Pool,
    tls: Option<Arc<Tls>>,
}

/// An answer's body; gives its connection back when it ends well, and closes it otherwise.
pub struct AnswerBody {
    incoming: Incoming,
    lease: Option<Lease>,
    keep: Keep,
    switched: Option<Switched>,
}

impl Upstream {
    /// An upstream without connections yet; `open` counts them.
    ///
    /// # Errors
    /// When what TLS needs is missing or unreadable.
    pub fn new(
        params: &Params,
        header_case: HeaderCase,
        open: IntGauge,
        expiry: &Expiry,
    ) -> Result<Self, TlsError> {
        let connector = Connector::new(params, expiry)?;
        let tls = connector.tls();
        Ok(Self {
            pool: Pool::new(connector, params.connections, header_case, open),
            tls,
        })
    }

    /// Reads the files that TLS needs again, if it is used; blocks for as long as that takes. Connections that exist keep
    /// what they began with, for `connections.max_age` at most.
    pub fn reload(&self) -> Reloaded {
        let reload = |tls: &Arc<Tls>| tls.reload();
        self.tls.as_ref().map_or(Reloaded::Same, reload)
    }

    /// Whether there is any such file.
    pub fn has_tls_files(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_files())
    }

    /// Sends one request once, and returns the answer as soon as its head is there.
    ///
    /// A kept connection that turns out closed before a byte was written costs nothing: another is taken.
    ///
    /// # Errors
    /// When there is no answer: why, and whether a byte was written.
    pub async fn send(
        &self,
        request: Request<RequestBody>,
        trust: Trust,
        tally: &Tally,
        limits: Limits,
    ) -> Result<Response<AnswerBody>, Fault> {
        match tokio::time::timeout_at(
            limits.head.into(),
            self.exchange(request, trust, tally, limits.connect),
        )
        .await
        {
            Ok(done) => done,
            Err(_) => Err(Fault {
                kind: FaultKind::HeadTimeout,
                sent: tally.sent(),
            }),
        }
    }

    async fn exchange(
        &self,
        mut request: Request<RequestBody>,
        trust: Trust,
        tally: &Tally,
        connect: Duration,
    ) -> Result<Response<AnswerBody>, Fault> {
        let asks = request.headers().contains_key(UPGRADE);
        loop {
            let mut lease = self.pool.lease(trust, connect).await?;
            lease.expect(tally.mark());
            let method = request.method().clone();
            let mut error = match lease.sender().try_send_request(request).await {
                Ok(response) if asks && response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Ok(switched(response, lease));
                }
                // Its end of the connection speaks something else now, which nobody asked for.
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Fault {
                        kind: FaultKind::Unreadable,
                        sent: tally.sent(),
                    });
                }
                Ok(mut response) => {
                    let keep =
                        answer::settle(&method, &mut response).map_err(|Ambiguous| Fault {
                            kind: FaultKind::Unreadable,
                            sent: tally.sent(),
                        })?;
                    return Ok(response.map(|incoming| AnswerBody::new(incoming, lease, keep)));
                }
                Err(error) => error,
            };
            match error.take_message() {
                Some(unsent) if lease.reused && tally.sent() == Sent::Nothing => request = unsent,
                _ => {
                    return Err(Fault {
                        kind: kind(error.error()),
                        sent: tally.sent(),
                    });
                }
            }
        }
    }
}

fn switched(mut response: Response<Incoming>, lease: Lease) -> Response<AnswerBody> {
    let end = Switched::of(&mut response, lease);
    response.map(|incoming| AnswerBody {
        incoming,
        lease: None,
        keep: Keep::No,
        switched: Some(end),
    })
}

fn kind(error: &hyper::Error) -> FaultKind {
    tracing::debug!(
        error = error as &dyn std::error::Error,
        "attempt got no answer"
    );
    if error.is_parse() {
        FaultKind::Unreadable
    } else if distrust::is_alert(error) {
        FaultKind::TlsAlert
    } else {
        FaultKind::Closed
    }
}

impl AnswerBody {
    fn new(incoming: Incoming, lease: Lease, keep: Keep) -> Self {
        let mut body = Self {
            incoming,
            lease: Some(lease),
            keep,
            switched: None,
        };
        body.finish_at_end();
        body
    }

    /// The connection, if it leaves HTTP.
    pub fn take_switched(&mut self) -> Option<Switched> {
        self.switched.take()
    }

    fn finish_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        match (self.lease.take(), self.keep) {
            (Some(lease), Keep::Yes) => lease.give_back(),
            (closed, _) => drop(closed),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            // Nothing follows them, and hyper does not ask whether anything does.
            Some(Ok(frame)) if frame.is_trailers() => self.finish(),
            Some(Ok(_)) => self.finish_at_end(),
            Some(Err(_)) => drop(self.lease.take()),
            None => self.finish(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
