//! From text to a value: words, addresses, URLs, names. Amounts stand in [`quantity`](super::quantity).
//!
//! Pure; knows neither files nor keys.

use std::net::SocketAddr;
use std::str::FromStr;

use http::{HeaderName, Method};

use super::fault::meant;
use super::kind::Kind;
use super::quantity::{MILLI, TIME_MAX, TOKENS_MAX, meant_size, milli, size, spell_size, time};
use super::value::Value;

/// Why a text does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// What would have fitted.
    pub(crate) expected: String,
    /// What was probably meant.
    pub(crate) meant: Option<String>,
}

/// A list while it is read.
pub(crate) struct List {
    kind: Kind,
    words: Vec<&'static str>,
    methods: Vec<Method>,
}

type Parsed = Result<Value, Misfit>;

/// Understands one text as what the kind takes. A list's items go through [`List`].
pub(crate) fn value(kind: Kind, text: &str) -> Parsed {
    match kind {
        Kind::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(kind.misfit()),
        },
        Kind::Word(words) => word(words, text).map(Value::Word),
        Kind::Time { zero } => time(text)
            .filter(|time| (zero || !time.is_zero()) && *time <= TIME_MAX)
            .map(Value::Time)
            .ok_or_else(|| kind.misfit()),
        Kind::Size { min, max } => size(text)
            .filter(|size| (min..=max).contains(size))
            .map(Value::Size)
            .ok_or_else(|| kind.meaning(meant_size(text))),
        Kind::Count { min, max } => text
            .parse()
            .ok()
            .filter(|count| (min..=max).contains(count))
            .map(Value::Count)
            .ok_or_else(|| kind.misfit()),
        Kind::Tokens { zero } => milli(text)
            .filter(|milli| (zero || *milli > 0) && *milli <= TOKENS_MAX * MILLI)
            .map(Value::Milli)
            .ok_or_else(|| kind.misfit()),
        Kind::Address => SocketAddr::from_str(text)
            .map(Value::Address)
            .map_err(|_| kind.meaning(meant_address(text))),
        Kind::Url => super::url::url(text).map(Value::Url),
        Kind::Header => HeaderName::from_bytes(text.as_bytes())
            .map(Value::Header)
            .map_err(|_| kind.misfit()),
        Kind::Name => name(kind, text),
        Kind::Pattern => pattern(kind, text),
        Kind::Text if text.contains(PEM) => Err(Misfit::new(
            "the name of a file: this is what stands in one",
        )),
        Kind::Text if !text.is_empty() && text.len() <= TEXT_BYTES_MAX => {
            Ok(Value::Text(text.to_owned()))
        }
        Kind::Text | Kind::Words(_) | Kind::Methods => Err(kind.misfit()),
    }
}

impl List {
    /// An empty list of the kind.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            words: Vec::new(),
            methods: Vec::new(),
        }
    }

    /// Takes one item more.
    pub(crate) fn push(&mut self, text: &str) -> Result<(), Misfit> {
        match self.kind {
            Kind::Words(words) => {
                let word = word(words, text)?;
                if self.words.contains(&word) {
                    return Err(Misfit::new("each word once"));
                }
                self.words.push(word);
            }
            _ => self.methods.push(method(self.kind, text)?),
        }
        Ok(())
    }

    /// The whole list.
    pub(crate) fn finish(self) -> Parsed {
        match self.kind {
            Kind::Words(_) => Ok(Value::Words(self.words)),
            _ if self.methods.is_empty() => Err(Misfit::new(
                "at least one method, or no `methods` at all to match every one",
            )),
            _ => Ok(Value::Methods(self.methods)),
        }
    }
}

impl Misfit {
    pub(super) fn new(expected: &str) -> Self {
        Self {
            expected: expected.to_owned(),
            meant: None,
        }
    }
}

impl Kind {
    pub(super) fn misfit(self) -> Misfit {
        Misfit::new(&self.expected())
    }

    pub(super) fn meaning(self, meant: Option<String>) -> Misfit {
        Misfit {
            expected: self.expected(),
            meant,
        }
    }

    /// What fits for one item of a list, or for a value that is none; follows "expected".
    pub(crate) fn expected_item(self) -> String {
        match self {
            Self::Words(words) => one_of(words),
            Self::Methods => "a method like \"GET\" or \"POST\"".to_owned(),
            _ => self.expected(),
        }
    }

