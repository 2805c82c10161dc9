//! A client's connection of HTTP/1 (RFC 9112), one request after the other, on the connection's own task.
//!
//! [`Http1::carry`] is the whole of it: wait for a **head**, which is judged once, where it is read ([`crate::http1`]); ask the
//! **service**; **deliver** its answer ([`delivery`]); find the end of a **body** that nobody has read, or close. What a client
//! sends ahead waits for its turn, and what is behind a request that asks to leave HTTP is looked at only when the answer is no 101.
//!
//! A body is read by whoever has it, off the connection itself ([`lent`]); both share its bytes ([`wire`]). A connection that waits for
//! a request has no buffer and nothing else but that wait.
//!
//! Dropping it is how a connection is ended by others: the service's future goes first, then what it held, and an answer
//! that had begun ends with a reset.

mod ahead;
mod came;
mod delivery;
mod framed;
mod incoming;
mod intake;
mod lent;
mod socket;
mod wire;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;

use self::came::Came;
use self::delivery::{Broke, Delivery};
use self::framed::Asked;

use super::activity::{Activity, Flight};
use super::connection::Place;
use super::refusal;
use super::terms::Manner;
use super::{BoxError, Upload};
use crate::handover::{Giver, Stream, handover};
use crate::http1::{Case, Framing, Outbox, Refusal, RequestHead};

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

/// What follows for the connection when a request is answered.
enum Next {
    Request,
    Close,
    /// The connection leaves HTTP.
    Leave(Giver),
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
                Came::Head(head) => match Box::pin(self.exchange(head)).await? {
                    Next::Request => {}
                    Next::Close => return Ok(None),
                    Next::Leave(giver) => return Ok(Some(giver)),
                },
            }
        }
    }

    /// One request, from its head to the end of its answer and of its body. It begins at once, so that its future has no room
    /// for the head.
    fn exchange<F, B>(&self, head: Box<RequestHead>) -> impl Future<Output = Result<Next, Ended>>
    where
        S: Fn(Request<Upload>) -> F,
        F: Future<Output = Response<B>> + Unpin,
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let flight = self.activity.request_came();
        let asked = Asked::of(&head.parts, head.takes_trailers);
        let (has_body, keeps_alive) = (head.framing != Framing::Nothing, head.keeps_alive);
        let asks_to_leave = head.asks_to_leave;
        let body = if has_body {
            Upload::lent(self.wire.share().lend(&head))
        } else {
            Upload::nothing()
        };
        let mut request = Request::from_parts(head.parts, body);
        let giver = asks_to_leave.then(|| may_leave(&mut request));
        let mut walk = (self.service)(request);
        let answered = self.unless_left(poll_fn(move |cx| {
            let answer = ready!(Pin::new(&mut walk).poll(cx));
            let goes_on = !self.wire.is_stopping() && (!has_body || self.wire.may_settle(cx));
            Poll::Ready((answer, goes_on))
        }));
        async move {
            let (answer, goes_on) = answered.await?;
            let leaves = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
            let (delivery, stays) = self.delivery(answer, asked, keeps_alive && goes_on, flight);
            self.unless_left(delivery).await??;
            let is_settled = !has_body || poll_fn(|cx| self.wire.poll_settled(cx)).await;
            Ok(match giver {
                Some(giver) if leaves && is_settled => Next::Leave(giver),
                _ if stays && is_settled && !leaves => Next::Request,
                _ => Next::Close,
            })
        }
    }

    /// An answer on its way, and whether the connection stays behind it.
    fn delivery<B>(
        &self,
        answer: Response<B>,
        asked: Asked,
        keeps_alive: bool,
        flight: Flight,
    ) -> (Delivery<'_, B>, bool)
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = answer.into_parts();
        let framed = asked.frame(&mut head, &body, keeps_alive);
        let outbox = Outbox::from(framed.write(&head, self.manner.is_title));
        let encoder = framed.encoder(&head.headers);
        let case = if self.manner.is_title {
            Case::Title
        } else {
            Case::Lower
        };
        let delivery = Delivery::new(&self.wire, outbox, (encoder, case), (body, flight));
        (delivery, framed.stays)
    }

    /// What comes of it, unless the client leaves before.
    fn unless_left<T>(
        &self,
        mut done: impl Future<Output = T> + Unpin,
    ) -> impl Future<Output = Result<T, Ended>> {
        poll_fn(move |cx| {
            if let Poll::Ready(done) = Pin::new(&mut done).poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if self.looks_for_end && self.wire.poll_left(cx).is_ready() {
                return Poll::Ready(Err(Ended::Left));
            }
            Poll::Pending
        })
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

/// Has the request say that it may leave HTTP, and to whom it is handed over then.
#[cold]
fn may_leave(request: &mut Request<Upload>) -> Giver {
    let (giver, handover) = handover();
    request.extensions_mut().insert(handover);
    giver
}

#[cfg(test)]
#[path = "http1/tests.rs"]
mod tests;
