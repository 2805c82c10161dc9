//! A request's body as the service gets it: whole, or broken; never a part that looks whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::http1::Lent;
use crate::http1;

/// A request's body on its way from the client.
#[derive(Debug)]
pub struct Upload(Source);

#[derive(Debug)]
enum Source {
    /// There is none.
    Nothing,
    /// A connection of HTTP/1, as long as the body lasts.
    Connection(Lent),
    /// A stream of HTTP/2.
    Stream(Incoming),
}

/// Why a request's body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection broke.
    #[error("the connection broke")]
    Connection(#[from] io::Error),
    /// The connection ended in the middle of the body.
    #[error("the connection ended before the body did")]
    Ended,
    /// What came is no body in chunks.
    #[error(transparent)]
    Chunks(#[from] http1::Broken),
    /// The stream broke, or its connection.
    #[error(transparent)]
    Stream(#[from] hyper::Error),
    /// The client reset the stream in the middle of its request and called that no error.
    #[error("the stream ended before the request did")]
    CutShort,
}

impl Upload {
    /// The body of a request that has none.
    pub(super) fn nothing() -> Self {
        Self(Source::Nothing)
    }

    /// A body that is read off its connection.
    pub(super) fn lent(body: Lent) -> Self {
        Self(Source::Connection(body))
    }

    /// The body of a request over HTTP/2.
    pub(super) fn stream(body: Incoming) -> Self {
        Self(Source::Stream(body))
    }
}

/// The next frame of a stream.
///
/// hyper calls an end what is none: it takes any RST_STREAM with NO_ERROR for the end of the body. A request ends
/// with END_STREAM and nothing else (RFC 9113, section 8.1); where its length was not announced, the upstream would have
/// no other means to tell a part from the whole.
fn poll_stream(
    stream: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
    let frame = ready!(Pin::new(&mut *stream).poll_frame(cx));
    if frame.is_none() && !stream.is_end_stream() {
        return Poll::Ready(Some(Err(Broken::CutShort)));
    }
    Poll::Ready(frame.map(|frame| frame.map_err(Broken::Stream)))
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.0 {
            Source::Nothing => Poll::Ready(None),
            Source::Connection(body) => body.poll_frame(cx),
            Source::Stream(stream) => poll_stream(stream, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Nothing => true,
            Source::Connection(body) => body.left() == Some(0),
            Source::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Nothing => SizeHint::with_exact(0),
            Source::Connection(body) => {
                let left = body.left();
                left.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Source::Stream(stream) => stream.size_hint(),
        }
    }
}
