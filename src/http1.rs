//! HTTP/1.1 as bytes (RFC 9112): heads and bodies, read and written. No socket, no wait, no clock.
//!
//! Both sides speak it: the clients' side reads [requests](read_request) and writes answers, the upstream's side writes requests
//! and reads [answers](read_answer). Whatever could be read in two ways is refused here, once, before anybody acts on it: a body
//! has one end that everybody on the way agrees on, or the message is none.
//!
//! What is read is copied out of the reader's buffer once; names of fields and values are slices of that copy. What is written
//! is gathered in an [`Outbox`], for one system call a turn.

mod answer;
mod chunks;
mod copied;
mod encoder;
mod fields;
mod outbox;
mod request;
mod written;

use http::StatusCode;

pub use self::answer::{Answer, AnswerHead, read_answer};
pub use self::chunks::{Broken, Chunks, Taken};
pub use self::copied::copied;
pub use self::encoder::{Encoder, TooShort};
pub use self::fields::{LENGTH_MAX, members, number, one_length};
pub use self::outbox::Outbox;
pub use self::request::{RequestHead, empty_lines, read_request};
pub use self::written::{AsWritten, Case, Reason, request_head, status_line, write_fields};

/// How a body's end is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body, or an empty one.
    Nothing,
    /// It has so many bytes, at least one.
    Sized(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends with the connection. Only an answer can.
    ToTheEnd,
}

/// Why a head cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no HTTP/1, or means more than one thing.
    #[error("{0}")]
    Unreadable(&'static str),
    /// It is longer than the limit, or has more than [`FIELDS_MAX`] fields.
    #[error("the head is too long or has too many fields")]
    TooLarge,
    /// The target is longer than [`TARGET_BYTES_MAX`].
    #[error("the target is too long")]
    TargetTooLong,
}

impl Refusal {
    /// What a client is told whose request it was.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
        }
    }
}

/// How heads are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The longest head, in bytes, the empty line behind it included.
    pub head_bytes_max: usize,
    /// Whether names are also kept as they were written ([`AsWritten`]).
    pub keeps_case: bool,
}

/// The most fields of a head, and of trailers.
pub const FIELDS_MAX: usize = 100;

/// The longest target of a request.
pub const TARGET_BYTES_MAX: usize = u16::MAX as usize - 1;
