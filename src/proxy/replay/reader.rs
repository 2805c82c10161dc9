//! One attempt's view of the body: the copy first, then the live stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{Keeping, Progress, Shared, State};
use crate::clock;
use crate::proxy::body::BoxError;

/// One attempt's reader.
pub(super) struct Reader {
    shared: Arc<Shared>,
    generation: u64,
    /// How many blocks of the copy went by, and how much of the next one.
    block: usize,
    offset: usize,
    /// How many frames of the copy went by.
    frame: usize,
    /// How many bytes went by.
    yielded: u64,
    trailers_sent: bool,
}

/// A reader was polled although a later attempt has the body.
#[derive(Debug, thiserror::Error)]
#[error("a later attempt has taken over the request's body")]
struct Superseded;

/// The client's body failed; the cause stays with [`super::Replay::failure`].
#[derive(Debug, thiserror::Error)]
#[error("the client's body failed: {0}")]
struct ClientFailed(Arc<BoxError>);

impl Reader {
    /// A reader from the first byte on, current as long as its generation is.
    pub(super) fn new(shared: Arc<Shared>, generation: u64) -> Self {
        Self {
            shared,
            generation,
            block: 0,
            offset: 0,
            frame: 0,
            yielded: 0,
            trailers_sent: false,
        }
    }

    /// The next frame of the copy, if this reader is not past it.
    fn repeat(&mut self, state: &mut State) -> Option<Bytes> {
        if let Some(block) = state.kept.get(self.block) {
            // Blocks end where frames do. A body whose frames are not known is in no chunks.
            let left = block.len() - self.offset;
            let length = state
                .frames
                .get(self.frame)
                .map_or(left, |it| left.min(*it));
            let data = block.slice(self.offset..self.offset + length);
            self.frame += 1;
            self.offset += length;
            if self.offset == block.len() {
                (self.block, self.offset) = (self.block + 1, 0);
            }
            return Some(data);
        }
        state.live = true;
        if state.keeping != Keeping::Yes {
            state.give_up(&self.shared.memory);
        }
        None
    }

    /// The next frame of the client's body, kept as it goes by.
    fn pull(
        &self,
        state: &mut State,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(source) = &mut state.source else {
            return Poll::Ready(
                state
                    .failure
                    .clone()
                    .map(|cause| Err(ClientFailed(cause).into())),
            );
        };
        match Pin::new(source).poll_frame(cx) {
            Poll::Pending => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Poll::Ready(None) => {
                state.source = None;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                let cause = Arc::new(error);
                state.failure = Some(Arc::clone(&cause));
                state.source = None;
                Poll::Ready(Some(Err(ClientFailed(cause).into())))
            }
            Poll::Ready(Some(Ok(frame))) => {
                state.touched = true;
                if let Some(data) = frame.data_ref() {
                    let is_sized = self.shared.length.exact().is_some();
                    state.keep(data, is_sized, &self.shared.memory);
                } else if let Some(trailers) = frame.trailers_ref() {
                    state.trailers = Some(trailers.clone());
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if self.generation != state.current {
            return Poll::Ready(Some(Err(Superseded.into())));
        }
        let frame = if let Some(data) = self.repeat(&mut state) {
            Some(Ok(Frame::data(data)))
        } else if let Some(trailers) = state.trailers.clone().filter(|_| !self.trailers_sent) {
            Some(Ok(Frame::trailers(trailers)))
        } else if state.source.is_none() && state.failure.is_none() {
            None
        } else {
            let pulled = self.pull(&mut state, cx);
            if pulled.is_pending() {
                state.progress = Progress::Awaited;
            }
            ready!(pulled)
        };
        state.progress = Progress::Moved(clock::now());
        match &frame {
            Some(Ok(frame)) if frame.is_trailers() => self.trailers_sent = true,
            Some(Ok(frame)) => self.yielded += frame.data_ref().map_or(0, |data| data.len() as u64),
            _ => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.shared.length.exact() == Some(self.yielded)
    }

    fn size_hint(&self) -> SizeHint {
        match self.shared.length.exact() {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.yielded)),
            None => SizeHint::default(),
        }
    }
}
