//! Who handed a connection its first byte, and what its peer said below HTTP.
//!
//! A connection of HTTP/1.1 carries one request at a time, which has it to itself and asks afterwards ([`Noted`]). One of HTTP/2
//! is written by a task of its own, and what it writes may be anybody's: its [`Ledger`] knows which attempts the next byte may
//! be the first of.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::mark::Mark;

/// Who is told what happens on a connection's stream.
pub(super) trait Witness: Unpin {
    /// Something was written.
    fn written(&mut self);

    /// Something may have been written before a write failed.
    fn perhaps_written(&mut self);

    /// Something was read.
    fn heard(&mut self) {}

    /// The peer broke off TLS with an alert: in TLS 1.3 it may turn down our certificate after the handshake.
    fn alerted(&mut self);
}

/// What is noted for the one request that has the connection.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Whether anything was written, or may have been.
    pub(super) is_written: bool,
    /// Whether the peer broke off TLS with an alert.
    pub(super) is_alerted: bool,
}

/// Whose first byte the next one written may be.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    marks: Mutex<Vec<Arc<Mark>>>,
    heard: AtomicBool,
    alerted: AtomicBool,
    conversed: Notify,
}

impl Witness for Noted {
    fn written(&mut self) {
        self.is_written = true;
    }

    fn perhaps_written(&mut self) {
        self.is_written = true;
    }

    fn alerted(&mut self) {
        self.is_alerted = true;
    }
}

impl Ledger {
    /// From now on the next byte written may be the first of this attempt.
    pub(super) fn expect(&self, mark: Arc<Mark>) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.len() >= MARKS_MAX {
            marks.retain(|mark| Arc::strong_count(mark) > 1);
        }
        marks.push(mark);
    }

    /// Told whenever something is written after the peer was heard: an HTTP/2 connection has then taken note of the peer's
    /// SETTINGS, if it heard any, since it acknowledges them.
    pub(super) fn conversed(&self) -> &Notify {
        &self.conversed
    }

    /// Whether the peer broke off TLS with an alert.
    pub(super) fn is_alerted(&self) -> bool {
        self.alerted.load(Ordering::Relaxed)
    }

    fn mark(&self) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        for mark in marks.drain(..) {
            mark.first_byte();
        }
    }
}

impl Witness for Arc<Ledger> {
    fn written(&mut self) {
        self.mark();
        if self.heard.swap(false, Ordering::Relaxed) {
            self.conversed.notify_one();
        }
    }

    fn perhaps_written(&mut self) {
        self.mark();
    }

    fn heard(&mut self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    fn alerted(&mut self) {
        self.alerted.store(true, Ordering::Relaxed);
    }
}

/// Past so many attempts that wait for a peer which takes nothing, those that nobody waits for any more are forgotten, and
/// not counted. The others are no more than the connection has streams.
const MARKS_MAX: usize = 1024;
