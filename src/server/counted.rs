//! A client connection watched from above: its requests, from their heads to the ends of their answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response, StatusCode, Version};
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
    is_http2: bool,
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
        let is_http2 = request.version() == Version::HTTP_2;
        Answering {
            flight: Some(self.activity.request_came(request.version())),
            answer: (self.service)(Upload::of(request)),
            is_http2,
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
        flight.is_answered(answer.status() == StatusCode::SWITCHING_PROTOCOLS);
        Poll::Ready(Ok(answer.map(|body| {
            if self.is_http2 {
                InFlight::looked_after(body, flight)
            } else {
                InFlight::new(body, flight)
            }
        })))
    }
}
