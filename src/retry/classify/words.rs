//! The words of the classification: closed vocabularies, each spelled once, and the two records that are put in them.
//!
//! The word that [`as_str`](Class::as_str) gives is the same in the response header, the log field, the metric label and
//! the configuration. `ALL` lists every word, so that a metric can exist from the start at zero. What leads to which
//! word is said in `table.rs`.

use std::str::FromStr;

/// What an attempt's outcome was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// An answer below 400.
    Ok,
    /// Refused because of a rate or concurrency limit that refills by itself.
    Throttled,
    /// Refused because a quota of a day, week or month is used up.
    Quota,
    /// An error answer that is often, but not provably, a throttle in disguise.
    Suspected,
    /// The upstream says that it cannot take more just now.
    Overloaded,
    /// No answer in time, from the upstream or from what stands behind it.
    Timeout,
    /// Nothing of the request reached the upstream.
    Unsent,
    /// The connection broke after a byte was written and before the answer's head.
    Broken,
    /// An error answer that another attempt would not change.
    Permanent,
    /// The client left, or broke its own request, while the attempt was under way.
    Cancelled,
}

/// Whether the function behind the gateway may have run; the more certain, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ran {
    /// The answer proves that it did not.
    No,
    /// Nothing proves either.
    Maybe,
    /// It ran.
    Yes,
}

/// Which limit was hit, as far as the answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Requests per second.
    Rate,
    /// Executions at the same time.
    Concurrency,
    /// Requests per day, week or month.
    Quota,
    /// The answer does not tell.
    Unknown,
}

/// Whose limit was hit, as far as the answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One function's reserved limit.
    Function,
    /// The account's limit in its region.
    Account,
    /// The API's, stage's, method's or usage plan's limit.
    Api,
    /// The answer does not tell.
    Unknown,
}

/// What went wrong on the way to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The connection was refused, or the network has no way there.
    Refused,
    /// The upstream's name did not resolve.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// The upstream broke off TLS with an alert: what it was offered, or who offers it, does not suit it.
    TlsAlert,
    /// The upstream's certificate is not trusted.
    Certificate(Distrust),
    /// The connection was not made within the connect limit.
    ConnectTimeout,
    /// The connection was reset or closed before the answer's head.
    Closed,
    /// The upstream refused the stream (HTTP/2 REFUSED_STREAM, or a GOAWAY below its id).
    StreamRefused,
    /// The upstream reset the stream since it wants HTTP/1.1 (HTTP/2 HTTP_1_1_REQUIRED).
    Http1Required,
    /// What came back is not HTTP.
    Unreadable,
    /// No head within the attempt's limit.
    HeadTimeout,
}

/// Whether any of the request can have reached the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Not one byte was written.
    Nothing,
    /// At least one byte was written.
    Perhaps,
}

/// Why a certificate is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distrust {
    /// It was valid once.
    Expired,
    /// It will be valid.
    NotYetValid,
    /// It does not come from an authority that is trusted.
    UnknownIssuer,
    /// It is for another name.
    OtherName,
    /// Its authority took it back.
    Revoked,
    /// It is none, or not for this purpose.
    Unusable,
}

/// Why an attempt has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
    /// Whether any of the request can have reached the upstream; this is what makes a retry safe or not.
    pub sent: Sent,
}

impl Class {
    /// Whether it says, or may say, that a limit was hit: waiting helps then, and hurrying does not.
    pub const fn is_throttle_like(self) -> bool {
        matches!(self, Self::Throttled | Self::Suspected | Self::Overloaded)
    }
}

/// What an outcome proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// What it was.
    pub class: Class,
    /// Whether the function may have run.
    pub ran: Ran,
    /// Which limit, for a throttle.
    pub kind: Kind,
    /// Whose limit, for a throttle.
    pub scope: Scope,
    /// The line of the table that decided, in words; for `check --explain` and the log.
    pub because: &'static str,
}

