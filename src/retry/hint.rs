//! What the upstream says about when to come back: `Retry-After` and its relatives.
//!
//! API Gateway and Lambda send none of these by themselves, but an API's owner, its functions and other services do. When an
//! answer carries several, the one that was made for this purpose and says it most precisely is followed: the explicit
//! headers first (`x-amz-retry-after`, `retry-after-ms`, `Retry-After`), then those that describe a limit's window
//! (`RateLimit`, `RateLimit-Reset`, `x-ratelimit-reset`). One that cannot be followed is ignored and counted, and the next
//! is asked. How long is too long to wait for a request is not decided here.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, StatusCode};

/// Which header a hint came from; the `source` label of `redrive_hints_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `Retry-After` in seconds.
    RetryAfterSeconds,
    /// `Retry-After` as a date.
    RetryAfterDate,
    /// `retry-after-ms`.
    RetryAfterMs,
    /// `x-amz-retry-after`, milliseconds.
    AmzRetryAfter,
    /// `RateLimit` or `RateLimit-Reset`.
    RateLimitReset,
    /// `x-ratelimit-reset`.
    XRateLimitReset,
    /// There was a hint header, but it was negative, absurd or unreadable.
    Ignored,
}

/// A server's wish to be left alone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// How long from now.
    pub wait: Duration,
    /// Which header said so.
    pub source: Source,
}

/// What the headers of an answer hint at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The hint to follow, if any.
    pub hint: Option<Hint>,
    /// How many hint headers were ignored as negative, absurd or unreadable.
    pub ignored: u32,
}

impl Source {
    /// Every source, in the order of the declaration.
    pub const ALL: [Self; 7] = [
        Self::RetryAfterSeconds,
        Self::RetryAfterDate,
        Self::RetryAfterMs,
        Self::AmzRetryAfter,
        Self::RateLimitReset,
        Self::XRateLimitReset,
        Self::Ignored,
    ];

    /// The word, the same in log and metric.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetryAfterSeconds => "retry_after_seconds",
            Self::RetryAfterDate => "retry_after_date",
            Self::RetryAfterMs => "retry_after_ms",
            Self::AmzRetryAfter => "x_amz_retry_after",
            Self::RateLimitReset => "ratelimit_reset",
            Self::XRateLimitReset => "x_ratelimit_reset",
            Self::Ignored => "ignored",
        }
    }
}

/// Reads the hints of an answer. Only 429 and 503 carry hints; on any other status this is the empty reading.
///
/// A moment that has passed is a wait of zero. The wait is never longer than [`WAIT_MAX`].
pub fn read(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Reading {
    let mut reading = Reading::default();
    if !is_carried_by(status) {
        return reading;
    }
    for wish in wishes(headers) {
        match wish.and_then(|wish| wish.seen_from(now)) {
            Ok(hint) => {
                reading.hint.get_or_insert(hint);
            }
            Err(Unfollowable) => reading.ignored += 1,
        }
    }
    reading
}

/// Whether an answer with this status carries hints.
pub fn is_carried_by(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// Whether any hint can be read, whatever the status and the time of day.
pub fn is_offered(headers: &HeaderMap) -> bool {
    wishes(headers).any(|wish| wish.is_ok())
}

/// A header's wish, before anybody looked at a clock.
struct Wish {
    when: When,
    source: Source,
}

enum When {
    In(Duration),
    At(SystemTime),
}

/// A hint header was negative, absurd or unreadable.
struct Unfollowable;

impl Wish {
    fn seen_from(&self, now: SystemTime) -> Result<Hint, Unfollowable> {
        let wait = match self.when {
            When::In(wait) => wait,
            When::At(moment) => moment.duration_since(now).unwrap_or(Duration::ZERO),
        };
        if wait > WAIT_MAX {
            return Err(Unfollowable);
        }
        Ok(Hint {
            wait,
            source: self.source,
        })
    }
}

/// What a header's text says; `None` when it is a sound header that asks for no wait.
type Reader = fn(&str) -> Option<Result<Wish, Unfollowable>>;

/// The hint headers in the order in which they are followed: name, the header that says what is left of the limit, reader.
const READERS: [(&str, Option<&str>, Reader); 6] = [
    ("x-amz-retry-after", None, |text| {
        Some(milliseconds(text, Source::AmzRetryAfter))
    }),
    ("retry-after-ms", None, |text| {
        Some(milliseconds(text, Source::RetryAfterMs))
    }),
    ("retry-after", None, |text| Some(retry_after(text))),
    ("ratelimit", None, rate_limit),
    ("ratelimit-reset", Some("ratelimit-remaining"), |text| {
        Some(seconds(text, Source::RateLimitReset))
    }),
    ("x-ratelimit-reset", Some("x-ratelimit-remaining"), |text| {
        Some(x_ratelimit_reset(text))
    }),
];

/// What each hint header of the answer says. A header that comes more than once is read once: the first counts.
fn wishes(headers: &HeaderMap) -> impl Iterator<Item = Result<Wish, Unfollowable>> {
    READERS.into_iter().filter_map(|(name, remaining, reader)| {
        let value = headers.get(name)?;
        // While something of a limit is left, another one refused, and the end of this one's window tells nothing.
        let left = remaining.and_then(|name| headers.get(name)?.to_str().ok());
        if left.is_some_and(is_more_than_none) {
            return None;
        }
        match value.to_str() {
            Ok(text) => reader(text.trim()),
            Err(_) => Some(Err(Unfollowable)),
        }
    })
}

/// `Retry-After`: seconds or an HTTP date (RFC 9110, section 10.2.3).
fn retry_after(text: &str) -> Result<Wish, Unfollowable> {
    seconds(text, Source::RetryAfterSeconds).or_else(|Unfollowable| {
        let moment = httpdate::parse_http_date(text).map_err(|_| Unfollowable)?;
        Ok(Wish {
            when: When::At(moment),
            source: Source::RetryAfterDate,
        })
    })
}

/// `RateLimit` of draft-ietf-httpapi-ratelimit-headers: a list of limits, `"name";r=<left>;t=<seconds>`. All that are used
/// up must refill, so the longest of them counts. Before draft 08 it held one limit, as `limit=9, remaining=0, reset=5`.
fn rate_limit(text: &str) -> Option<Result<Wish, Unfollowable>> {
    // A limit's name may hold any separator, and matters to nobody here.
    let unquoted: String = text.split('"').step_by(2).collect();
    let limits = if parameter(&unquoted, "reset").is_some() {
        vec![unquoted.as_str()]
    } else {
        unquoted.split(',').collect()
    };
    let mut longest = None;
    for limit in limits {
        let either = |old, new| parameter(limit, old).or_else(|| parameter(limit, new));
        let Some(reset) = either("reset", "t") else {
            continue;
        };
        if either("remaining", "r").is_some_and(is_more_than_none) {
            continue;
        }
        let Ok(wait) = delay(reset, 1.0) else {
            return Some(Err(Unfollowable));
        };
        longest = longest.max(Some(wait));
    }
    longest.map(|wait| {
        Ok(Wish {
            when: When::In(wait),
            source: Source::RateLimitReset,
        })
    })
}

/// The value of `name=value` among parts that commas or semicolons separate.
fn parameter<'a>(parts: &'a str, name: &str) -> Option<&'a str> {
    parts
        .split([',', ';'])
        .filter_map(|part| part.split_once('='))
        .find(|(found, _)| found.trim() == name)
        .map(|(_, value)| value.trim())
}

