//! A place for one request: a whole connection, or a stream of one.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

use super::Head;
use super::http1::{Answered, Apart, Connection};
use super::http2;
use super::mark::Tally;
use super::pool::Inner;
use super::streams::Stream;
use crate::proxy::body::RequestBody;
use crate::retry::classify::FaultKind;

/// A place for one request.
pub(super) enum Lease {
    /// A whole connection.
    Whole(Whole),
    /// A stream of one.
    Stream(Stream),
}

/// A connection that carries one request, until it is given back or dropped.
pub(super) struct Whole {
    pub(super) connection: Box<Connection>,
    pub(super) pool: Arc<Inner>,
    pub(super) slot: OwnedSemaphorePermit,
    /// Whether it carried another request before.
    pub(super) reused: bool,
}

/// A request without an answer.
pub(super) struct Unanswered {
    /// Why.
    pub(super) kind: FaultKind,
    /// The request's body, if nobody had begun with any of it.
    pub(super) untouched: Option<RequestBody>,
}

/// An answer's head, and what its body comes from.
pub(super) enum Answer {
    /// A connection.
    Whole(Box<Answered>),
    /// A stream of one.
    Stream(Box<Response<Incoming>>),
}

/// A request on its way, until there is an answer's head.
pub(super) type Sending<'a> = Pin<Box<dyn Future<Output = Result<Answer, Unanswered>> + Send + 'a>>;

impl Lease {
    /// Whether the upstream broke off the connection with a TLS alert.
    pub(super) fn is_alerted(&mut self) -> bool {
        match self {
            Self::Whole(whole) => whole.connection.is_alerted(),
            Self::Stream(stream) => stream.ledger().is_alerted(),
        }
    }

    /// Whether the connection carried another request before.
    pub(super) fn is_reused(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.reused,
            Self::Stream(stream) => stream.reused,
        }
    }

    /// Sends a request, and returns the answer as soon as its head is there; `tally` is told of the first byte.
    ///
    /// Boxed here, since everything that waits for it would else have room for a request or two more, and be moved with it.
    pub(super) fn send<'a>(
        &'a mut self,
        head: Head<'a>,
        body: RequestBody,
        tally: &'a mut Tally<'_>,
    ) -> Sending<'a> {
        match self {
            Self::Whole(Whole {
                connection, pool, ..
            }) => Box::pin(connection.send(head, body, tally, &pool.tasks)),
            Self::Stream(stream) => Box::pin(async move {
                let sent = send_in_stream(stream, head, body, tally).await;
                sent.map(|response| Answer::Stream(Box::new(response)))
            }),
        }
    }
}

async fn send_in_stream(
    stream: &Stream,
    head: Head<'_>,
    body: RequestBody,
    tally: &mut Tally<'_>,
) -> Result<Response<Incoming>, Unanswered> {
    stream.ledger().expect(tally.mark());
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.headers_mut() = head.headers.clone();
    http2::in_http2(&mut request);
    let sent = stream.sender().try_send_request(request).await;
    sent.map_err(|mut error| {
        let untouched = error.take_message().map(Request::into_body);
        if untouched.is_some() || http2::is_farewell(error.error()) {
            stream.retire_connection();
        }
        let error = error.into_error();
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "attempt got no answer"
        );
        Unanswered {
            untouched,
            kind: http2::refusal(&error).unwrap_or(FaultKind::Closed),
        }
    })
}

impl Whole {
    /// The answer ended well: the connection may carry another request, once the last one is written.
    pub(super) fn give_back(self) {
        let Self {
            mut connection,
            pool,
            slot,
            ..
        } = self;
        match connection.take_apart() {
            None => pool.idle.put(connection),
            Some(apart) => put_later(&pool, connection, slot, apart),
        }
    }
}

#[cold]
fn put_later(
    pool: &Arc<Inner>,
    connection: Box<Connection>,
    slot: OwnedSemaphorePermit,
    apart: Apart,
) {
    let later = Arc::clone(pool);
    pool.tasks.spawn(async move {
        if let Ok(true) = tokio::time::timeout(WRITTEN_WAIT, apart.written()).await {
            later.idle.put(connection);
        }
        drop(slot);
    });
}

/// How long a connection whose answer has ended may take to get its request written to the end.
const WRITTEN_WAIT: Duration = Duration::from_secs(1);
