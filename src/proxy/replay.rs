//! A request body that can be sent again, up to a limit.
//!
//! The copy is kept beside the stream: the first attempt's bytes go upstream as they come in, and what has gone by is
//! kept. A later attempt reads the copy first and then goes on with the live stream, so an upload that is answered early
//! (a throttle does that) is neither lost nor read twice. Past `replay.max_body`, or when the process keeps
//! `replay.max_total`, the copy is given up and the running attempt goes on; then the body can be sent only once.
//!
//! At any time one reader is current. Handing out the next one supersedes the one before, which may still be held by a
//! connection of an attempt that is over: it ends with an error the next time that it is polled, and is woken for it.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::body::{BoxError, RequestBody};
use crate::retry::Reason;

/// What is kept of request bodies (`[replay]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// The most bytes kept of one body; a longer one is sent once.
    pub max_body: usize,
    /// The most bytes kept in the process; past it bodies are sent once.
    pub max_total: usize,
}

/// The memory that all kept bodies share.
#[derive(Debug)]
pub struct Memory {
    params: Params,
    used: AtomicUsize,
}

/// A request's body, of which any number of readers can be made, one after the other.
pub struct Replay(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    memory: Arc<Memory>,
    length: SizeHint,
}

struct State {
    /// The client's body; gone once it ended or failed.
    source: Option<RequestBody>,
    /// What went by, whole frames first and the latest bytes, coalesced, last.
    kept: Vec<Bytes>,
    tail: BytesMut,
    trailers: Option<HeaderMap>,
    reserved: usize,
    keeping: Keeping,
    /// Whether a frame was ever taken from the source.
    touched: bool,
    /// Whether the current reader is past the copy.
    live: bool,
    failure: Option<Arc<BoxError>>,
    current: u64,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    Yes,
    /// The policy allows no retry, and says so itself; or the answer is on its way to the client.
    Unwanted,
    /// The copy was given up.
    No(Reason),
}

/// One attempt's reader.
struct Reader {
    shared: Arc<Shared>,
    generation: u64,
    next: usize,
    yielded: u64,
    trailers_sent: bool,
}

/// A reader was polled although a later attempt has the body.
#[derive(Debug, thiserror::Error)]
#[error("a later attempt has taken over the request's body")]
struct Superseded;

/// The client's body failed; the cause stays with [`Replay::failure`].
#[derive(Debug, thiserror::Error)]
#[error("the client's body failed: {0}")]
struct ClientFailed(Arc<BoxError>);

impl Memory {
    /// Nothing kept yet.
    pub fn new(params: Params) -> Arc<Self> {
        Arc::new(Self {
            params,
            used: AtomicUsize::new(0),
        })
    }

    /// How many bytes are kept now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn reserve(&self, bytes: usize) -> bool {
        let grown = |used: usize| {
            used.checked_add(bytes)
                .filter(|sum| *sum <= self.params.max_total)
        };
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .is_ok()
    }

    fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Replay {
    /// Takes the client's body. It is kept only if `wanted`: whether any outcome could lead to a retry is decided before
    /// a byte is kept, and so is whether a body of known length fits.
    pub fn new(body: RequestBody, wanted: bool, memory: Arc<Memory>) -> Self {
        let length = body.size_hint();
        let known =
            usize::try_from(length.exact().unwrap_or_else(|| length.lower())).unwrap_or(usize::MAX);
        // The length first, so that a policy that only pretends knows what it could not have kept.
        let (keeping, reserved) = if known > memory.params.max_body {
            (Keeping::No(Reason::BodyTooLarge), 0)
        } else if !wanted {
            (Keeping::Unwanted, 0)
        } else if !memory.reserve(known) {
            (Keeping::No(Reason::Memory), 0)
        } else {
            (Keeping::Yes, known)
        };
        let state = State {
            source: Some(body),
            kept: Vec::new(),
            tail: BytesMut::new(),
            trailers: None,
            reserved,
            keeping,
            touched: false,
            live: true,
            failure: None,
            current: 0,
            reader: None,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            memory,
            length,
        }))
    }

    /// The next attempt's body. Every earlier one ends with an error.
    ///
    /// A body that cannot be repeated is never sent in part: such a reader ends with an error at once.
    pub fn reader(&self) -> RequestBody {
        let current = self.supersede();
        let state = self.0.lock();
        let whole = !state.touched || state.keeping == Keeping::Yes;
        let generation = if whole { current } else { NEVER_CURRENT };
        drop(state);
        Reader {
            shared: Arc::clone(&self.0),
            generation,
            next: 0,
            yielded: 0,
            trailers_sent: false,
        }
        .boxed_unsync()
    }

    /// Stops the current reader: the attempt is over, whatever its connection still holds.
    pub fn supersede(&self) -> u64 {
        let mut state = self.0.lock();
        state.current += 1;
        state.live = false;
        let tail = state.tail.split().freeze();
        if !tail.is_empty() {
            state.kept.push(tail);
        }
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        state.current
    }

    /// Whether the body can be sent again from its first byte, and if not, why.
    ///
    /// # Errors
    /// [`Reason::BodyTooLarge`] or [`Reason::Memory`] when the copy was given up.
    pub fn can_repeat(&self) -> Result<(), Reason> {
        let state = self.0.lock();
        match state.keeping {
            Keeping::No(reason) if state.touched => Err(reason),
            _ => Ok(()), // untouched, there is nothing to repeat; unwanted, the policy is the obstacle
        }
    }

    /// Why the client's body failed, if it did: broken framing, a pause, a client that left.
    pub fn failure(&self) -> Option<Arc<BoxError>> {
        self.0.lock().failure.clone()
    }

    /// No retry will follow: the copy goes as soon as the running attempt is past it.
    pub fn forget(&self) {
        let mut state = self.0.lock();
        state.keeping = Keeping::Unwanted;
        if state.live {
            state.give_up(&self.0.memory);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, data: &Bytes, memory: &Memory) {
        if self.keeping != Keeping::Yes {
            return;
        }
        let so_far = self.kept.iter().map(Bytes::len).sum::<usize>() + self.tail.len();
        let Some(needed) = so_far
            .checked_add(data.len())
            .filter(|sum| *sum <= memory.params.max_body)
        else {
            self.keeping = Keeping::No(Reason::BodyTooLarge);
            return self.give_up(memory);
        };
        if needed > self.reserved {
            if !memory.reserve(needed - self.reserved) {
                self.keeping = Keeping::No(Reason::Memory);
                return self.give_up(memory);
            }
            self.reserved = needed;
        }
        // Copied, since a small frame may pin the whole read buffer that it is a slice of, uncounted.
        self.tail.extend_from_slice(data);
    }

    fn give_up(&mut self, memory: &Memory) {
        self.kept = Vec::new();
        self.tail = BytesMut::new();
        memory.release(std::mem::take(&mut self.reserved));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.give_up(&self.memory);
    }
}

impl Reader {
    /// The next frame of the copy, if this reader is not past it.
    fn repeat(&mut self, state: &mut State) -> Option<Bytes> {
        if let Some(frame) = state.kept.get(self.next) {
            self.next += 1;
            return Some(frame.clone());
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
                    state.keep(data, &self.shared.memory);
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
            ready!(self.pull(&mut state, cx))
        };
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

/// Generations count from 1, so a reader of this one is superseded from the start.
const NEVER_CURRENT: u64 = 0;

#[cfg(test)]
mod tests;
