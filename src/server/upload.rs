//! A request's body as the service gets it: whole, or broken; never a part that looks whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// A request's body on its way from the client.
#[derive(Debug)]
pub struct Upload {
    incoming: Incoming,
    /// Whether it comes on a stream of HTTP/2.
    is_stream: bool,
}

/// Why a request's body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection or the stream broke.
    #[error(transparent)]
    Wire(#[from] hyper::Error),
    /// The client reset the stream in the middle of its request and called that no error.
    #[error("the stream ended before the request did")]
    CutShort,
}

impl Upload {
    /// The request with its body as an upload.
    pub(super) fn of(request: Request<Incoming>) -> Request<Self> {
        let is_stream = request.version() == Version::HTTP_2;
        request.map(|incoming| Self {
            incoming,
            is_stream,
        })
    }

    /// Whether hyper calls an end what is none: it takes any RST_STREAM with NO_ERROR for the end of the body. A request ends
    /// with END_STREAM and nothing else (RFC 9113, section 8.1); where its length was not announced, the upstream would have
    /// no other means to tell a part from the whole.
    fn is_cut_short(&self) -> bool {
        self.is_stream && !self.incoming.is_end_stream()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if frame.is_none() && self.is_cut_short() {
            return Poll::Ready(Some(Err(Broken::CutShort)));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Broken::Wire)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
