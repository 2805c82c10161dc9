//! Callers that retry too: which request headers announce one, and how often it will send the same request.
//!
//! Retries in layers multiply. Where a caller's own are announced, ours are divided by their number
//! ([`MaxAttempts::shared_with`](super::MaxAttempts::shared_with)), so that both together stay near what the policy allows.
//! What is announced is taken on trust: a false header costs its sender retries and nobody else anything.

use std::fmt;
use std::num::NonZeroU32;

use http::{HeaderMap, HeaderName};

/// A caller that retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What announced it.
    pub source: CallerSource,
    /// How often it sends a request, the first time included; at least two, as one is no retry.
    pub max: NonZeroU32,
}

/// Which header announced a caller that retries; the `source` label of `redrive_caller_retries_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallerSource {
    /// `amz-sdk-request: attempt=N; max=M`, by every AWS SDK.
    AmzSdkRequest,
    /// `x-envoy-attempt-count: N`, by Envoy and the meshes built on it.
    EnvoyAttemptCount,
    /// `redrive-attempt: N`, by another redrive in front of this one.
    RedriveAttempt,
}

impl CallerSource {
    /// Every source, so that a metric can have all its series from the start.
    pub const ALL: [Self; 3] = [
        Self::AmzSdkRequest,
        Self::EnvoyAttemptCount,
        Self::RedriveAttempt,
    ];

    /// The word for it, in lower case with underscores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AmzSdkRequest => "amz_sdk_request",
            Self::EnvoyAttemptCount => "envoy_attempt_count",
            Self::RedriveAttempt => "redrive_attempt",
        }
    }
}

impl fmt::Display for CallerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The caller that these request headers announce; of several, the one that sends most often. `None` when there is none, when
/// it says that it sends once only, or when what it says cannot be read.
///
/// Only an AWS SDK tells its maximum. Where a count is all there is, the maximum is the usual one of that source, or the
/// count itself when that is already larger.
pub fn read(headers: &HeaderMap) -> Option<Caller> {
    let announcing = [&AMZ_SDK_REQUEST, &ENVOY_ATTEMPT_COUNT, &REDRIVE_ATTEMPT];
    if !headers.keys().any(|name| announcing.contains(&name)) {
        return None; // nearly all of them
    }
    let candidates = [
        (CallerSource::AmzSdkRequest, sdk_max(headers)),
        (
            CallerSource::EnvoyAttemptCount,
            count_max(headers, &ENVOY_ATTEMPT_COUNT, ENVOY_USUAL_MAX),
        ),
        (
            CallerSource::RedriveAttempt,
            count_max(headers, &REDRIVE_ATTEMPT, REDRIVE_USUAL_MAX),
        ),
    ];
    candidates
        .into_iter()
        .filter_map(|(source, max)| Some(Caller { source, max: max? }))
        .filter(|caller| caller.max > NonZeroU32::MIN)
        .max_by_key(|caller| caller.max)
}

/// Fields in any order, unknown ones (`ttl`) skipped.
fn sdk_max(headers: &HeaderMap) -> Option<NonZeroU32> {
    let value = headers.get(&AMZ_SDK_REQUEST)?.to_str().ok()?;
    let field = |name: &str| {
        let mut fields = value.split(';').filter_map(|field| field.split_once('='));
        let (_, number) = fields.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
        number.trim().parse::<NonZeroU32>().ok()
    };
    match (field("attempt"), field("max")) {
        (attempt, Some(max)) => Some(attempt.map_or(max, |attempt| attempt.max(max))),
        (Some(attempt), None) => Some(attempt.max(SDK_USUAL_MAX)),
        (None, None) => None,
    }
}

fn count_max(headers: &HeaderMap, name: &HeaderName, usual: NonZeroU32) -> Option<NonZeroU32> {
    let count = headers
        .get(name)?
        .to_str()
        .ok()?
        .trim()
        .parse::<NonZeroU32>()
        .ok()?;
    Some(count.max(usual))
}

static AMZ_SDK_REQUEST: HeaderName = HeaderName::from_static("amz-sdk-request");
static ENVOY_ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
static REDRIVE_ATTEMPT: HeaderName = HeaderName::from_static("redrive-attempt");

/// The SDKs' standard retry mode sends three times; some older ones leave `max` out of the first attempt.
const SDK_USUAL_MAX: NonZeroU32 = NonZeroU32::new(3).expect("three is not zero");

/// Envoy retries once unless told otherwise (`num_retries`).
const ENVOY_USUAL_MAX: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");

/// A redrive in front retries all that this one would, up to ten times by default: then the retries are best left to it,
/// which sees this one's answers unchanged.
const REDRIVE_USUAL_MAX: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");

#[cfg(test)]
mod tests;
