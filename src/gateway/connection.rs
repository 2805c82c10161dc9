//! One connection: requests in, answers out, until either side has enough.
//!
//! A quota or rate throttle is answered as soon as the head is there, however much of the upload is still to come: the
//! hardest case for a client, and one that it has to bear. What then happens to the rest of the upload:
//! - A body of known size, at most [`UNREAD_KEPT_BYTES_MAX`], is read and dropped, and the connection goes on.
//! - Otherwise the answer says `Connection: close`, our side is closed, and the rest is read and dropped for a while
//!   ([`LINGER_BYTES_MAX`], [`LINGER_TIME_MAX`]). Closing at once would make the kernel answer the upload with a reset,
//!   which may destroy the answer before the client has read it.
//!
//! Cancelling [`serve`] closes the connection; executions are the door's, not the connection's, and run on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Params;
use super::cases::{self, Case, Cases};
use super::door::{Counts, Door, Refusal};
use super::front::{self, Answer, Front};
use super::wire::{Framing, Head, Unreadable, Weight, Wire};

/// Serves a connection to its end. Once `closing`, a request that has begun is answered and no other is taken.
pub(super) async fn serve<S>(stream: S, service: Arc<Service>, closing: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection {
        wire: Wire::new(stream),
        front: service.front,
        service,
        closing,
    };
    while let Ok(Next::Request) = connection.request().await {}
}

/// What every connection asks.
#[derive(Debug)]
pub(super) struct Service {
    front: Front,
    /// The limits, and what came of them.
    pub(super) counts: Arc<Counts>,
    cases: Cases,
}

struct Connection<S> {
    wire: Wire<S>,
    /// The door that the request at hand came in by: the gateway's own, or that of a case.
    front: Front,
    service: Arc<Service>,
    closing: CancellationToken,
}

impl Service {
    /// A gateway with its limits, and the cases, which have their own.
    pub(super) fn new(params: &Params) -> Self {
        Self {
            front: params.front,
            counts: Arc::new(Counts::new(params)),
            cases: Cases::new(),
        }
    }
}

/// What follows an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

