//! An answer's head (RFC 9112 sections 4 and 6).
//!
//! What reaches the client has one framing. A length that is said more than once is said once; one beside chunks goes, and the
//! connection with it, for the upstream may have meant the other; a coding that would be lost on this hop makes the answer
//! none.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Response, StatusCode, Version, response};

use super::copied::Copied;
use super::fields::{Said, head_length, is_worth_reading, one_length, room, take};
use super::written::Reason;
use super::{Framing, Reading, Refusal};

/// What was read of an answer.
#[derive(Debug)]
pub enum Answer {
    /// Something on the way, of so many bytes; the answer is to come (RFC 9110 section 15.2).
    Interim {
        /// How many bytes it took.
        bytes: usize,
    },
    /// Its head.
    Final(AnswerHead),
}

/// An answer's head, and what it says of what comes behind it.
#[derive(Debug)]
pub struct AnswerHead {
    /// Status, version and fields; a [`Reason`] that is not the usual one stands among the extensions.
    pub parts: response::Parts,
    /// How the end of its body is found.
    pub framing: Framing,
    /// Whether the connection carries another request behind the body.
    pub keeps_alive: bool,
    /// How many bytes it took.
    pub bytes: usize,
}

/// Reads the head of the answer to a request with this method from the front of `bytes`, `known` of which were looked at
/// before in vain. `None` while it is incomplete.
///
/// # Errors
/// When it can be told already that the head is none, is too long, or means more than one thing.
pub fn read_answer(
    bytes: &[u8],
    known: usize,
    method: &Method,
    reading: Reading,
) -> Result<Option<Answer>, Refusal> {
    let mut found = room();
    let mut answer = httparse::Response::new(&mut []);
    let parsed = if is_worth_reading(bytes, known) {
        let config = httparse::ParserConfig::default();
        let parsed = config.parse_response_with_uninit_headers(&mut answer, bytes, &mut found);
        parsed.map_err(refusal)?
    } else {
        httparse::Status::Partial
    };
    let Some(length) = head_length(parsed, bytes.len(), reading)? else {
        return Ok(None);
    };
    let status = StatusCode::from_u16(answer.code.unwrap_or_default());
    let status = status.map_err(|_| Refusal::Unreadable("a status that is none"))?;
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Some(Answer::Interim { bytes: length }));
    }
    if counted(answer.headers) > reading.head_bytes_max {
        return Err(Refusal::TooLarge);
    }
    let copied = Copied::of(&bytes[..length]);

    let (mut parts, ()) = Response::new(()).into_parts();
    let to = (&mut parts.headers, &mut parts.extensions);
    let said = take(&copied, answer.headers, reading, 0, to)?;
    parts.status = status;
    parts.version = if answer.version == Some(1) {
        Version::HTTP_11
    } else {
        Version::HTTP_10
    };
    if let Some(reason) = answer.reason
        && status.canonical_reason() != Some(reason)
    {
        let reason = Reason(copied.part(reason.as_bytes()));
        parts.extensions.insert(reason);
    }
    let (framing, keeps_alive) = framing(method, &mut parts, &said)?;
    Ok(Some(Answer::Final(AnswerHead {
        parts,
        framing,
        keeps_alive,
        bytes: length,
    })))
}

/// How the end of the body is found (RFC 9112 section 6.3), if there is one way only, and whether anything comes behind it.
fn framing(
    method: &Method,
    parts: &mut response::Parts,
    said: &Said,
) -> Result<(Framing, bool), Refusal> {
    let length = length(said, &mut parts.headers)?;
    let is_http_11 = parts.version == Version::HTTP_11;
    let keeps_alive = is_http_11 && !said.closes;
    let has_body = *method != Method::HEAD
        && !matches!(
            parts.status,
            StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
    if !has_body {
        return Ok((Framing::Nothing, keeps_alive));
    }
    if said.codings > 0 {
        // Any other coding would be lost on the client, as it is named for this hop only.
        if !is_http_11 || said.codings > 1 || !said.is_chunked {
            return Err(Refusal::Unreadable(
                "a Transfer-Encoding that is not chunked",
            ));
        }
        // Chunks win over a length, which must not go on.
        let is_alone = parts.headers.remove(CONTENT_LENGTH).is_none();
        return Ok((Framing::Chunked, keeps_alive && is_alone));
    }
    Ok(match length {
        None => (Framing::ToTheEnd, false),
        Some(0) => (Framing::Nothing, keeps_alive),
        Some(length) => (Framing::Sized(length), keeps_alive),
    })
}

/// The one length that is said.
fn length(said: &Said, headers: &mut HeaderMap) -> Result<Option<u64>, Refusal> {
    match (said.lengths, said.length) {
        (0, _) => Ok(None),
        (1, Some(length)) => Ok(Some(length)),
        _ => one_length(headers),
    }
}

/// How long the fields are, as HTTP/2 counts it (RFC 9113 section 6.5.2), so that one limit holds for all answers.
fn counted(fields: &[httparse::Header<'_>]) -> usize {
    let lengths = fields
        .iter()
        .map(|field| field.name.len() + field.value.len() + FIELD_BYTES);
    lengths.sum()
}

fn refusal(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::TooLarge,
        _ => Refusal::Unreadable("a line that cannot be read"),
    }
}

/// What each field counts beside its name and value.
const FIELD_BYTES: usize = 32;

#[cfg(test)]
#[path = "answer/tests.rs"]
mod tests;
