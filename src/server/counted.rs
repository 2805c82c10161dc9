//! A client connection of HTTP/2 watched from above: its requests, from their heads to the ends of their answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;

use super::activity::{Activity, Flight};
use super::answer::InFlight;
use super::upload::Upload;

/// A service whose requests are counted until their answers end, and get their bodies as uploads.
#[derive(Clone)]
pub(super) struct Counted<S> {
    service: S,
    activity: Arc<Activity>,
}

/// A request until the head of its answer is there.
pub(super) struct Answering<F> {
    answer: F,
    /// `None` when the answer is there.
    flight: Option<Flight>,
}

impl<S> Counted<S> {
    /// Counts the requests of `service`.
    pub(super) fn new(service: S, activity: Arc<Activity>) -> Self {
        Self { service, activity }
    }
}

impl<S, F, B> Service<Request<Incoming>> for Counted<S>
where
    S: Fn(Request<Upload>) -> F,
    F: Future<Output = Response<B>> + Unpin,
    B: Send + 'static,
{
    type Response = Response<InFlight<B>>;
    type Error = Infallible;
    type Future = Answering<F>;

    fn call(&self, request: Request<Incoming>) -> Answering<F> {
        Answering {
            flight: Some(self.activity.request_came().cancellable()),
            answer: (self.service)(request.map(Upload::stream)),
        }
    }
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Response<B>> + Unpin,
    B: Send + 'static,
{
    type Output = Result<Response<InFlight<B>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        let mut flight = self.flight.take().expect("a request has one answer");
        flight.is_answered();
        Poll::Ready(Ok(answer.map(|body| InFlight::new(body, flight))))
    }
}
