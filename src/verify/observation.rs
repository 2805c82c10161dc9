//! What came of a case.

use http::{HeaderMap, HeaderName, StatusCode};

use super::case::Expected;
use crate::retry::classify::{Class, Classified};

/// One answer, as far as it is evidence.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Its status; none where no answer came.
    pub(super) status: Option<u16>,
    /// What the classifier makes of it.
    pub(super) classified: Classified,
    /// The value of `x-amzn-ErrorType`.
    pub(super) error_type: Option<String>,
    /// The value of the marker header.
    pub(super) marker: Option<String>,
    /// How its body begins, as far as it was looked at.
    pub(super) body: String,
}

/// What came of a case.
#[derive(Clone, Debug)]
pub(super) enum Observation {
    /// An answer to hold against what was expected.
    Seen {
        /// The requests that it took.
        requests: usize,
        /// The answer.
        seen: Seen,
    },
    /// Every answer was good, where one was to fail.
    NotProvoked {
        /// The requests that were made.
        requests: usize,
    },
    /// The stack does not have the case.
    Absent,
    /// The time for all cases was over before.
    OutOfTime,
}

/// What an observation says of the expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Class, `ran`, status, error type and marker.
    Ok,
    /// Class and `ran`, by other evidence.
    OtherEvidence,
    /// Another class or `ran`.
    Differs,
    /// Every answer was good.
    NotProvoked,
    /// The stack does not have the case.
    Absent,
    /// It was not asked for.
    OutOfTime,
}

impl Seen {
    /// An answer and what the classifier makes of it.
    pub(super) fn answer(
        status: StatusCode,
        headers: &HeaderMap,
        marker: &HeaderName,
        body: &[u8],
        classified: Classified,
    ) -> Self {
        let text = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(printable(value.as_bytes()))
        };
        Self {
            status: Some(status.as_u16()),
            classified,
            error_type: text("x-amzn-errortype"),
            marker: text(marker.as_str()),
            body: printable(body),
        }
    }

    /// No answer, and what the classifier makes of that.
    pub(super) fn nothing(classified: Classified) -> Self {
        Self {
            status: None,
            classified,
            error_type: None,
            marker: None,
            body: String::new(),
        }
    }

    /// Whether nothing failed.
    pub(super) fn is_good(&self) -> bool {
        self.classified.class == Class::Ok
    }
}

impl Observation {
    /// An answer.
    pub(super) fn seen(requests: usize, seen: Seen) -> Self {
        Self::Seen { requests, seen }
    }

    /// What it says of the expectation.
    pub(super) fn against(&self, expected: &Expected) -> Finding {
        match self {
            Self::Seen { seen, .. } if !expected.is_met_by(seen) => Finding::Differs,
            Self::Seen { seen, .. } if !expected.is_evidenced_by(seen) => Finding::OtherEvidence,
            Self::Seen { .. } => Finding::Ok,
            Self::NotProvoked { .. } => Finding::NotProvoked,
            Self::Absent => Finding::Absent,
            Self::OutOfTime => Finding::OutOfTime,
        }
    }

    /// The requests that were made.
    pub(super) fn requests(&self) -> usize {
        match self {
            Self::Seen { requests, .. } | Self::NotProvoked { requests } => *requests,
            Self::Absent | Self::OutOfTime => 0,
        }
    }
}

impl Finding {
    /// Every finding, in the order in which they are counted.
    pub(super) const ALL: [Self; 6] = [
        Self::Ok,
        Self::OtherEvidence,
        Self::Differs,
        Self::NotProvoked,
        Self::Absent,
        Self::OutOfTime,
    ];

    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::OtherEvidence => "other evidence",
            Self::Differs => "differs",
            Self::NotProvoked => "not provoked",
            Self::Absent => "absent",
            Self::OutOfTime => "out of time",
        }
    }

    /// Whether the expectation is not borne out. What the stack leaves out is nobody's fault.
    pub(super) fn is_fault(self) -> bool {
        matches!(self, Self::Differs | Self::NotProvoked | Self::OutOfTime)
    }
}

/// What a stranger sent, as it can be shown on a terminal: its beginning, without control characters.
fn printable(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let text = String::from_utf8_lossy(head);
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// The most that is shown of a body; a gateway's own errors are shorter.
const SHOWN_BYTES_MAX: usize = 200;
