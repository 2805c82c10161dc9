//! The body of a request, lent the connection that it comes over until it is whole, or nobody wants it any more.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use super::wire::Wire;
use crate::server::upload::Broken;

/// A body on its way.
pub(in crate::server) struct Lent {
    wire: Arc<Wire>,
    /// Whose body it is: a later request has a later one.
    turn: u64,
    /// How much of it is to come, if that is known.
    left: Option<u64>,
}

impl Lent {
    /// The body of a request on this connection, of this length.
    pub(super) fn new(wire: Arc<Wire>, turn: u64, left: Option<u64>) -> Self {
        Self { wire, turn, left }
    }

    /// How many bytes are to come, if that is known.
    pub(in crate::server) fn left(&self) -> Option<u64> {
        self.left
    }

    /// The next part of it.
    pub(in crate::server) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.left == Some(0) {
            return Poll::Ready(None); // whole, also for who asks when the next request has come
        }
        let (frame, is_all) = ready!(self.wire.poll_body(self.turn, cx));
        if is_all {
            self.left = Some(0);
        } else if let Some(Ok(frame)) = &frame
            && let (Some(left), Some(data)) = (&mut self.left, frame.data_ref())
        {
            *left = left.saturating_sub(data.len() as u64);
        }
        Poll::Ready(frame)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.wire.is_let_go(self.turn);
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