/// Where the client is with its upload when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    /// All of it was read.
    Read,
    /// None of it was read.
    Unread,
    /// The connection is in the middle of it, or of something that is no request.
    Lost,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Takes a request and answers it. An error means that the client is gone: nobody is left to be told.
    async fn request(&mut self) -> io::Result<Next> {
        self.front = self.service.front;
        let more = tokio::select! {
            // A request that is already there when the gateway closes is answered.
            biased;
            more = timeout(IDLE_TIME_MAX, self.wire.ready()) => more??,
            () = self.closing.cancelled() => false,
        };
        if !more {
            return Ok(Next::Close);
        }
        let head = match timeout(HEAD_TIME_MAX, self.wire.head()).await {
            Ok(Ok(head)) => head,
            Ok(Err(fault)) => return self.refuse(fault).await,
            Err(_) => {
                return self
                    .refuse(Unreadable::Refused(StatusCode::REQUEST_TIMEOUT))
                    .await;
            }
        };
        if let Some(answer) = self.told(&head)? {
            return self.answer(&head, answer, Upload::Unread).await;
        }
        let service = Arc::clone(&self.service);
        if let Some(case) = service.cases.at(&head.target) {
            return self.stage(&head, case).await;
        }
        if let Err(refusal) = self.service.counts.door(Door::enter) {
            return self.throttle(&head, refusal, Upload::Unread).await;
        }
        match self.upload(&head).await {
            Ok(weight) => self.invoke(&head, weight).await,
            Err(Unreadable::TooLarge) => {
                self.service.counts.door(|door, _| door.count_too_large());
                // None of a sized body was read, and some of a chunked one. Either way it is too long to be read out.
                self.answer(&head, self.front.too_large(), Upload::Lost)
                    .await
            }
            Err(fault) => {
                self.service.counts.door(|door, _| door.count_unfinished());
                self.refuse(fault).await
            }
        }
    }

    /// The answer to a question about the gateway itself.
    fn told(&self, head: &Head) -> io::Result<Option<Answer>> {
        if head.method != "GET" {
            return Ok(None);
        }
        Ok(match &*head.target {
            COUNTS_PATH => {
                let seen = serde_json::to_string(&self.service.counts.snapshot())?;
                Some(front::json(StatusCode::OK, None, seen))
            }
            cases::INDEX_PATH => Some(self.service.cases.index()),
            _ => None,
        })
    }

    /// Answers as the case says, whatever the gateway's own limits.
    async fn stage(&mut self, head: &Head, case: &Case) -> io::Result<Next> {
        self.front = case.front;
        match self.upload(head).await {
            Ok(_) => {
                let answer = case.answer().await;
                self.answer(head, answer, Upload::Read).await
            }
            Err(fault) => self.refuse(fault).await,
        }
    }

    /// Takes the request's body in, as API Gateway does before it invokes a function.
    async fn upload(&mut self, head: &Head) -> Result<Weight, Unreadable> {
        let sendable = match head.framing {
            Framing::Sized(length) => (1..=PAYLOAD_BYTES_MAX).contains(&length),
            Framing::Chunked => true,
        };
        if head.expects_continue && sendable {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        timeout(
            UPLOAD_TIME_MAX,
            self.wire.body(head.framing, PAYLOAD_BYTES_MAX),
        )
        .await
        .unwrap_or(Err(Unreadable::Refused(StatusCode::REQUEST_TIMEOUT)))
    }

    /// Runs the function: it does nothing but take its time and describe the request.
    async fn invoke(&mut self, head: &Head, weight: Weight) -> io::Result<Next> {
        let end = match self.service.counts.door(Door::invoke) {
            Ok(end) => end,
            Err(refusal) => return self.throttle(head, refusal, Upload::Read).await,
        };
        tokio::time::sleep_until(end.into()).await;
        let body = serde_json::json!({
            "method": head.method,
            "path": head.target,
            "headers": head.headers,
            "bytes": weight.bytes,
            "fnv1a": format!("{:016x}", weight.fnv1a),
        });
        let answer = front::json(StatusCode::OK, None, body.to_string());
        self.answer(head, answer, Upload::Read).await
    }

    async fn throttle(
        &mut self,
        head: &Head,
        refusal: Refusal,
        upload: Upload,
    ) -> io::Result<Next> {
        self.answer(head, self.front.refusal(refusal), upload).await
    }

    /// Answers a request, and deals with what is left of its upload.
    async fn answer(&mut self, head: &Head, answer: Answer, upload: Upload) -> io::Result<Next> {
        let left = match (upload, head.framing) {
            (Upload::Read, _) | (Upload::Unread, Framing::Sized(0)) => Some(0),
            // A client that was to be told to go on may send its body or not: nobody can say where the next request starts.
            (Upload::Unread, Framing::Sized(length)) if !head.expects_continue => {
                (length <= UNREAD_KEPT_BYTES_MAX).then_some(length)
            }
            (Upload::Unread | Upload::Lost, _) => None,
        };
        let keep_alive = head.keep_alive && left.is_some() && !self.closing.is_cancelled();
        let bytes = self
            .front
            .encode(&answer, keep_alive, head.method != "HEAD");
        self.send(&bytes).await?;
        match left {
            Some(left) if keep_alive => {
                let rest = self.wire.body(Framing::Sized(left), UNREAD_KEPT_BYTES_MAX);
                match timeout(LINGER_TIME_MAX, rest).await {
                    Ok(Ok(_)) => Ok(Next::Request),
                    _ => Ok(Next::Close),
                }
            }
            _ => self.linger().await,
        }
    }

    /// Answers what is no request, if anybody is there to be answered. These answers are this stand-in's own words.
    async fn refuse(&mut self, fault: Unreadable) -> io::Result<Next> {
        let status = match fault {
            Unreadable::Broken(error) => return Err(error),
            Unreadable::Refused(status) => status,
            Unreadable::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        };
        let answer = front::text(status, status.canonical_reason().unwrap_or_default());
        self.send(&self.front.encode(&answer, false, true)).await?;
        self.linger().await
    }

    /// Closes our side and gives the client time to read the answer.
    async fn linger(&mut self) -> io::Result<Next> {
        timeout(LINGER_TIME_MAX, async {
            self.wire.stream.shutdown().await?;
            self.wire.discard(LINGER_BYTES_MAX).await
        })
        .await
        .unwrap_or(Ok(()))?;
        Ok(Next::Close)
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(SEND_TIME_MAX, self.wire.stream.write_all(bytes)).await?
    }
}

/// Where a GET is answered with the counts as JSON, uncounted. API Gateway has no such path; neither will a real API.
pub(super) const COUNTS_PATH: &str = "/-/counts";
/// The most bytes of a payload, API Gateway's own limit. Lambda's 6 MB and a load balancer's 1 MB are not modelled.
const PAYLOAD_BYTES_MAX: u64 = 10_485_760;
/// The largest upload that is read out behind an early answer to keep the connection: cheaper than a new connection up
/// to about here, and most throttled requests are far smaller.
const UNREAD_KEPT_BYTES_MAX: u64 = 64 * 1024;
/// The most bytes that are dropped before the connection is closed on a client that still sends: a whole payload.
const LINGER_BYTES_MAX: u64 = PAYLOAD_BYTES_MAX;
/// The longest that a client is given to finish its upload, or to close, after its answer.
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);
/// The longest that a connection is idle between requests.
const IDLE_TIME_MAX: Duration = Duration::from_secs(75);
/// The longest that a head takes from its first byte; more is answered 408.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest that a body takes; more is answered 408. A whole payload at less than 1 Mbit/s.
const UPLOAD_TIME_MAX: Duration = Duration::from_secs(90);
/// The longest that a client takes to accept an answer.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
