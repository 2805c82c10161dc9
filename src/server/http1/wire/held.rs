//! A connection as whoever carries it holds it: how it begins, and how it ends.

use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::{Doing, Intake, Search, Socket, State, Wire};
use crate::handover::Stream;
use crate::server::activity::Activity;
use crate::tcp::SharedTcp;

/// A connection, until whoever carries it drops this: then it is closed, whoever has a body of it, and that body is broken.
pub(in crate::server) struct Held {
    wire: Arc<Wire>,
    tcp: SharedTcp,
}

impl Held {
    /// A fresh connection; `io` is what comes out of `tcp`.
    pub(in crate::server) fn new(io: Stream, tcp: SharedTcp, activity: Arc<Activity>) -> Self {
        let state = State {
            socket: Socket::new(io),
            search: Search::default(),
            intake: Intake::nothing(),
            turn: 0,
            carrier: None,
            reader: None,
            doing: Doing::Waiting,
        };
        let wire = Arc::new(Wire {
            state: Mutex::new(state),
            activity,
            is_stopping: AtomicBool::new(false),
        });
        Self { wire, tcp }
    }

    /// The connection, for others.
    pub(in crate::server) fn share(&self) -> Arc<Wire> {
        Arc::clone(&self.wire)
    }

    /// Takes the stream off, with what came and was not looked at.
    pub(in crate::server::http1) fn take(&self) -> Option<(Stream, Bytes)> {
        let mut state = self.lock();
        state.doing = Doing::Waiting;
        state.socket.take()
    }
}

impl Deref for Held {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.wire.lock();
        if state.doing == Doing::Answering {
            // An answer that broke must not end as a whole one does, and the end is all that an HTTP/1.0 client has to go by.
            self.tcp.reset_at_close();
        }
        let closed = state.socket.take();
        let reader = state.reader.take();
        drop(state); // what ends with it may take its time
        drop(closed);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}
