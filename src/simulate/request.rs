//! The requests under way in a run, each with a number that is used again when it is gone.

use super::gateway::Reception;
use crate::pace::Attempt;
use crate::retry::Session;
use crate::retry::classify::Class;

/// One request under way; times in seconds.
pub(super) struct Request {
    pub(super) sender: usize,
    pub(super) arrived: f64,
    pub(super) deadline: f64,
    pub(super) service: f64,
    pub(super) attempts: u32,
    /// When the latest attempt was sent, and what became of it.
    pub(super) sent: f64,
    pub(super) reception: Reception,
    pub(super) turn: Option<Attempt>,
    pub(super) session: Option<Session>,
    /// What the attempt under way was paid, if it is a retry; milli-tokens.
    pub(super) paid: Option<u64>,
    /// The class that the next retry will be paid for.
    pub(super) cause: Class,
}

/// All of them.
#[derive(Default)]
pub(super) struct Requests {
    requests: Vec<Option<Request>>,
    free: Vec<u32>,
}

impl Requests {
    pub(super) fn keep(&mut self, request: Request) -> u32 {
        if let Some(index) = self.free.pop() {
            self.requests[index as usize] = Some(request);
            return index;
        }
        self.requests.push(Some(request));
        u32::try_from(self.requests.len() - 1).expect("fewer requests are under way than that")
    }

    /// It has no further event.
    pub(super) fn remove(&mut self, index: u32) {
        self.requests[index as usize] = None;
        self.free.push(index);
    }

    pub(super) fn of(&mut self, index: u32) -> &mut Request {
        self.requests[index as usize]
            .as_mut()
            .expect("a request is removed once, after its last event")
    }
}
