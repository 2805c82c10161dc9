//! An answer's body on its way to the client, and what becomes of it when the client stops taking it.
//!
//! hyper asks for more of a body when it has passed on what it was given before. Over HTTP/1 a client that takes nothing stops
//! the connection, which [`Activity`](super::activity::Activity) sees. Over HTTP/2 a client may close the window of one
//! stream, or open it by a byte now and then, while its connection is as lively as ever: then the body is not asked any more,
//! and whatever it holds upstream is held for as long as the client likes. So the connection looks after it from outside.

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
pub(super) enum InFlight<B> {
    /// The client stops the whole connection when it takes nothing.
    Alone { body: B, _request: Flight },
    /// It may stop this answer alone.
    LookedAfter(Arc<Answer<B>>),
}

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
    /// The body of the answer to this request.
    pub(super) fn new(body: B, request: Flight) -> Self {
        Self::Alone {
            body,
            _request: request,
        }
    }

    /// The same over HTTP/2: the request's connection looks after it.
    pub(super) fn looked_after(body: B, request: Flight) -> Self {
        let activity = Arc::clone(request.activity());
        let state = State {
            rest: Some((body, request)),
            given_at: None,
        };
        let answer = Arc::new(Answer(Mutex::new(state)));
        let held: Arc<dyn Held> = Arc::<Answer<B>>::clone(&answer);
        activity.looks_after(&held);
        Self::LookedAfter(answer)
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
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let answer = match &mut *self {
            Self::Alone { body, .. } => {
                let frame = Pin::new(body).poll_frame(cx);
                return frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)));
            }
            Self::LookedAfter(answer) => answer,
        };
        let mut state = answer.lock();
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
        match self {
            Self::Alone { body, .. } => body.is_end_stream(),
            Self::LookedAfter(answer) => {
                let state = answer.lock();
                let rest = state.rest.as_ref();
                rest.is_some_and(|(body, _)| body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Alone { body, .. } => body.size_hint(),
            Self::LookedAfter(answer) => {
                let state = answer.lock();
                let rest = state.rest.as_ref();
                rest.map_or_else(SizeHint::default, |(body, _)| body.size_hint())
            }
        }
    }
}
