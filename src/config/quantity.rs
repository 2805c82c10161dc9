//! Amounts with units: times, sizes and tokens, read and spelt.
//!
//! One canonical spelling each, which reads back as the same amount.

use std::time::Duration;

/// A time with a unit.
pub(super) fn time(text: &str) -> Option<Duration> {
    // The parser would take a bare 0, but nothing that has no unit is a time here.
    text.ends_with(|c: char| c.is_ascii_alphabetic())
        .then(|| humantime::parse_duration(text).ok())
        .flatten()
}

/// A whole size with a binary unit.
pub(super) fn size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (unit, _) = SIZE_UNITS
        .into_iter()
        .find(|(_, name)| *name == &text[digits.len()..])?;
    // Signs would be taken by `parse`.
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(())?;
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

/// The binary unit that was meant by `MB`, `mb`, `M`, and their like.
pub(super) fn meant_size(text: &str) -> Option<String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        "b" => "B",
        _ => return None,
    };
    let proposal = format!("{digits}{unit}");
    (proposal != text && size(&proposal).is_some()).then(|| format!("{proposal:?}"))
}

/// Thousandths of a decimal number, exactly; no exponent, no sign, no fourth decimal but zero.
pub(super) fn milli(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > 3 {
        return None;
    }
    let thousandths: u64 = format!("{decimals:0<3}").parse().ok()?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(MILLI)?
        .checked_add(thousandths)
}

/// In the largest unit that keeps it whole: `75s`, `5m`, `1500ms`.
pub(super) fn spell_time(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (unit, name) = TIME_UNITS
        .into_iter()
        .find(|(unit, _)| nanos != 0 && nanos.is_multiple_of(*unit))
        .unwrap_or((NANOS_PER_SECOND, "s"));
    format!("{}{name}", nanos / unit)
}

/// In the largest unit that keeps it whole: `10MiB`, `1025B`.
pub(super) fn spell_size(bytes: usize) -> String {
    let (unit, name) = SIZE_UNITS
        .into_iter()
        .rev()
        .find(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit))
        .unwrap_or((1, "B"));
    format!("{}{name}", bytes / unit)
}

/// Thousandths as a decimal without useless zeros: `0.2`, `500`.
pub(super) fn spell_milli(milli: u64) -> String {
    let (whole, part) = (milli / MILLI, milli % MILLI);
    if part == 0 {
        return whole.to_string();
    }
    let decimals = format!("{part:03}");
    format!("{whole}.{}", decimals.trim_end_matches('0'))
}

/// The longest time that can be set. Longer ones are mistakes, and would overflow a deadline some day.
pub(super) const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The most tokens: far past any use, and a thousand times that still fits every sum.
pub(super) const TOKENS_MAX: u64 = 1_000_000_000;

/// The units of sizes, smallest first.
const SIZE_UNITS: [(usize, &str); 4] = [
    (1, "B"),
    (1 << 10, "KiB"),
    (1 << 20, "MiB"),
    (1 << 30, "GiB"),
];

/// Milli-tokens in a token.
pub(super) const MILLI: u64 = 1000;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Units of time in nanoseconds, largest first.
const TIME_UNITS: [(u128, &str); 6] = [
    (3600 * NANOS_PER_SECOND, "h"),
    (60 * NANOS_PER_SECOND, "m"),
    (NANOS_PER_SECOND, "s"),
    (NANOS_PER_SECOND / 1_000, "ms"),
    (NANOS_PER_SECOND / 1_000_000, "us"),
    (1, "ns"),
];
