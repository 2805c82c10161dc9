//! A value once it was understood, and its one canonical spelling.
//!
//! How it is read stands in [`kind`](super::kind). The spelling is TOML, so that what `check --print` shows can be
//! pasted into a file.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderName, Method};

/// One configured value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A switch.
    Bool(bool),
    /// One of a closed list of words.
    Word(&'static str),
    /// Some of a closed list of words.
    Words(Vec<&'static str>),
    /// A time span.
    Time(Duration),
    /// A number of bytes.
    Size(usize),
    /// A whole number.
    Count(u32),
    /// Thousandths of a token.
    Milli(u64),
    /// Where to listen.
    Address(SocketAddr),
    /// Where requests go.
    Url(Url),
    /// A header's name.
    Header(HeaderName),
    /// Methods.
    Methods(Vec<Method>),
    /// Any other text, already checked.
    Text(String),
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// `http` or `https`.
    pub(crate) scheme: Scheme,
    /// Host and port.
    pub(crate) authority: Authority,
    /// Empty, or starting with a slash and not ending in one.
    pub(crate) base_path: String,
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(out),
            Self::Word(word) => write_text(out, word),
            Self::Words(words) => write_list(out, words.iter().copied()),
            Self::Time(time) => write_text(out, &spell_time(*time)),
            Self::Size(bytes) => write_text(out, &spell_size(*bytes)),
            Self::Count(count) => count.fmt(out),
            Self::Milli(milli) => out.write_str(&spell_milli(*milli)),
            Self::Address(address) => write_text(out, &address.to_string()),
            Self::Url(url) => write_text(out, &url.to_string()),
            Self::Header(name) => write_text(out, name.as_str()),
            Self::Methods(methods) => write_list(out, methods.iter().map(Method::as_str)),
            Self::Text(text) => write_text(out, text),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}://{}{}",
            self.scheme, self.authority, self.base_path
        )
    }
}

fn write_text(out: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    // toml knows which characters need escaping, and how.
    write!(out, "{}", toml::Value::from(text))
}

fn write_list<'a>(
    out: &mut fmt::Formatter<'_>,
    words: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    let quoted: Vec<String> = words.map(|word| format!("{word:?}")).collect();
    write!(out, "[{}]", quoted.join(", "))
}

/// In the largest unit that keeps it whole: `75s`, `5m`, `1500ms`.
fn spell_time(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (unit, name) = TIME_UNITS
        .into_iter()
        .find(|(unit, _)| nanos != 0 && nanos % unit == 0)
        .unwrap_or((NANOS_PER_SECOND, "s"));
    format!("{}{name}", nanos / unit)
}

/// In the largest unit that keeps it whole: `10MiB`, `1025B`.
fn spell_size(bytes: usize) -> String {
    let (unit, name) = SIZE_UNITS
        .into_iter()
        .rev()
        .find(|(unit, _)| bytes != 0 && bytes % unit == 0)
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

/// The units of sizes, smallest first.
pub(super) const SIZE_UNITS: [(usize, &str); 4] = [
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
