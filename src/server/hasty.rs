//! How many requests of one HTTP/2 connection are cancelled before they can be answered.
//!
//! A request costs its client a frame, and cancelling it another; it costs redrive an attempt, and the upstream a connection
//! and a run of the function. h2 stops the client that cancels before its request was looked at; this stops the one that
//! waits a little. Over HTTP/1 cancelling costs the client its own connection.

use std::time::Duration;

/// What was cancelled and what was not.
#[derive(Debug, Default)]
pub(super) struct Hasty {
    cancelled: usize,
    answered: usize,
}

impl Hasty {
    /// Notes how a request ended: answered, or cancelled after a while. Says whether its client has cancelled too much.
    pub(super) fn is_too_much(&mut self, cancelled_after: Option<Duration>) -> bool {
        match cancelled_after {
            None => {
                self.answered += 1;
                if self.answered >= ANSWERED_ENOUGH {
                    *self = Self::default();
                }
            }
            Some(lasted) if lasted < HASTE => self.cancelled += 1,
            Some(_) => {}
        }
        self.cancelled > CANCELLED_MAX
    }
}

/// Who waits so long for an answer has a reason to cancel.
const HASTE: Duration = Duration::from_secs(1);

/// Requests that a client may cancel in haste until [`ANSWERED_ENOUGH`] others were answered. One more ends the connection.
const CANCELLED_MAX: usize = 100;

/// So many answers, and the count begins anew.
const ANSWERED_ENOUGH: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    fn cancels(hasty: &mut Hasty, times: usize, lasted: Duration) -> bool {
        (0..times).any(|_| hasty.is_too_much(Some(lasted)))
    }

    #[test]
    fn more_than_the_limit_in_haste_is_too_much() {
        let mut hasty = Hasty::default();

        assert!(!cancels(&mut hasty, CANCELLED_MAX, SOON));
        assert!(hasty.is_too_much(Some(SOON)));
    }

    #[test]
    fn who_has_waited_may_cancel_as_often_as_it_likes() {
        assert!(!cancels(&mut Hasty::default(), 10 * CANCELLED_MAX, HASTE));
    }

    #[test]
    fn a_client_most_of_whose_requests_are_answered_may_cancel_some() {
        let mut hasty = Hasty::default();

        for _ in 0..10 {
            assert!(!cancels(&mut hasty, CANCELLED_MAX, SOON));
            let too_much = (0..ANSWERED_ENOUGH).any(|_| hasty.is_too_much(None));
            assert!(!too_much);
        }
    }
}
