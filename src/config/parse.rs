//! From text to a value: durations, sizes, tokens, addresses, URLs, names. Pure; knows neither files nor keys.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderName, Method, Uri};

use super::fault::meant;
use super::kind::Kind;
use super::value::{MILLI, SIZE_UNITS, Url, Value};

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
        Kind::Url => url(text).map(Value::Url),
        Kind::Header => HeaderName::from_bytes(text.as_bytes())
            .map(Value::Header)
            .map_err(|_| kind.misfit()),
        Kind::Name => name(kind, text),
        Kind::Pattern => pattern(kind, text),
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
    fn new(expected: &str) -> Self {
        Self {
            expected: expected.to_owned(),
            meant: None,
        }
    }
}

impl Kind {
    fn misfit(self) -> Misfit {
        Misfit::new(&self.expected())
    }

    fn meaning(self, meant: Option<String>) -> Misfit {
        Misfit {
            expected: self.expected(),
            meant,
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
                Value::Size(min),
                Value::Size(max)
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
    quoted.join(", ")
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

fn time(text: &str) -> Option<Duration> {
    // The parser would take a bare 0, but nothing that has no unit is a time here.
    text.ends_with(|c: char| c.is_ascii_alphabetic())
        .then(|| humantime::parse_duration(text).ok())
        .flatten()
}

fn size(text: &str) -> Option<usize> {
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
fn meant_size(text: &str) -> Option<String> {
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
fn milli(text: &str) -> Option<u64> {
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
    Method::from_bytes(text.as_bytes()).map_err(|_| kind.misfit())
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

fn url(text: &str) -> Result<Url, Misfit> {
    if !text.contains("://") {
        let proposal = format!("https://{text}");
        let is_likely = text.contains('.') && url(&proposal).is_ok();
        return Err(Kind::Url.meaning(is_likely.then(|| format!("{proposal:?}"))));
    }
    let uri = Uri::from_str(text).map_err(|_| Kind::Url.misfit())?;
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err(Kind::Url.misfit());
    };
    if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
        return Err(Misfit::new("a URL that starts with http:// or https://"));
    }
    if authority.as_str().contains('@') {
        return Err(Misfit::new("a URL without user and password"));
    }
    if uri.query().is_some() || text.contains('#') {
        return Err(Misfit::new(
            "a URL without query and fragment: only its path is put before the request's",
        ));
    }
    if authority.host().is_empty() || !has_valid_port(authority) {
        return Err(Kind::Url.misfit());
    }
    Ok(Url {
        scheme: scheme.clone(),
        authority: authority.clone(),
        base_path: uri.path().trim_end_matches('/').to_owned(),
    })
}

fn has_valid_port(authority: &Authority) -> bool {
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => true,
        Some(_) => authority.port_u16().is_some_and(|port| port > 0),
        None => false,
    }
}

/// The longest time that can be set. Longer ones are mistakes, and would overflow a deadline some day.
const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The most tokens: far past any use, and a thousand times that still fits every sum.
const TOKENS_MAX: u64 = 1_000_000_000;

/// The longest route name: it is a metric label.
const NAME_BYTES_MAX: usize = 64;

/// The longest text: what a classified body can hold, and more than any path or file name.
const TEXT_BYTES_MAX: usize = 4096;

/// Methods that are always in capitals (RFC 9110 section 9, RFC 5789).
const STANDARD_METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];
