//! The bodies that pass through, and the two things that are done to them: a limit on pauses, and clean trailers.
//!
//! Bodies stream in both directions and may take as long as they like, but not pause for longer than `client.body_idle`.
//! What is kept for a retry is [`replay`](super::replay)'s business.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::headers::remove_from_trailers;

/// An error that only has to be told.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body on its way to the upstream.
pub type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// An answer's body on its way to the client.
pub type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// A body paused for too long.
#[derive(Debug, thiserror::Error)]
#[error("the body paused for more than {limit:?}")]
pub struct Paused {
    /// The longest pause allowed.
    pub limit: Duration,
}

pin_project! {
    /// A body that ends with [`Paused`] when it pauses for too long.
    #[derive(Debug)]
    pub struct Brisk<B> {
        #[pin]
        body: B,
        limit: Duration,
        #[pin]
        pause: Option<Sleep>,
    }
}

impl<B> Brisk<B> {
    /// Limits the pauses of `body`.
    pub fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            limit,
            pause: None,
        }
    }
}

impl<B> Body for Brisk<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            this.pause.set(None);
            return Poll::Ready(frame.map(|frame| frame.map(passable).map_err(Into::into)));
        }
        if this.pause.is_none() {
            this.pause.set(Some(tokio::time::sleep(*this.limit)));
        }
        let pause = this.pause.as_mut().as_pin_mut().expect("set just above");
        ready!(pause.poll(cx));
        Poll::Ready(Some(Err(Box::new(Paused { limit: *this.limit }))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Trailers pass without what belongs into a head.
fn passable(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            remove_from_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(data) => data,
    }
}

/// No body.
pub fn none() -> RequestBody {
    let body = http_body_util::Empty::new().map_err(|never| match never {});
    body.boxed_unsync()
}

/// A whole body at once.
pub fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    http_body_util::Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::channel::Channel;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_pauses_too_long_ends_with_an_error() {
        let (mut sender, channel) = Channel::<Bytes, BoxError>::new(1);
        let mut body = Brisk::new(channel, Duration::from_secs(30)).boxed_unsync();

        sender
            .send_data(Bytes::from_static(b"first"))
            .await
            .unwrap();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let second = body.frame().await.unwrap();

        assert_eq!(first, "first");
        assert!(second.unwrap_err().is::<Paused>());
    }
}
