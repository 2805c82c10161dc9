//! The memory that all kept bodies share, and its one limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Params;

/// The memory that all kept bodies share.
#[derive(Debug)]
pub struct Memory {
    pub(super) params: Params,
    used: AtomicUsize,
}

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
