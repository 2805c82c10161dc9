//! One attempt on the wire. hyper's errors become a [`Fault`] here, once, and nobody else sees them.
//!
//! The seam between the retry loop and the connections: the loop hands over a request and a [`Tally`], and gets an answer
//! or a fault that says whether anything was sent. Dropping either closes the connection that it came on, or resets its
//! stream where that carries other requests, too: a client that leaves stops the upstream's work.

mod connect;
mod http1;
mod http2;
mod lease;
mod mark;
mod pool;
mod streams;
mod wire;

use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use prometheus::IntGauge;

use self::connect::Connector;
use self::lease::{Lease, Unanswered};
use self::pool::Pool;
use super::body::RequestBody;
use crate::retry::classify::{Fault, FaultKind, Sent};

pub use self::connect::TlsError;
pub use self::mark::Tally;

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

/// TLS towards the upstream (`[tls.upstream]`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsParams {
    /// PEM roots that replace the system's.
    pub ca_file: Option<PathBuf>,
    /// Our PEM certificate chain, where the upstream asks for one.
    pub client_cert: Option<PathBuf>,
    /// The key that belongs to it.
    pub client_key: Option<PathBuf>,
    /// The name to expect in the certificate, if not the authority's host.
    pub server_name: Option<String>,
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
}

/// An answer's body; gives its connection back when it ends well, and closes it otherwise.
pub struct AnswerBody {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl Upstream {
    /// An upstream without connections yet; `open` counts them.
    ///
    /// # Errors
    /// When what TLS needs is missing or unreadable.
    pub fn new(params: &Params, header_case: HeaderCase, open: IntGauge) -> Result<Self, TlsError> {
        Ok(Self {
            pool: Pool::new(
                Connector::new(params)?,
                params.connections,
                header_case,
                open,
            ),
        })
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
        loop {
            let mut lease = self.pool.lease(trust, connect).await?;
            lease.expect(tally.mark());
            let unanswered = match lease.send(request).await {
                // Its end of the connection speaks something else now, which nobody asked for: `Upgrade` does not go up.
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Fault {
                        kind: FaultKind::Unreadable,
                        sent: tally.sent(),
                    });
                }
                Ok(response) => {
                    return Ok(response.map(|incoming| AnswerBody::new(incoming, lease)));
                }
                Err(unanswered) => unanswered,
            };
            let Unanswered { error, untouched } = unanswered;
            // On a shared connection a byte may have been somebody else's, and hyper alone knows.
            let sent = match (&untouched, &lease) {
                (Some(_), Lease::Stream(_)) => Sent::Nothing,
                _ => tally.sent(),
            };
            match untouched {
                Some(unsent) if lease.is_reused() && sent == Sent::Nothing => request = unsent,
                _ => {
                    let kind = kind(&error);
                    return Err(Fault { kind, sent });
                }
            }
        }
    }
}

fn kind(error: &hyper::Error) -> FaultKind {
    tracing::debug!(
        error = error as &dyn std::error::Error,
        "attempt got no answer"
    );
    if http2::is_refused(error) {
        FaultKind::StreamRefused
    } else if error.is_parse() {
        FaultKind::Unreadable
    } else {
        FaultKind::Closed
    }
}

impl AnswerBody {
    fn new(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self {
            incoming,
            lease: Some(lease),
        };
        body.finish_at_end();
        body
    }

    fn finish_at_end(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
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
            Some(Ok(_)) => self.finish_at_end(),
            Some(Err(_)) => drop(self.lease.take()),
            None => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
            }
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
