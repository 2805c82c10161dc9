//! Any answer's hints: bounded waits, only where hints are read at all, and the same every time.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use redrive::retry::hint::{self, Source, WAIT_MAX};

use super::message::Answer;

pub fn holds(bytes: &[u8]) {
    let Some(answer) = Answer::read(bytes) else {
        return;
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);

    let reading = hint::read(answer.status, &answer.headers, now);

    assert_eq!(reading, hint::read(answer.status, &answer.headers, now));
    assert!(reading.ignored as usize <= answer.headers.len());
    if let Some(hint) = reading.hint {
        assert!(hint.wait <= WAIT_MAX);
        assert_ne!(hint.source, Source::Ignored);
        assert!(hint::is_offered(&answer.headers));
    }
    let is_read = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if !is_read.contains(&answer.status) {
        assert_eq!(reading, hint::Reading::default());
    }
}