/// How much an HTTP API's bare 429 proves (`retry.proof`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// An exact gateway body with the HTTP API's request id proves that the function did not run.
    #[default]
    Usual,
    /// Only what a function cannot easily forge proves it.
    Strict,
}

/// What stands behind the API (`retry.integration`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Integration {
    /// Anything: a marked INTEGRATION_FAILURE may have run.
    #[default]
    Any,
    /// Lambda proxy integrations only: a marked INTEGRATION_FAILURE did not run.
    Lambda,
}

/// A word that its vocabulary does not hold; `ALL` of the type says which there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such {vocabulary}")]
pub struct UnknownWord {
    /// What was looked for: `class`, `ran`, ...
    pub vocabulary: &'static str,
}

/// Spells a vocabulary. The generated `match` does not compile while a variant is missing, so `ALL` is always complete.
macro_rules! vocabulary {
    ($type:ident, $name:literal, $count:literal, { $($variant:ident => $word:literal,)+ }) => {
        impl $type {
            /// Every word, in the order of the documentation.
            pub const ALL: [Self; $count] = [$(Self::$variant),+];

            /// The word, the same in header, log, metric and configuration.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl FromStr for $type {
            type Err = UnknownWord;

            /// Finds the word exactly as it is spelled, in lower case.
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { vocabulary: $name }),
                }
            }
        }
    };
}

vocabulary!(Class, "class", 10, {
    Ok => "ok",
    Throttled => "throttled",
    Quota => "quota",
    Suspected => "suspected",
    Overloaded => "overloaded",
    Timeout => "timeout",
    Unsent => "unsent",
    Broken => "broken",
    Permanent => "permanent",
    Cancelled => "cancelled",
});

vocabulary!(Ran, "ran", 3, {
    No => "no",
    Maybe => "maybe",
    Yes => "yes",
});

vocabulary!(Kind, "kind", 4, {
    Rate => "rate",
    Concurrency => "concurrency",
    Quota => "quota",
    Unknown => "unknown",
});

vocabulary!(Scope, "scope", 4, {
    Function => "function",
    Account => "account",
    Api => "api",
    Unknown => "unknown",
});

impl FaultKind {
    /// The proxy error type of RFC 9209, section 2.3, so that the log says what `Proxy-Status` says. There is none for a
    /// refused stream; `destination_unavailable` comes nearest and is used for nothing else.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "connection_refused",
            Self::Dns => "dns_error",
            Self::Tls => "tls_protocol_error",
            Self::TlsAlert => "tls_alert_received",
            Self::Certificate(_) => "tls_certificate_error",
            Self::ConnectTimeout => "connection_timeout",
            Self::Closed | Self::Http1Required => "connection_terminated",
            Self::StreamRefused => "destination_unavailable",
            Self::Unreadable => "http_protocol_error",
            Self::HeadTimeout => "http_response_timeout",
        }
    }

    /// What happened, as the end of a sentence about the upstream.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Refused => "it refuses connections",
            Self::Dns => "its name does not resolve",
            Self::Tls => "the TLS handshake failed",
            Self::TlsAlert => "it turned down the TLS handshake, or our certificate",
            Self::Certificate(Distrust::Expired) => "its certificate has expired",
            Self::Certificate(Distrust::NotYetValid) => "its certificate is not valid yet",
            Self::Certificate(Distrust::UnknownIssuer) => {
                "its certificate comes from an authority that is not trusted"
            }
            Self::Certificate(Distrust::OtherName) => "its certificate is for another name",
            Self::Certificate(Distrust::Revoked) => "its certificate has been revoked",
            Self::Certificate(Distrust::Unusable) => "its certificate cannot be used",
            Self::ConnectTimeout => "no connection within the limit",
            Self::Closed => "it closed the connection before it answered",
            Self::StreamRefused => "it refused the stream",
            Self::Http1Required => "it wants to be spoken to in HTTP/1.1",
            Self::Unreadable => "what it sent is not HTTP",
            Self::HeadTimeout => "it did not answer within the limit",
        }
    }
}
