//! One request, from its head to the end of its answer and of its body.
//!
//! It begins at once, so that nothing that waits has room for the head. What it waits for is polled where it lies, and an answer is made
//! ready to be sent where it is handed over: to move either of them costs as much as to read a head.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;

use super::delivery::Delivery;
use super::framed::Asked;
use super::{BoxError, Ended, Flight, Http1};
use crate::handover::{Giver, handover};
use crate::http1::{Case, Framing, Outbox, RequestHead};
use crate::server::Upload;

/// A request on its way.
pub(super) struct Exchange<'a, S, F, B> {
    http1: &'a Http1<S>,
    stage: Stage<'a, F, B>,
    asked: Asked,
    /// Until the answer has it.
    flight: Option<Flight>,
    /// Who carries the connection on, if it leaves HTTP.
    giver: Option<Giver>,
    has_body: bool,
    /// Whether another request may follow, and when the answer is there whether it does.
    stays: bool,
    /// Whether the answer agrees to leave HTTP.
    leaves: bool,
}

/// What follows for the connection when a request is answered.
pub(super) enum Next {
    Request,
    Close,
    /// The connection leaves HTTP.
    Leave(Giver),
}

/// What a request waits for.
enum Stage<'a, F, B> {
    /// The service's answer.
    Answer(F),
    /// The client, who takes it.
    Delivery(Delivery<'a, B>),
    /// The end of its own body.
    End,
}

impl<'a, S, F, B> Exchange<'a, S, F, B>
where
    S: Fn(Request<Upload>) -> F,
    F: Future<Output = Response<B>> + Unpin,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// A request with this head.
    pub(super) fn new(http1: &'a Http1<S>, head: Box<RequestHead>) -> Self {
        let flight = http1.activity.request_came();
        let asked = Asked::of(&head.parts, head.takes_trailers);
        let (has_body, stays) = (head.framing != Framing::Nothing, head.keeps_alive);
        let asks_to_leave = head.asks_to_leave;
        let body = if has_body {
            Upload::lent(http1.wire.share().lend(&head))
        } else {
            Upload::nothing()
        };
        let mut request = Request::from_parts(head.parts, body);
        let giver = asks_to_leave.then(|| may_leave(&mut request));
        Self {
            http1,
            stage: Stage::Answer((http1.service)(request)),
            asked,
            flight: Some(flight),
            giver,
            has_body,
            stays,
            leaves: false,
        }
    }

    /// Makes the answer ready to be sent. Apart, since what it needs on the stack is not needed by what waits.
    #[inline(never)]
    fn answered(&mut self, answer: Response<B>, cx: &mut Context<'_>) -> Stage<'a, F, B> {
        let http1 = self.http1;
        let wire = &*http1.wire;
        let goes_on = !wire.is_stopping() && (!self.has_body || wire.may_settle(cx));
        let (mut head, body) = answer.into_parts();
        self.leaves = head.status == StatusCode::SWITCHING_PROTOCOLS;
        let framed = self.asked.frame(&mut head, &body, self.stays && goes_on);
        self.stays = framed.stays;
        let is_title = http1.manner.is_title;
        let case = if is_title { Case::Title } else { Case::Lower };
        Stage::Delivery(Delivery::new(
            wire,
            Outbox::from(framed.write(&head, is_title)),
            (framed.encoder(&head.headers), case),
            (body, self.flight.take()),
        ))
    }

    /// What follows, if the end of the body was found or not.
    fn next(&mut self, is_settled: bool) -> Next {
        match self.giver.take() {
            Some(giver) if self.leaves && is_settled => Next::Leave(giver),
            _ if self.stays && is_settled && !self.leaves => Next::Request,
            _ => Next::Close,
        }
    }

    /// Waits on, unless the client has left meanwhile.
    fn or_left<T>(&self, cx: &mut Context<'_>) -> Poll<Result<T, Ended>> {
        if self.http1.looks_for_end && self.http1.wire.poll_left(cx).is_ready() {
            return Poll::Ready(Err(Ended::Left));
        }
        Poll::Pending
    }
}

impl<S, F, B> Future for Exchange<'_, S, F, B>
where
    S: Fn(Request<Upload>) -> F,
    F: Future<Output = Response<B>> + Unpin,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Output = Result<Next, Ended>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match &mut this.stage {
                Stage::Answer(walk) => match Pin::new(walk).poll(cx) {
                    Poll::Ready(answer) => this.stage = this.answered(answer, cx),
                    Poll::Pending => return this.or_left(cx),
                },
                Stage::Delivery(delivery) => match Pin::new(delivery).poll(cx)? {
                    Poll::Ready(()) => this.stage = Stage::End,
                    Poll::Pending => return this.or_left(cx),
                },
                Stage::End => {
                    let is_settled = !this.has_body || ready!(this.http1.wire.poll_settled(cx));
                    return Poll::Ready(Ok(this.next(is_settled)));
                }
            }
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
