//! The memory that all kept bodies share, and its one limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;

use super::Params;

/// The memory that all kept bodies share.
#[derive(Debug)]
pub struct Memory {
    pub(super) params: Params,
    used: Arc<AtomicUsize>,
}

/// Bytes that are kept for as long as this lives.
#[derive(Debug)]
pub struct Kept {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Memory {
    /// Nothing kept yet.
    pub fn new(params: Params) -> Arc<Self> {
        Arc::new(Self {
            params,
            used: Arc::default(),
        })
    }

    /// The same memory by other limits, which bodies that come from now on follow.
    pub fn follow(&self, params: Params) -> Arc<Self> {
        Arc::new(Self {
            params,
            used: Arc::clone(&self.used),
        })
    }

    /// How many bytes are kept now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Keeps this many bytes, if the process may keep them.
    pub fn keep(self: &Arc<Self>, bytes: usize) -> Option<Kept> {
        self.reserve(bytes).then(|| Kept {
            memory: Arc::clone(self),
            bytes,
        })
    }

    /// Takes this many bytes, if the process may keep them.
    pub(super) fn reserve(&self, bytes: usize) -> bool {
        let grown = |used: usize| {
            used.checked_add(bytes)
                .filter(|sum| *sum <= self.params.max_total)
        };
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .is_ok()
    }

    /// Gives this many bytes back.
    pub(super) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.memory.release(self.bytes);
    }
}

/// Room for a body of this length, or for its beginning: it would be copied again and again as it grows.
pub(super) fn room(length: usize) -> BytesMut {
    BytesMut::with_capacity(length.min(ROOM_BYTES_MAX))
}

/// How much room is made for a body before any of it has come.
const ROOM_BYTES_MAX: usize = 64 * 1024;
