//! One attempt on the wire. What goes wrong there becomes a [`Fault`] here, once, and nobody else sees the errors.
//!
//! The seam between the retry loop and the connections: the loop hands over a request and a [`Tally`], and gets an answer
//! or a fault that says whether anything was sent. Dropping either closes the connection that it came on, or resets its
//! stream where that carries other requests, too: a client that leaves stops the upstream's work.

mod body;
mod connect;
mod distrust;
mod http1;
mod http2;
mod idle;
mod lease;
mod ledger;
mod mark;
mod offer;
mod pool;
mod streams;
mod switched;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use http::header::UPGRADE;
use http::uri::{Authority, Scheme};
use http::{Extensions, HeaderMap, Method, Response, StatusCode, Uri, request};
use prometheus::IntGauge;

use self::connect::{Connector, Tls};
use self::lease::{Answer, Lease, Unanswered};
use self::pool::Pool;
use super::body::RequestBody;
use crate::dns::Resolver;
use crate::http1::one_length;
use crate::retry::classify::{Fault, FaultKind, Sent};
use crate::retry::fields::has;
use crate::tls::{Expiry, Reloaded};

pub use self::body::{AnswerBody, Broken};
pub use self::connect::TlsError;
pub use self::mark::Tally;
pub use self::switched::{Place, Switched, UpstreamEnd};
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

/// The head of a request, which stays with whoever sends it: it may be sent again.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// Path and query.
    pub uri: &'a Uri,
    /// All that is said to the upstream.
    pub headers: &'a HeaderMap,
    /// Among them the names as they came, where they are to be kept so.
    pub extensions: &'a Extensions,
}

/// Which connections a request may be sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Any: if the upstream closes it just then, the request is sent again.
    Any,
    /// Only one that shows no sign of being closed, since the request may not be sent twice.
    Settled,
}

impl<'a> From<&'a request::Parts> for Head<'a> {
    fn from(parts: &'a request::Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }
}

/// One upstream and its connections.
pub struct Upstream {
    pool: Pool,
    tls: Option<Arc<Tls>>,
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
        resolver: Resolver,
        expiry: &Expiry,
    ) -> Result<Self, TlsError> {
        let connector = Connector::new(params, resolver, expiry)?;
        let tls = connector.tls();
        Ok(Self {
            pool: Pool::new(connector, params.connections, header_case, open),
            tls,
        })
    }

    /// Reads the files that TLS needs again, if it is used; blocks for as long as that takes. Connections that exist keep
    /// what they began with: those of HTTP/1.1 for `connections.max_age` at most, those of HTTP/2 to the end of the requests
    /// that they carry.
    pub fn reload(&self) -> Reloaded {
        let reload = |tls: &Arc<Tls>| tls.reload();
        let reloaded = self.tls.as_ref().map_or(Reloaded::Same, reload);
        if reloaded == Reloaded::New {
            self.pool.retire_streams();
        }
        reloaded
    }

    /// How many connections of HTTP/1.1 nobody uses.
    #[cfg(test)]
    fn idle_connections(&self) -> usize {
        self.pool.idle_connections()
    }

    /// Whether there is any such file.
    pub fn has_tls_files(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_files())
    }

    /// Sends one request once, and returns the answer as soon as its head is there; a new connection may take as long as
    /// `connect`, TLS included. How long all of it may take is for the caller to say.
    ///
    /// A kept connection that turns out closed before a byte was written costs nothing: another is taken.
    ///
    /// # Errors
    /// When there is no answer: why, and whether a byte was written.
    pub fn send<'a>(
        &'a self,
        head: Head<'a>,
        mut body: RequestBody,
        trust: Trust,
        tally: &'a mut Tally<'_>,
        connect: Duration,
    ) -> impl Future<Output = Result<Response<AnswerBody>, Fault>> + Send + 'a {
        let asks_upgrade = has(head.headers, &UPGRADE);
        // A block, since the future of a function has room for its arguments twice.
        async move {
            loop {
                let mut lease = self.pool.lease(trust, asks_upgrade, connect).await?;
                match lease.send(head, body, tally).await {
                    Ok(answer) => return received(answer, lease, asks_upgrade, tally),
                    Err(unanswered) => body = self.untouched(unanswered, lease, tally)?,
                }
            }
        }
    }

    /// The body of a request that got no answer, if it is to be sent on another connection.
    #[cold]
    fn untouched(
        &self,
        unanswered: Unanswered,
        mut lease: Lease,
        tally: &Tally<'_>,
    ) -> Result<RequestBody, Fault> {
        let Unanswered { kind, untouched } = unanswered;
        // On a shared connection a byte may have been somebody else's, and HTTP/2 alone knows.
        let sent = match (&untouched, &lease) {
            (Some(_), Lease::Stream(_)) => Sent::Nothing,
            _ => tally.sent(),
        };
        if let Some(untouched) = untouched
            && lease.is_reused()
            && sent == Sent::Nothing
        {
            return Ok(untouched);
        }
        let kind = match kind {
            FaultKind::Closed if lease.is_alerted() => FaultKind::TlsAlert,
            kind => kind,
        };
        if kind == FaultKind::Http1Required {
            self.pool.require_http1();
        }
        Err(Fault { kind, sent })
    }
}

/// What came back, if it can be believed.
fn received(
    answer: Answer,
    lease: Lease,
    asks_upgrade: bool,
    tally: &Tally<'_>,
) -> Result<Response<AnswerBody>, Fault> {
    match (answer, lease) {
        (Answer::Whole(answered), Lease::Whole(whole)) => {
            if answered.head.status != StatusCode::SWITCHING_PROTOCOLS {
                return Ok(AnswerBody::of_whole(*answered, whole));
            }
            // Its end of the connection speaks something else now, which maybe nobody asked for.
            if asks_upgrade {
                let end = Switched::of(whole, answered.came);
                return Ok(AnswerBody::of_switched(answered.head, end));
            }
        }
        (Answer::Stream(mut response), Lease::Stream(stream)) => {
            let is_clear = response.status() != StatusCode::SWITCHING_PROTOCOLS
                && one_length(response.headers_mut()).is_ok();
            if is_clear {
                return Ok(AnswerBody::of_stream(*response, stream));
            }
        }
        _ => {} // it is of the lease that it came on
    }
    Err(Fault {
        kind: FaultKind::Unreadable,
        sent: tally.sent(),
    })
}
