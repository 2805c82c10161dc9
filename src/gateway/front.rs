//! What each front door of AWS says, byte for byte: statuses, bodies, header names with their letter case.
//!
//! Verified against captures of real answers: the bodies and header names of `rest`, and the `function-url` throttle.
//! Inferred, not captured: the status of a throttled function behind `http`, the 413 of every front but `rest`.
//! From general knowledge, not verified: everything of `alb`, the order of headers, and `Connection`.
//! No front sends `Retry-After`: captures of API Gateway's throttles have none.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use http::StatusCode;

use super::door::Refusal;
use crate::clock;

/// Which front door the gateway pretends to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Front {
    /// An API Gateway REST API of today: a throttled function is a 500.
    #[default]
    Rest,
    /// An API Gateway REST API of 2018: a throttled function is a 502.
    Rest2018,
    /// An API Gateway HTTP API.
    Http,
    /// A Lambda function URL.
    FunctionUrl,
    /// An Application Load Balancer with a Lambda target. It tells a rate limit no differently from a concurrency limit.
    Alb,
}

/// A name that no front has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown front `{name}`; expected rest, rest-2018, http, function-url or alb")]
pub struct UnknownFront {
    /// What was given.
    pub name: String,
}

/// An answer, before a front dresses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    /// The value of `x-amzn-ErrorType`, where the front sends one.
    error_type: Option<&'static str>,
    /// The value of the header that `deploy/gateway` sets, where the API has its gateway responses.
    marker: Option<&'static str>,
    body: Cow<'static, str>,
}

impl Front {
    /// Every front, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Rest,
        Self::Rest2018,
        Self::Http,
        Self::FunctionUrl,
        Self::Alb,
    ];

    /// The front's name, as `--front` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Rest2018 => "rest-2018",
            Self::Http => "http",
            Self::FunctionUrl => "function-url",
            Self::Alb => "alb",
        }
    }

    /// Whether usage plans, and so quotas, exist here.
    pub(super) fn has_quota(self) -> bool {
        matches!(self, Self::Rest | Self::Rest2018)
    }

    /// How this front refuses a request.
    pub(super) fn refusal(self, refusal: Refusal) -> Answer {
        // On REST, bodies made by the gateway have a space after the colon in a 5xx and none in a 4xx.
        match (self, refusal) {
            (Self::Rest | Self::Rest2018, Refusal::Rate) => json(
                StatusCode::TOO_MANY_REQUESTS,
                Some("TooManyRequestsException"),
                r#"{"message":"Too Many Requests"}"#,
            ),
            (Self::Rest | Self::Rest2018, Refusal::Quota) => json(
                StatusCode::TOO_MANY_REQUESTS,
                Some("LimitExceededException"),
                r#"{"message":"Limit Exceeded"}"#,
            ),
            (Self::Rest | Self::Rest2018, Refusal::Concurrency) => json(
                if self == Self::Rest {
                    StatusCode::INTERNAL_SERVER_ERROR
                } else {
                    StatusCode::BAD_GATEWAY
                },
                Some("InternalServerErrorException"),
                r#"{"message": "Internal server error"}"#,
            ),
            // Only `rest` has quotas; should one be asked elsewhere, it is the front's throttle.
            (Self::Http, Refusal::Rate | Refusal::Quota) => json(
                StatusCode::TOO_MANY_REQUESTS,
                None,
                r#"{"message":"Too Many Requests"}"#,
            ),
            (Self::Http, Refusal::Concurrency) => json(
                StatusCode::INTERNAL_SERVER_ERROR,
                None,
                r#"{"message":"Internal Server Error"}"#,
            ),
            (Self::FunctionUrl, Refusal::Rate | Refusal::Quota) => json(
                StatusCode::TOO_MANY_REQUESTS,
                Some("TooManyRequestsException"),
                r#"{"Reason":"FunctionInvocationRateLimitExceeded","Type":"User","message":"Rate Exceeded."}"#,
            ),
            (Self::FunctionUrl, Refusal::Concurrency) => json(
                StatusCode::TOO_MANY_REQUESTS,
                Some("TooManyRequestsException"),
                r#"{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}"#,
            ),
            (Self::Alb, _) => html(
                StatusCode::BAD_GATEWAY,
                "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
                 <center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n",
            ),
        }
    }

    /// How this front refuses a payload over the limit.
    pub(super) fn too_large(self) -> Answer {
        match self {
            Self::Rest | Self::Rest2018 => text(
                StatusCode::PAYLOAD_TOO_LARGE,
                "HTTP content length exceeded 10485760 bytes.",
            ),
            Self::Http => json(
                StatusCode::PAYLOAD_TOO_LARGE,
                None,
                r#"{"message":"Request Entity Too Large"}"#,
            ),
            Self::FunctionUrl => json(
                StatusCode::PAYLOAD_TOO_LARGE,
                Some("RequestTooLargeException"),
                r#"{"message":"Request Too Long"}"#,
            ),
            Self::Alb => html(
                StatusCode::PAYLOAD_TOO_LARGE,
                "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n\
                 <center><h1>413 Request Entity Too Large</h1></center>\r\n</body>\r\n</html>\r\n",
            ),
        }
    }

    /// The head, and unless the request was a HEAD the body, as they go on the wire.
    pub(super) fn encode(self, answer: &Answer, keep_alive: bool, with_body: bool) -> Vec<u8> {
        let date = httpdate::fmt_http_date(clock::wall());
        let length = answer.body.len().to_string();
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let (request_id, extended_id) = (request_id(), extended_id());
        let [date_name, type_name, length_name, connection_name] = match self {
            Self::Http => ["date", "content-type", "content-length", "connection"],
            _ => ["Date", "Content-Type", "Content-Length", "Connection"],
        };

        let mut head = Vec::with_capacity(10);
        if self == Self::Alb {
            head.push(("Server", "awselb/2.0"));
        }
        head.push((date_name, &*date));
        head.push((type_name, answer.content_type));
        head.push((length_name, &*length));
        head.push((connection_name, connection));
        if matches!(self, Self::Rest | Self::Rest2018 | Self::FunctionUrl) {
            head.push(("x-amzn-RequestId", &*request_id));
        }
        if let Some(error_type) = answer.error_type {
            head.push(("x-amzn-ErrorType", error_type));
        }
        if let Some(marker) = answer.marker {
            head.push(("x-gw-error", marker));
        }
        match self {
            Self::Rest | Self::Rest2018 => head.push(("x-amz-apigw-id", &*extended_id)),
            Self::Http => head.push(("apigw-requestid", &*extended_id)),
            Self::FunctionUrl | Self::Alb => {}
        }

        let mut bytes = format!("HTTP/1.1 {}\r\n", answer.status);
        for (name, value) in head {
            bytes.extend([name, ": ", value, "\r\n"]);
        }
        bytes.push_str("\r\n");
        if with_body {
            bytes.push_str(&answer.body);
        }
        bytes.into_bytes()
    }
}

