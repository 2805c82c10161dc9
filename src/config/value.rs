//! A value once it was understood, and its one canonical spelling.
//!
//! How it is read stands in [`kind`](super::kind). The spelling is TOML, so that what `check --print` shows can be
//! pasted into a file.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::quantity::{spell_milli, spell_size, spell_time};
use super::url::Url;

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
    /// What is never shown, and marked as such.
    Secret(HeaderValue),
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
            // Its length is nobody's business either.
            Self::Secret(_) => write_text(out, "[redacted]"),
        }
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
