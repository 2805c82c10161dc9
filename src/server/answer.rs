//! An answer's body on its way to a client of HTTP/2, and what becomes of it when the client stops taking it.
//!
//! hyper asks for more of a body when it has passed on what it was given before. A client may close the window of one
//! stream, or open it by a byte now and then, while its connection is as lively as ever: then the body is not asked any more,
//! and whatever it holds upstream is held for as long as the client likes. So the connection looks after it from outside. Over HTTP/1
//! a client that takes nothing stops the connection, which [`Activity`](super::activity::Activity) sees.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::BoxError;
use super::activity::Flight;
use crate::clock;

/// An answer's body that ends its request when it is dropped, or when it is given up.
pub(super) struct InFlight<B>(Arc<Answer<B>>);

/// What can be given up from outside.
pub(super) trait Held: Send + Sync {
    /// Lets go of what is left of the body, if hyper was given something before this moment and has not asked again.
    fn give_up(&self, before: Instant);
}

/// What is left of an answer, also for those who look after it.
pub(super) struct Answer<B>(Mutex<State<B>>);

struct State<B> {
    /// The rest of the body, and its request; `None` when it was given up.
    rest: Option<(B, Flight)>,
    /// When hyper was given something that it may not have passed on yet.
    given_at: Option<Instant>,
}

/// The client took nothing of it for too long.
#[derive(Debug, thiserror::Error)]
#[error("the client took nothing of the answer for too long")]
struct GivenUp;

impl<B: Send + 'static> InFlight<B> {
    /// The body of the answer to this request: its connection looks after it.
    pub(super) fn new(body: B, request: Flight) -> Self {
        let activity = Arc::clone(request.activity());
        let state = State {
            rest: Some((body, request)),
            given_at: None,
        };
        let answer = Arc::new(Answer(Mutex::new(state)));
        let held: Arc<dyn Held> = Arc::<Answer<B>>::clone(&answer);
        activity.looks_after(&held);
        Self(answer)
    }
}

impl<B> Answer<B> {
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Send> Held for Answer<B> {
    fn give_up(&self, before: Instant) {
        let mut state = self.lock();
        if state.given_at.is_some_and(|given| given <= before) {
            let rest = state.rest.take();
            drop(state); // what ends with it may take its time
            drop(rest);
        }
    }
}

impl<B> Body for InFlight<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.0.lock();
        state.given_at = None;
        let Some((body, _)) = &mut state.rest else {
            return Poll::Ready(Some(Err(GivenUp.into())));
        };
        let frame = Pin::new(body).poll_frame(cx);
        if matches!(frame, Poll::Ready(Some(Ok(_)))) {
            state.given_at = Some(clock::now());
        }
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.0.lock();
        let rest = state.rest.as_ref();
        rest.is_some_and(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.0.lock();
        let rest = state.rest.as_ref();
        rest.map_or_else(SizeHint::default, |(body, _)| body.size_hint())
    }
}
