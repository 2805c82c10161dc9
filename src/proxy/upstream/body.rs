//! The body of an upstream's answer, and the connection that it holds until its end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Response, response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::http1;
use super::lease::Whole;
use super::streams::Stream;
use super::switched::Switched;

/// An answer's body; gives its connection back when it ends well, and closes it otherwise, or resets its stream where that
/// carries other requests, too.
pub struct AnswerBody(Source);

/// Where the body comes from.
enum Source {
    /// A connection of its own.
    Whole(http1::Incoming),
    /// A stream of one, until the end.
    Stream(Incoming, Option<Stream>),
    /// There is no body, since the connection leaves HTTP.
    Switched(Option<Box<Switched>>),
    /// It broke, which is told next, and nothing else.
    Broken(Option<Broken>),
}

/// Why an answer's body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection broke.
    #[error(transparent)]
    Http1(io::Error),
    /// The chunks cannot be read.
    #[error(transparent)]
    Chunks(#[from] crate::http1::Broken),
    /// The stream broke.
    #[error(transparent)]
    Http2(hyper::Error),
    /// The upstream ended the connection or the stream in the middle of its answer and called that no error.
    #[error("the stream ended before the answer did")]
    CutShort,
}

impl AnswerBody {
    /// The answer that came on a connection of its own.
    pub(super) fn of_whole(answered: http1::Answered, whole: Whole) -> Response<Self> {
        let (head, incoming) = http1::Incoming::new(answered, whole);
        Response::from_parts(head, Self(Source::Whole(incoming)))
    }

    /// The answer that came on a stream.
    pub(super) fn of_stream(response: Response<Incoming>, stream: Stream) -> Response<Self> {
        response.map(|incoming| {
            let mut source = Source::Stream(incoming, Some(stream));
            source.finish_at_end();
            Self(source)
        })
    }

    /// What stands for an answer where the connection leaves HTTP.
    pub(super) fn of_switched(head: response::Parts, end: Switched) -> Response<Self> {
        let source = Source::Switched(Some(Box::new(end)));
        Response::from_parts(head, Self(source))
    }

    /// The connection, if it leaves HTTP.
    pub fn take_switched(&mut self) -> Option<Switched> {
        match &mut self.0 {
            Source::Switched(end) => end.take().map(|end| *end),
            _ => None,
        }
    }
}

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self {
            Self::Whole(incoming) => incoming.poll_frame(cx),
            Self::Stream(incoming, _) => {
                let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
                // hyper takes any RST_STREAM with NO_ERROR for the end of the body, and RFC 9113 section 8.1 lets it only
                // follow a whole answer.
                if frame.is_none() && !incoming.is_end_stream() {
                    return Poll::Ready(Some(Err(Broken::CutShort)));
                }
                // Nothing follows trailers, and hyper does not ask whether anything does.
                let is_trailers = matches!(&frame, Some(Ok(frame)) if frame.is_trailers());
                if frame.is_none() || is_trailers {
                    self.finish();
                } else {
                    self.finish_at_end();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Broken::Http2)))
            }
            Self::Switched(_) | Self::Broken(_) => Poll::Ready(None),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Whole(incoming) => incoming.is_over(),
            Self::Stream(incoming, _) => incoming.is_end_stream(),
            Self::Switched(_) | Self::Broken(None) => true,
            Self::Broken(Some(_)) => false,
        }
    }

    fn finish_at_end(&mut self) {
        if self.is_over() {
            self.finish();
        }
    }

    /// A stream may be used again, or end with its connection.
    fn finish(&mut self) {
        if let Self::Stream(_, stream) = self {
            drop(stream.take());
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Source::Broken(broken) = &mut self.0 {
            return Poll::Ready(broken.take().map(Err));
        }
        match ready!(self.0.poll_frame(cx)) {
            // The answer ends here, and badly. That is told a moment later: whoever passes the answer on has a moment to
            // send what came before, which would be thrown away with the connection to the client, the head included.
            Some(Err(broken)) => {
                self.0 = Source::Broken(Some(broken));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Whole(incoming) => incoming.size_hint(),
            Source::Stream(incoming, _) => incoming.size_hint(),
            Source::Switched(_) => SizeHint::with_exact(0),
            Source::Broken(_) => SizeHint::default(),
        }
    }
}