/// `x-ratelimit-reset`, which nobody has written down: some send a delay, some a moment in seconds, some in milliseconds.
/// The size tells, since no delay lasts for decades.
fn x_ratelimit_reset(text: &str) -> Result<Wish, Unfollowable> {
    let number = number(text)?;
    let epoch_seconds = if number > EPOCH_MILLISECONDS_FROM {
        number / 1000.0
    } else if number > EPOCH_SECONDS_FROM {
        number
    } else {
        return seconds(text, Source::XRateLimitReset);
    };
    let moment = Duration::try_from_secs_f64(epoch_seconds)
        .ok()
        .and_then(|since| UNIX_EPOCH.checked_add(since))
        .ok_or(Unfollowable)?;
    Ok(Wish {
        when: When::At(moment),
        source: Source::XRateLimitReset,
    })
}

fn seconds(text: &str, source: Source) -> Result<Wish, Unfollowable> {
    let when = When::In(delay(text, 1.0)?);
    Ok(Wish { when, source })
}

fn milliseconds(text: &str, source: Source) -> Result<Wish, Unfollowable> {
    let when = When::In(delay(text, 1000.0)?);
    Ok(Wish { when, source })
}

/// A delay in units of which `per_second` make a second.
fn delay(text: &str, per_second: f64) -> Result<Duration, Unfollowable> {
    let wait = Duration::try_from_secs_f64(number(text)? / per_second).map_err(|_| Unfollowable)?;
    if wait > WAIT_MAX {
        return Err(Unfollowable);
    }
    Ok(wait)
}

/// Digits, and a fraction although no standard allows one: servers send `1.5`, and what they mean is plain. No sign, no
/// exponent, no `inf`.
fn number(text: &str) -> Result<f64, Unfollowable> {
    let is_plain = text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !is_plain {
        return Err(Unfollowable);
    }
    text.parse().map_err(|_| Unfollowable)
}

fn is_more_than_none(left: &str) -> bool {
    number(left.trim()).is_ok_and(|left| left > 0.0)
}

/// A longer wait is absurd: a gateway's throttle clears within seconds, no deadline is longer than a day, and what exceeds
/// this in practice is a unit mistaken for another or a made-up number.
pub const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Above this, `x-ratelimit-reset` is a moment in seconds since 1970: as a delay it would be 31 years.
const EPOCH_SECONDS_FROM: f64 = 1e9;

/// Above this, `x-ratelimit-reset` is a moment in milliseconds since 1970: in seconds it would be the year 33658.
const EPOCH_MILLISECONDS_FROM: f64 = 1e12;
