//! What follows an attempt, and the closed vocabulary of reasons why nothing does.
//!
//! The words of [`Reason`] are an interface: the response header `redrive-reason`, the log field, the `reason` label of
//! `redrive_retries_skipped_total` and the trace all carry [`Reason::as_str`]. A new reason is a new word for operators, so it
//! is added here, to [`Reason::ALL`], and nowhere else.

use std::fmt;
use std::time::Duration;

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The outcome is the client's: it is good, or no policy would change it.
    Deliver,
    /// Send again after this wait.
    Retry {
        /// From now.
        after: Duration,
    },
    /// A retry would have been due, but for this.
    Stop(Reason),
}

/// Why no further retry was made. One word each, the same in header, log and metric.
///
/// Most come from [`Session::on_outcome`](super::Session::on_outcome); `bypass`, `client_gone` and `started` are seen by the
/// shell alone, before or after there is anything to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The attempts of this class are used up.
    Attempts,
    /// The retry budget is empty.
    Budget,
    /// The wait would end after the deadline.
    Deadline,
    /// The function may have run, and running it twice may do harm.
    Unsafe,
    /// The request's body is larger than what is kept.
    BodyTooLarge,
    /// The memory for kept bodies is used up.
    Memory,
    /// The upstream asks to wait past the deadline.
    HintTooLong,
    /// A quota of a day, week or month is used up.
    Quota,
    /// Nothing of this kind succeeded for a while.
    Futile,
    /// The caller retries too, and these attempts are its own.
    CallerRetries,
    /// The request is an upgrade's handshake.
    Upgrade,
    /// The policy only pretends.
    DryRun,
    /// redrive is switched off.
    Bypass,
    /// The client left.
    ClientGone,
    /// The answer's head had gone out.
    Started,
    /// redrive is shutting down.
    Shutdown,
}

impl Reason {
    /// Every reason, so that a metric can have all its series from the start.
    pub const ALL: [Self; 16] = [
        Self::Attempts,
        Self::Budget,
        Self::Deadline,
        Self::Unsafe,
        Self::BodyTooLarge,
        Self::Memory,
        Self::HintTooLong,
        Self::Quota,
        Self::Futile,
        Self::CallerRetries,
        Self::Upgrade,
        Self::DryRun,
        Self::Bypass,
        Self::ClientGone,
        Self::Started,
        Self::Shutdown,
    ];

    /// The word for it, in lower case with underscores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Budget => "budget",
            Self::Deadline => "deadline",
            Self::Unsafe => "unsafe",
            Self::BodyTooLarge => "body_too_large",
            Self::Memory => "memory",
            Self::HintTooLong => "hint_too_long",
            Self::Quota => "quota",
            Self::Futile => "futile",
            Self::CallerRetries => "caller_retries",
            Self::Upgrade => "upgrade",
            Self::DryRun => "dry_run",
            Self::Bypass => "bypass",
            Self::ClientGone => "client_gone",
            Self::Started => "started",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_is_listed_once_and_has_its_own_word() {
        let words: HashSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();

        assert_eq!(words.len(), Reason::ALL.len());
        // A variant added behind the last one would be missing from the list without any word being doubled.
        assert_eq!(
            Reason::ALL.last().map(|last| *last as usize),
            Some(Reason::ALL.len() - 1)
        );
        for word in words {
            assert!(
                word.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{word} is not fit for a label and a header",
            );
        }
    }
}