impl Answer {
    /// The same answer, made by a marked gateway response of this type.
    pub(super) fn marked(self, response_type: &'static str) -> Self {
        Self {
            marker: Some(response_type),
            ..self
        }
    }
}

impl FromStr for Front {
    type Err = UnknownFront;

    fn from_str(name: &str) -> Result<Self, UnknownFront> {
        Self::ALL
            .into_iter()
            .find(|front| front.as_str() == name)
            .ok_or_else(|| UnknownFront { name: name.into() })
    }
}

impl fmt::Display for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A JSON answer: with an error type, an error that the front made.
pub(super) fn json(
    status: StatusCode,
    error_type: Option<&'static str>,
    body: impl Into<Cow<'static, str>>,
) -> Answer {
    Answer {
        status,
        content_type: "application/json",
        error_type,
        marker: None,
        body: body.into(),
    }
}

/// A plain text answer.
pub(super) fn text(status: StatusCode, body: &'static str) -> Answer {
    Answer {
        status,
        content_type: "text/plain",
        error_type: None,
        marker: None,
        body: body.into(),
    }
}

fn html(status: StatusCode, body: &'static str) -> Answer {
    Answer {
        content_type: "text/html",
        ..text(status, body)
    }
}

/// A random UUID (RFC 9562 section 5.4), the shape of `x-amzn-RequestId`.
fn request_id() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let (a, b, c, d, e) = (
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    );
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// Eleven random bytes in Base64, the shape of `x-amz-apigw-id` and `apigw-requestid`.
fn extended_id() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut id: String = (0..14)
        .map(|_| char::from(ALPHABET[fastrand::usize(..64)]))
        .collect();
    // The last character before the padding carries four bits of the six.
    id.push(char::from(ALPHABET[fastrand::usize(..16) * 4]));
    id.push('=');
    id
}

#[cfg(test)]
mod tests;
