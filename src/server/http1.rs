//! A client's connection of HTTP/1 (RFC 9112), one request after the other, on the connection's own task.
//!
//! [`Http1::carry`] is the whole of it: wait for a **head**, which is judged once, where it is read ([`crate::http1`]); then, for each of
//! them ([`exchange`]), ask the **service**; **deliver** its answer ([`delivery`]); find the end of a **body** that nobody has read, or
//! close. What a client sends ahead waits for its turn, and what is behind a request that asks to leave HTTP is looked at only when the
//! answer is no 101.
//!
//! A body is read by whoever has it, off the connection itself ([`lent`]); both share its bytes ([`wire`]). A connection that waits for
//! a request has no buffer and nothing else but that wait.
//!
//! Dropping it is how a connection is ended by others: the service's future goes first, then what it held, and an answer
//! that had begun ends with a reset.

mod ahead;
mod came;
mod delivery;
mod exchange;
mod framed;
mod incoming;
mod intake;
mod lent;
mod socket;
mod wire;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;

use self::came::Came;
use self::delivery::Broke;
use self::exchange::{Exchange, Next};

use super::activity::{Activity, Flight};
use super::connection::Place;
use super::refusal;
use super::terms::Manner;
use super::{BoxError, Upload};
use crate::handover::{Giver, Stream};
use crate::http1::{Outbox, Refusal};

pub(super) use self::ahead::Ahead;
pub(super) use self::lent::Lent;
pub(super) use self::wire::Held;

/// A connection that carries requests to a service.
pub(super) struct Http1<S> {
    pub(super) wire: Held,
    pub(super) service: S,
    pub(super) activity: Arc<Activity>,
    pub(super) manner: Arc<Manner>,
    /// Told of every refusal.
    pub(super) refused: Arc<dyn Fn() + Send + Sync>,
    /// Whether the client has agreed to speak HTTP/2, or not to, if it has agreed on anything.
    pub(super) agreed_http2: Option<bool>,
    /// Whether the client's end has to be looked for while it is answered.
    pub(super) looks_for_end: bool,
    pub(super) place: Place,
}

/// What becomes of a connection that is not closed.
pub(super) enum Over<S> {
    /// It is closed, or somebody else's.
    Ended,
    /// It speaks HTTP/2.
    SpeaksHttp2(Opened<S>),
}

/// A connection that speaks HTTP/2, as far as it has come.
pub(super) struct Opened<S> {
    pub(super) io: Stream,
    /// The first bytes, which have been read.
    pub(super) ahead: Bytes,
    pub(super) service: S,
    pub(super) place: Place,
}

/// Why a connection ended in the middle of something.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// It broke.
    #[error("the connection broke")]
    Wire(#[from] io::Error),
    /// The answer did.
    #[error(transparent)]
    Answer(#[from] Broke),
    /// The client has left.
    #[error("the client left its request")]
    Left,
    /// What was agreed on must be spoken (RFC 7301, section 3.2), or whoever has let the connection pass for what it said has looked at
    /// something else.
    #[error("the client speaks another protocol than it has agreed on")]
    Disagreed,
}

impl<S> Http1<S> {
    /// Carries requests until the connection ends, which it does when a request's head cannot be read, too, or until it turns out to
    /// speak HTTP/2.
    ///
    /// # Errors
    /// When it ends in the middle of something.
    pub(super) async fn carry<F, B>(self: Box<Self>) -> Result<Over<S>, Ended>
    where
        S: Fn(Request<Upload>) -> F,
        F: Future<Output = Response<B>> + Unpin,
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let is_http2 = poll_fn(|cx| self.wire.poll_is_http2(cx)).await?;
        if self.agreed_http2.is_some_and(|agreed| agreed != is_http2) {
            return Err(Ended::Disagreed);
        }
        if is_http2 {
            return Ok(self.opened());
        }
        if let Some(giver) = self.requests().await? {
            self.leave(giver);
        } else {
            poll_fn(|cx| self.wire.poll_close(cx)).await?;
            Box::pin(self.see_off()).await;
        }
        Ok(Over::Ended)
    }

    /// Gives a client that is still sending a moment to read its answer: to close over what nobody has read resets the connection, and
    /// the answer may be lost with it (RFC 9112, section 9.6).
    async fn see_off(&self) {
        let rest = poll_fn(|cx| self.wire.poll_rest(cx));
        let _left_or_not = tokio::time::timeout(refusal::LEAVES_WITHIN, rest).await;
    }

    /// One request after the other, until none can follow, or until the connection leaves HTTP.
    async fn requests<F, B>(&self) -> Result<Option<Giver>, Ended>
    where
        S: Fn(Request<Upload>) -> F,
        F: Future<Output = Response<B>> + Unpin,
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let reading = self.manner.reading;
        loop {
            match poll_fn(|cx| self.wire.poll_head(cx, reading)).await? {
                Came::End => return Ok(None),
                Came::Nonsense(why) => {
                    self.refuse(why).await?;
                    return Ok(None);
                }
                // Boxed, or every connection that waits for a request would have the room for one.
                Came::Head(head) => match Box::pin(Exchange::new(self, head)).await? {
                    Next::Request => {}
                    Next::Close => return Ok(None),
                    Next::Leave(giver) => return Ok(Some(giver)),
                },
            }
        }
    }

    /// Tells a client that what it sent is no request.
    async fn refuse(&self, why: Refusal) -> Result<(), Ended> {
        tracing::debug!(%why, "a request is refused");
        (self.refused)();
        let mut outbox = Outbox::default();
        outbox.push(refusal::of(why).into());
        Ok(poll_fn(|cx| self.wire.poll_send(cx, &mut outbox)).await?)
    }

    /// Hands the connection over to whoever carries it on, with what came behind the request.
    fn leave(self, giver: Giver) {
        if let Some((io, ahead)) = self.wire.take() {
            giver.give(Box::new(Ahead::new(io, ahead, self.place)));
        }
    }

    fn opened(self) -> Over<S> {
        match self.wire.take() {
            None => Over::Ended,
            Some((io, ahead)) => Over::SpeaksHttp2(Opened {
                io,
                ahead,
                service: self.service,
                place: self.place,
            }),
        }
    }
}

#[cfg(test)]
#[path = "http1/tests.rs"]
mod tests;
