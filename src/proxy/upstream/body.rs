//! The body of an upstream's answer, and the connection that it holds until its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::answer::Keep;
use super::lease::Lease;
use super::switched::Switched;

/// An answer's body; gives its connection back when it ends well, and closes it otherwise, or resets its stream where that
/// carries other requests, too.
pub struct AnswerBody {
    incoming: Incoming,
    lease: Option<Lease>,
    keep: Keep,
    switched: Option<Box<Switched>>,
    /// What is told next, and nothing else.
    broken: Option<Broken>,
}

/// Why an answer's body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection or the stream broke.
    #[error(transparent)]
    Wire(#[from] hyper::Error),
    /// The upstream ended the stream in the middle of its answer and called that no error.
    #[error("the stream ended before the answer did")]
    CutShort,
}

impl AnswerBody {
    /// The body of an answer that came on `lease`.
    pub(super) fn new(incoming: Incoming, lease: Lease, keep: Keep) -> Self {
        let mut body = Self {
            incoming,
            lease: Some(lease),
            keep,
            switched: None,
            broken: None,
        };
        body.finish_at_end();
        body
    }

    /// What stands for the body where the connection leaves HTTP.
    pub(super) fn of_switched(incoming: Incoming, end: Switched) -> Self {
        Self {
            incoming,
            lease: None,
            keep: Keep::No,
            switched: Some(Box::new(end)),
            broken: None,
        }
    }

    /// The connection, if it leaves HTTP.
    pub fn take_switched(&mut self) -> Option<Switched> {
        self.switched.take().map(|end| *end)
    }

    /// Whether hyper calls an end what is none: it takes any RST_STREAM with NO_ERROR for the end of the body, and RFC 9113
    /// section 8.1 lets it only follow a whole answer.
    fn is_cut_short(&self) -> bool {
        matches!(self.lease, Some(Lease::Stream(_))) && !self.incoming.is_end_stream()
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match &mut self.lease {
            Some(Lease::Whole(whole)) => whole.connection.poll_frame(cx, &mut self.incoming),
            _ => Pin::new(&mut self.incoming).poll_frame(cx),
        }
    }

    /// The answer ends here, and badly.
    ///
    /// That is told a moment later: whoever passes the answer on has a moment to send what came before, which would be thrown away
    /// with the connection to the client, the head included.
    fn break_off(
        &mut self,
        broken: Broken,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        drop(self.lease.take());
        self.broken = Some(broken);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn finish_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        match (self.lease.take(), self.keep) {
            (Some(lease), Keep::Yes) => lease.give_back(),
            (closed, _) => drop(closed),
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
        if let Some(broken) = self.broken.take() {
            return Poll::Ready(Some(Err(broken)));
        }
        let frame = match ready!(self.poll_incoming(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return self.break_off(Broken::Wire(error), cx),
            None if self.is_cut_short() => return self.break_off(Broken::CutShort, cx),
            None => {
                self.finish();
                return Poll::Ready(None);
            }
        };
        // Nothing follows trailers, and hyper does not ask whether anything does.
        if frame.is_trailers() {
            self.finish();
        } else {
            self.finish_at_end();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
