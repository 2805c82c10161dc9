//! A place for one request: a whole connection, or a stream of one.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

use super::http1::Connection;
use super::http2;
use super::mark::Mark;
use super::pool::Inner;
use super::streams::Stream;
use crate::proxy::body::RequestBody;

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
    /// What hyper says.
    pub(super) error: hyper::Error,
    /// The request as it was, if hyper had not begun with it.
    pub(super) untouched: Option<Request<RequestBody>>,
}

/// A request on its way, until there is an answer's head.
pub(super) type Sending<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Incoming>, Unanswered>> + Send + 'a>>;

impl Lease {
    /// The next byte written on the connection may be the first of this attempt.
    pub(super) fn expect(&self, mark: Arc<Mark>) {
        match self {
            Self::Whole(whole) => whole.connection.ledger.expect(mark),
            Self::Stream(stream) => stream.ledger().expect(mark),
        }
    }

    /// Whether the upstream broke off the connection with a TLS alert.
    pub(super) fn is_alerted(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.connection.ledger.is_alerted(),
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

    /// Sends a request, and returns the answer as soon as its head is there.
    ///
    /// Boxed here, since everything that waits for it would else have room for a request or two more, and be moved with it.
    pub(super) fn send(&mut self, request: Request<RequestBody>) -> Sending<'_> {
        match self {
            Self::Whole(whole) => Box::pin(whole.connection.send(request, &whole.pool.tasks)),
            Self::Stream(stream) => Box::pin(send_in_stream(stream, request)),
        }
    }

    /// The answer ended well: the connection may carry another request once the protocol agrees.
    pub(super) fn give_back(self) {
        match self {
            Self::Whole(whole) => whole.give_back(),
            Self::Stream(stream) => drop(stream),
        }
    }
}

async fn send_in_stream(
    stream: &Stream,
    mut request: Request<RequestBody>,
) -> Result<Response<Incoming>, Unanswered> {
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    http2::in_http2(&mut request);
    let sent = stream.sender().try_send_request(request).await;
    sent.map_err(|mut error| {
        let untouched = error.take_message().map(|mut request| {
            *request.uri_mut() = uri;
            *request.headers_mut() = headers;
            *request.version_mut() = Version::HTTP_11;
            request
        });
        if untouched.is_some() || http2::is_farewell(error.error()) {
            stream.retire_connection();
        }
        Unanswered {
            untouched,
            error: error.into_error(),
        }
    })
}

impl Whole {
    /// Leaves it to a task to drive the connection from now on.
    pub(super) fn run_apart(&mut self) {
        self.connection.run_apart(&self.pool.tasks);
    }

    fn give_back(self) {
        let Self {
            mut connection,
            pool,
            slot,
            ..
        } = self;
        if connection.is_done() {
            pool.put_idle(connection);
        } else if !connection.is_closed() {
            connection.run_apart(&pool.tasks);
            let later = Arc::clone(&pool);
            pool.tasks.spawn(async move {
                if let Ok(true) = tokio::time::timeout(READY_WAIT, connection.ready()).await {
                    later.put_idle(connection);
                }
                drop(slot);
            });
        }
    }
}

/// How long a connection whose answer has ended may take to become ready again, say because the upload is not through.
const READY_WAIT: Duration = Duration::from_secs(1);