    /// What fits, in words; follows "expected".
    pub(crate) fn expected(self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Word(words) => one_of(words),
            Self::Words(words) => format!("a list of {}", one_of(words)),
            Self::Time { zero: false } => {
                "a time above 0 with its unit, like \"250ms\", \"30s\" or \"5m\", at most \"7d\""
                    .to_owned()
            }
            Self::Time { zero: true } => {
                "a time with its unit, like \"250ms\", \"30s\" or \"5m\", at most \"7d\"".to_owned()
            }
            Self::Size { min, max } => format!(
                "a whole size with its unit, like \"32KiB\" or \"10MiB\", from {} to {}",
                spell_size(min),
                spell_size(max)
            ),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Tokens { zero } => format!(
                "a number {} with at most three decimals, at most {TOKENS_MAX}",
                if zero { "from 0" } else { "above 0" }
            ),
            Self::Address => {
                "an IP address and a port, like \"127.0.0.1:7480\" or \"[::1]:7480\"".to_owned()
            }
            Self::Url => {
                "a URL like \"https://abc123.execute-api.eu-west-1.amazonaws.com/prod\"".to_owned()
            }
            Self::Header => "a header name: letters, digits and -".to_owned(),
            Self::Methods => "a list of methods like \"GET\" or \"POST\"".to_owned(),
            Self::Name => format!(
                "a name of letters, digits, `_`, `-` and `.`, at most {NAME_BYTES_MAX}; `default` is taken"
            ),
            Self::Pattern => {
                "a raw path like \"/orders\", or \"/orders/*\" with the only `*` at its end"
                    .to_owned()
            }
            Self::Text => format!("text, at most {TEXT_BYTES_MAX} bytes"),
        }
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

fn word(words: &'static [&'static str], text: &str) -> Result<&'static str, Misfit> {
    if let Some(word) = words.iter().find(|word| **word == text) {
        return Ok(word);
    }
    let expected = if words == super::keys::RETRIABLE && super::keys::CLASSES.contains(&text) {
        format!("a class that another attempt can mend: {}", one_of(words))
    } else {
        one_of(words)
    };
    Err(Misfit {
        expected,
        meant: meant(text, words.iter().copied()).map(|word| format!("{word:?}")),
    })
}

fn meant_address(text: &str) -> Option<String> {
    let port = text
        .strip_prefix("localhost:")
        .or_else(|| text.strip_prefix(':'))
        .unwrap_or(text);
    port.parse::<u16>()
        .ok()
        .map(|port| format!("\"127.0.0.1:{port}\""))
}

fn method(kind: Kind, text: &str) -> Result<Method, Misfit> {
    let upper = text.to_ascii_uppercase();
    if upper != text && STANDARD_METHODS.contains(&upper.as_str()) {
        return Err(Misfit {
            expected: "methods in capitals, as they are sent".to_owned(),
            meant: Some(format!("{upper:?}")),
        });
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| Misfit::new(&kind.expected_item()))
}

fn name(kind: Kind, text: &str) -> Parsed {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let fits = !text.is_empty()
        && text.len() <= NAME_BYTES_MAX
        && text.bytes().all(plain)
        && text != super::DEFAULT_ROUTE;
    fits.then(|| Value::Text(text.to_owned()))
        .ok_or_else(|| kind.misfit())
}

fn pattern(kind: Kind, text: &str) -> Parsed {
    let body = text.strip_suffix('*').unwrap_or(text);
    if !text.starts_with('/') {
        let meant = (!text.is_empty() && !body.contains('*')).then(|| format!("\"/{text}\""));
        return Err(kind.meaning(meant));
    }
    if body.split('/').any(|segment| segment == "..") {
        return Err(Misfit::new(
            "a path without `..`: paths are matched raw, and such a step would hide where it leads",
        ));
    }
    let raw = |byte: u8| byte.is_ascii_graphic() && !b"?#*".contains(&byte);
    let fits = text.len() <= TEXT_BYTES_MAX && body.bytes().all(raw);
    fits.then(|| Value::Text(text.to_owned()))
        .ok_or_else(|| kind.misfit())
}

/// The longest route name: it is a metric label.
const NAME_BYTES_MAX: usize = 64;

/// The longest text: what a classified body can hold, and more than any path or file name.
const TEXT_BYTES_MAX: usize = 4096;

/// How a certificate or a key begins, where the name of its file is expected (RFC 7468).
pub(super) const PEM: &str = "-----BEGIN ";

/// Methods that are always in capitals (RFC 9110 section 9, RFC 5789).
const STANDARD_METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];
