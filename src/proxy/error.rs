//! Every reason for which redrive answers in the upstream's place.
//!
//! One enum, so that status, RFC 9209 error type and outcome label stand side by side and none is forgotten.
//! [`respond`](super::respond) turns it into an answer.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::body::BoxError;
use super::slow::TooManySlow;
use crate::retry::classify::{Fault, FaultKind};

/// Why redrive answers in the upstream's place.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The request is malformed or ambiguous, and was not forwarded.
    #[error("{0}")]
    Malformed(&'static str),
    /// The request has more header fields than are forwarded.
    #[error("the request has too many header fields")]
    TooManyFields,
    /// The target names neither redrive nor its upstream.
    #[error("the target names a server that redrive does not stand before")]
    Misdirected,
    /// The request's transfer coding is not `chunked` alone.
    #[error("transfer codings other than exactly \"chunked\" are not supported")]
    TransferCoding,
    /// The request is to be signed, and its body is larger than what is kept.
    #[error("the request's body is too large to be signed: larger than what is kept of one")]
    TooLargeToSign,
    /// CONNECT.
    #[error("redrive is a reverse proxy and opens no tunnels")]
    Connect,
    /// The client's body failed while it was sent on.
    #[error("the request's body is broken: {0}")]
    ClientBody(Arc<BoxError>),
    /// The client's body came slowly, as those of too many others did.
    #[error("the request's body came slowly, and too many others did")]
    SlowUpload,
    /// The request passed through redrive twice already.
    #[error("the request came back to redrive: its upstream leads to itself")]
    Loop,
    /// No answer from the upstream.
    #[error("the upstream gave no answer: {}", .0.kind.describe())]
    NoAnswer(Fault),
    /// The deadline passed.
    #[error("the deadline passed after {waited:?}")]
    Deadline {
        /// Since the request's arrival.
        waited: Duration,
    },
    /// Too many requests wait, or this one waited too long.
    #[error("too many requests wait for the upstream")]
    Shed {
        /// When coming back may help.
        retry_after: Duration,
    },
    /// A bug in redrive; the request may have reached the upstream.
    #[error("redrive failed on this request")]
    Internal,
}

impl Error {
    /// The status that the client sees.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::ClientBody(_) => StatusCode::BAD_REQUEST,
            Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooLargeToSign => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::NoAnswer(Fault {
                kind: FaultKind::HeadTimeout | FaultKind::ConnectTimeout,
                ..
            })
            | Self::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::NoAnswer(Fault {
                kind: FaultKind::NoDescriptor,
                ..
            })
            | Self::SlowUpload
            | Self::Shed { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoAnswer(_) => StatusCode::BAD_GATEWAY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether the request itself is at fault, so that it was refused whatever the upstream would have said.
    pub fn is_clients(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::TooManyFields
            | Self::Misdirected
            | Self::TransferCoding
            | Self::TooLargeToSign
            | Self::Connect
            | Self::ClientBody(_)
            | Self::Loop => true,
            Self::NoAnswer(_)
            | Self::Deadline { .. }
            | Self::SlowUpload
            | Self::Shed { .. }
            | Self::Internal => false,
        }
    }

    /// Why a client's body failed.
    pub(super) fn of_body(cause: Arc<BoxError>) -> Self {
        if cause.is::<TooManySlow>() {
            Self::SlowUpload
        } else {
            Self::ClientBody(cause)
        }
    }

    /// The error type of `Proxy-Status` (RFC 9209 section 2.3).
    pub fn proxy_status(&self) -> &'static str {
        match self {
            Self::Malformed(_)
            | Self::TooManyFields
            | Self::Misdirected
            | Self::TransferCoding
            | Self::TooLargeToSign
            | Self::Connect
            | Self::ClientBody(_) => UNREADABLE,
            Self::Loop => "proxy_loop_detected",
            Self::NoAnswer(fault) => fault.kind.as_str(),
            Self::Deadline { .. } => "http_response_timeout",
            Self::SlowUpload | Self::Shed { .. } => "connection_limit_reached",
            Self::Internal => "proxy_internal_error",
        }
    }
}

/// The error type for whatever is wrong with a request itself.
pub(super) const UNREADABLE: &str = "http_request_error";
