//! An answer on its way to the client: its head, and its body as it comes.
//!
//! What is there is written at once, head and first piece together; what the client does not take makes everybody before it wait.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;

use super::wire::Wire;
use super::{BoxError, Ended, Flight};
use crate::http1::{Case, Encoder, Outbox, TooShort};

/// An answer on its way.
pub(super) struct Delivery<'a, B> {
    wire: &'a Wire,
    outbox: Outbox,
    encoder: Encoder,
    case: Case<'static>,
    /// What is left of the body, and its request; `None` when all of it is in the outbox.
    rest: Option<(B, Option<Flight>)>,
    broke: Option<Broke>,
}

/// Why an answer did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum Broke {
    /// Where it comes from.
    #[error("the answer's body broke")]
    Body(#[source] BoxError),
    /// It is shorter than its head says.
    #[error(transparent)]
    TooShort(#[from] TooShort),
}

impl<'a, B> Delivery<'a, B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// A body that is written by `encoder` behind what is in the outbox, with trailers in this case.
    pub(super) fn new(
        wire: &'a Wire,
        outbox: Outbox,
        (encoder, case): (Encoder, Case<'static>),
        rest: (B, Option<Flight>),
    ) -> Self {
        let rest = (!encoder.is_over()).then_some(rest);
        Self {
            wire,
            outbox,
            encoder,
            case,
            rest,
            broke: None,
        }
    }

    /// Takes what is there of the body, as far as there is room. Says whether more of it is waited for.
    fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        while self.outbox.has_room()
            && let Some((body, _)) = &mut self.rest
        {
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
                return true;
            };
            match frame.transpose() {
                Ok(None) => self.end(None),
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let is_end = body.is_end_stream();
                        self.encoder.write(data, &mut self.outbox);
                        if is_end || self.encoder.is_over() {
                            self.end(None);
                        }
                    }
                    Err(frame) => self.end(frame.into_trailers().ok()),
                },
                Err(error) => {
                    // What came before is good, and goes out.
                    self.broke = Some(Broke::Body(error.into()));
                    self.rest = None;
                }
            }
        }
        false
    }

    /// The body is at its end, and with it its request.
    fn end(&mut self, trailers: Option<HeaderMap>) {
        let ended = self.encoder.end(trailers, self.case, &mut self.outbox);
        self.broke = ended.err().map(Broke::TooShort);
        self.rest = None;
    }
}

impl<B> Future for Delivery<'_, B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Output = Result<(), Ended>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let waits = this.gather(cx);
            ready!(this.wire.poll_send(cx, &mut this.outbox))?;
            if this.rest.is_none() {
                return Poll::Ready(this.broke.take().map_or(Ok(()), |broke| Err(broke.into())));
            }
            if waits {
                return Poll::Pending;
            }
        }
    }
}
