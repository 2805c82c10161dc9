//! One of the two sides from which a client connection is watched: its requests. The other is [`watch`](super::watch).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tower::Service;

use super::activity::Activity;
use super::answer::InFlight;
use super::upload::Upload;

/// A service whose requests are counted until their answers end, and get their bodies as uploads.
#[derive(Clone)]
pub(super) struct Counted<S> {
    service: S,
    activity: Arc<Activity>,
}

impl<S> Counted<S> {
    /// Counts the requests of `service`.
    pub(super) fn new(service: S, activity: Arc<Activity>) -> Self {
        Self { service, activity }
    }
}

impl<S, B> Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Upload>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<InFlight<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let is_http2 = request.version() == Version::HTTP_2;
        let mut flight = self.activity.request_came(request.version());
        let answered = self.service.call(Upload::of(request));
        let activity = Arc::clone(&self.activity);
        Box::pin(async move {
            let answer = answered.await?;
            flight.is_answered(answer.status() == StatusCode::SWITCHING_PROTOCOLS);
            Ok(answer.map(|body| {
                let body = InFlight::new(body, flight);
                if is_http2 {
                    activity.looks_after(&body.held());
                }
                body
            }))
        })
    }
}
