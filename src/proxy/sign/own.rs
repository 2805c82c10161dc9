//! What a client says of itself: whether it signed its request, what it signed, and how long that holds.
//!
//! Pure: `now` is an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{AUTHORIZATION, CONNECTION, DATE};
use http::{HeaderMap, HeaderName, request};

use crate::retry::fields::rare;

/// Whether the client signed the request (SigV4, in a header or in the query), so that changing what it signed breaks it.
pub fn is_signed(parts: &request::Parts) -> bool {
    authorization(parts).is_some() || parameter(parts, "X-Amz-Signature").is_some()
}

/// How long from `now` the client's signature holds; nothing if it has run out, `None` if there is none.
///
/// A signature in a header holds for [`HOLDS`] from its date, one in the query for what `X-Amz-Expires` says. One whose
/// date cannot be read is taken for one that was made just now: the API says what it makes of it.
pub fn holds_for(parts: &request::Parts, now: SystemTime) -> Option<Duration> {
    let (date, holds) = if parameter(parts, "X-Amz-Signature").is_some() {
        let expires = parameter(parts, "X-Amz-Expires").and_then(|it| it.parse().ok());
        let holds = expires.map_or(HOLDS, Duration::from_secs);
        (parameter(parts, "X-Amz-Date").and_then(basic), holds)
    } else {
        authorization(parts)?;
        let date = text(&parts.headers, &X_AMZ_DATE).and_then(basic);
        let plain = || httpdate::parse_http_date(text(&parts.headers, &DATE)?).ok();
        (date.or_else(plain), HOLDS)
    };
    let ends = date.unwrap_or(now).checked_add(holds)?;
    Some(ends.duration_since(now).unwrap_or_default())
}

/// Whether something that the client signed goes up as another thing: a header that was changed, added to or left out.
pub fn is_altered(parts: &request::Parts, sent: &HeaderMap) -> bool {
    let in_header = authorization(parts).and_then(|it| it.split_once("SignedHeaders="));
    let in_query = parameter(parts, "X-Amz-SignedHeaders")
        .map(|it| it.replace("%3B", ";").replace("%3b", ";"));
    let list = match in_header {
        Some((_, rest)) => rest.split(',').next().unwrap_or(rest).to_owned(),
        None => in_query.unwrap_or_default(),
    };
    let mut names = list.split(';').map(str::trim);
    names.any(|name| {
        // `Host` may come as the target's authority, and is looked at apart.
        !name.eq_ignore_ascii_case("host")
            && (!parts.headers.get_all(name).iter().eq(sent.get_all(name))
                // A lone `keep-alive` was dropped where the head was read, so that neither has it.
                || name.eq_ignore_ascii_case("connection") && !sent.contains_key(CONNECTION))
    })
}

/// The `Authorization` of SigV4 or SigV4A.
fn authorization(parts: &request::Parts) -> Option<&str> {
    text(&parts.headers, &AUTHORIZATION).filter(|value| value.starts_with("AWS4-"))
}

/// The value of a parameter of the query, as it stands there.
fn parameter<'a>(parts: &'a request::Parts, name: &str) -> Option<&'a str> {
    let mut pairs = parts.uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    rare(headers, name)?.to_str().ok()
}

/// A moment in the basic format of ISO 8601, as SigV4 writes it: `20261125T134621Z`.
fn basic(text: &str) -> Option<SystemTime> {
    let digits = text.strip_suffix('Z')?.replacen('T', "", 1);
    if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize, length: usize| digits[at..at + length].parse::<u64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 2)?, part(6, 2)?);
    let (hour, minute, second) = (part(8, 2)?, part(10, 2)?, part(12, 2)?);
    let is_possible = year >= 1970
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_possible {
        return None;
    }
    // Days since 1970 by the civil calendar, whose year begins in March so that the leap day comes last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(DAYS_TO_1970)?;
    Some(UNIX_EPOCH + Duration::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
}

/// How long AWS takes a signature in a header, before and after its date (AWS, "Signing AWS API requests": five minutes).
pub const HOLDS: Duration = Duration::from_secs(300);

/// From the first of March of the year 0 to the first of January 1970.
const DAYS_TO_1970: u64 = 719_468;

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");

#[cfg(test)]
mod tests;
