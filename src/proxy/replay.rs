//! A request body that can be sent again, up to a limit.
//!
//! The copy is kept beside the stream: the first attempt's bytes go upstream as they come in, and what has gone by is
//! kept. A later attempt reads the copy first and then goes on with the live stream, so an upload that is answered early
//! (a throttle does that) is neither lost nor read twice. Past `replay.max_body`, or when the process keeps
//! `replay.max_total`, the copy is given up and the running attempt goes on; then the body can be sent only once.
//!
//! A body of unknown length goes up in chunks, a frame in each, so the copy knows where its frames end: a later attempt is
//! the same to the byte.
//!
//! At any time one reader is current. Handing out the next one supersedes the one before, which may still be held by a
//! connection of an attempt that is over: it ends with an error the next time that it is polled, and is woken for it.

mod memory;
mod reader;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;

use self::reader::Reader;
use super::body::{BoxError, RequestBody, none};
use crate::clock;
use crate::retry::Reason;

pub use self::memory::{Kept, Memory};

/// What is kept of request bodies (`[replay]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// The most bytes kept of one body; a longer one is sent once.
    pub max_body: usize,
    /// The most bytes kept in the process; past it bodies are sent once.
    pub max_total: usize,
}

/// A request's body, of which any number of readers can be made, one after the other. Where there is none, there is nothing to share.
pub struct Replay(Option<Arc<Shared>>);

/// Why a body is not known to its end.
#[derive(Clone, Debug)]
pub enum Unkept {
    /// It is not kept: `BodyTooLarge` or `Memory`.
    No(Reason),
    /// The client broke it.
    Broken(Arc<BoxError>),
}

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
    /// How long each frame of the copy is, where the body's length is not known.
    frames: Vec<usize>,
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
    progress: Progress,
}

/// How far an attempt's upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is nothing to upload.
    None,
    /// Its client is waited for.
    Awaited,
    /// A part of it, or its end, was handed over then; what follows is for the upstream to take or to answer.
    Moved(Instant),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    Yes,
    /// The policy allows no retry, and says so itself; or the answer is on its way to the client.
    Unwanted,
    /// The copy was given up.
    No(Reason),
}

impl Replay {
    /// Takes the client's body. It is kept only if `wanted`: whether any outcome could lead to a retry is decided before
    /// a byte is kept, and so is whether a body of known length fits.
    pub fn new(body: RequestBody, wanted: bool, memory: &Arc<Memory>) -> Self {
        if body.is_end_stream() {
            return Self(None);
        }
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
            tail: memory::room(reserved),
            frames: Vec::new(),
            trailers: None,
            reserved,
            keeping,
            touched: false,
            live: true,
            failure: None,
            current: 0,
            reader: None,
            progress: Progress::Moved(clock::now()),
        };
        Self(Some(Arc::new(Shared {
            state: Mutex::new(state),
            memory: Arc::clone(memory),
            length,
        })))
    }

    /// The next attempt's body. Every earlier one ends with an error.
    ///
    /// A body that cannot be repeated is never sent in part: such a reader ends with an error at once.
    pub fn reader(&self) -> RequestBody {
        let Some(shared) = &self.0 else {
            return none();
        };
        let mut state = shared.lock();
        let current = state.supersede();
        let whole = !state.touched || state.keeping == Keeping::Yes;
        let generation = if whole { current } else { NEVER_CURRENT };
        drop(state);
        Reader::new(Arc::clone(shared), generation).boxed_unsync()
    }

    /// Reads the body to its end before any of it is sent, and says what it is.
    ///
    /// # Errors
    /// When it is not kept to its end, or breaks before.
    pub async fn whole(&self) -> Result<Vec<Bytes>, Unkept> {
        let Some(shared) = &self.0 else {
            return Ok(Vec::new());
        };
        let kept = || match shared.lock().keeping {
            Keeping::No(reason) => Err(Unkept::No(reason)),
            Keeping::Yes | Keeping::Unwanted => Ok(()),
        };
        kept()?;
        let mut reader = self.reader();
        while let Some(frame) = reader.frame().await {
            if let (Err(_), Some(cause)) = (frame, self.failure()) {
                return Err(Unkept::Broken(cause));
            }
            kept()?;
        }
        let mut state = shared.lock();
        state.supersede();
        Ok(state.kept.clone())
    }

    /// Stops the current reader: the attempt is over, whatever its connection still holds.
    pub fn supersede(&self) {
        if let Some(shared) = &self.0 {
            shared.lock().supersede();
        }
    }

    /// How far the current reader has come.
    pub fn progress(&self) -> Progress {
        let shared = self.0.as_ref();
        shared.map_or(Progress::None, |shared| shared.lock().progress)
    }

    /// Whether the body can be sent again from its first byte, and if not, why.
    ///
    /// # Errors
    /// [`Reason::BodyTooLarge`] or [`Reason::Memory`] when the copy was given up.
    pub fn can_repeat(&self) -> Result<(), Reason> {
        let Some(shared) = &self.0 else {
            return Ok(());
        };
        let state = shared.lock();
        match state.keeping {
            Keeping::No(reason) if state.touched => Err(reason),
            _ => Ok(()), // untouched, there is nothing to repeat; unwanted, the policy is the obstacle
        }
    }

    /// Why the client's body failed, if it did: broken framing, a pause, a client that left.
    pub fn failure(&self) -> Option<Arc<BoxError>> {
        self.0.as_ref()?.lock().failure.clone()
    }

    /// No retry will follow: the copy goes as soon as the running attempt is past it.
    pub fn forget(&self) {
        let Some(shared) = &self.0 else {
            return;
        };
        let mut state = shared.lock();
        state.keeping = Keeping::Unwanted;
        if state.live {
            state.give_up(&shared.memory);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The generation of the next reader; whoever reads now is woken to be told that it is not current any more.
    fn supersede(&mut self) -> u64 {
        self.current += 1;
        self.live = false;
        self.progress = Progress::Moved(clock::now());
        let tail = self.tail.split().freeze();
        if !tail.is_empty() {
            self.kept.push(tail);
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        self.current
    }

    fn keep(&mut self, data: &Bytes, is_sized: bool, memory: &Memory) {
        if self.keeping != Keeping::Yes || data.is_empty() {
            return;
        }
        let so_far = self.kept.iter().map(Bytes::len).sum::<usize>() + self.tail.len();
        let Some(bytes) = so_far
            .checked_add(data.len())
            .filter(|sum| *sum <= memory.params.max_body)
        else {
            self.keeping = Keeping::No(Reason::BodyTooLarge);
            return self.give_up(memory);
        };
        if !is_sized {
            self.frames.push(data.len());
        }
        let needed = bytes + self.frames.len() * FRAME_COST;
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
        self.frames = Vec::new();
        memory.release(std::mem::take(&mut self.reserved));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.give_up(&self.memory);
    }
}

/// What it takes to know where a frame ends. It counts towards what the process keeps, and not towards what is kept of a body.
const FRAME_COST: usize = size_of::<usize>();

/// Generations count from 1, so a reader of this one is superseded from the start.
const NEVER_CURRENT: u64 = 0;

#[cfg(test)]
mod tests;
