//! What a key takes, and how that is read from a TOML value or from bare text.
//!
//! A file's value has a TOML type, which must fit; a variable's, a flag's or a default's has none. Both are reduced to
//! text here and understood once, in `config/parse.rs`.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::parse::{self, Misfit};
use super::value::Value;

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any of these words, each once.
    Words(&'static [&'static str]),
    /// A time span with a unit.
    Time {
        /// Whether "0s" has a meaning here.
        zero: bool,
    },
    /// A number of bytes with a unit.
    Size {
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
    /// A whole number.
    Count {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// Tokens, with at most three decimals.
    Tokens {
        /// Whether 0 has a meaning here.
        zero: bool,
    },
    /// An address and port to listen on.
    Address,
    /// Where requests go.
    Url,
    /// A header's name.
    Header,
    /// HTTP methods, at least one.
    Methods,
    /// A route's name.
    Name,
    /// A route's path.
    Pattern,
    /// Any text but the empty one.
    Text,
    /// An API key.
    Secret,
}

/// A part of a value that does not fit: which bytes of the value, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    /// Bytes from the start of the value's text.
    pub(crate) part: Range<usize>,
    /// The part as written.
    pub(crate) written: String,
    /// What is wrong with it.
    pub(crate) misfit: Misfit,
}

impl Kind {
    /// Reads text that has no TOML type: of a variable, a flag or a default.
    pub(crate) fn read_bare(self, text: &str) -> Result<Value, Vec<Fit>> {
        let trimmed = text.trim();
        let items = if self.is_list() && !trimmed.is_empty() {
            split(text)
        } else {
            let start = text.len() - text.trim_start().len();
            vec![(start..start + trimmed.len(), trimmed.to_owned())]
        };
        self.read_items(items)
    }

    /// Reads a TOML value.
    pub(crate) fn read_toml(self, value: &Spanned<DeValue<'_>>) -> Result<Value, Vec<Fit>> {
        let origin = value.span().start;
        let here = |item: &Spanned<DeValue<'_>>| {
            item.span().start.saturating_sub(origin)..item.span().end.saturating_sub(origin)
        };
        let items: Vec<&Spanned<DeValue<'_>>> = match (self.is_list(), value.get_ref()) {
            (true, DeValue::Array(items)) => items.iter().collect(),
            (false, _) => vec![value],
            (true, _) => {
                let mut mismatch = self.mismatch(here(value), value.get_ref());
                mismatch.misfit.expected = self.expected();
                return Err(vec![mismatch]);
            }
        };
        let mut texts = Vec::new();
        let mut misfits = Vec::new();
        for item in items {
            match self.text_of(item.get_ref()) {
                Some(text) => texts.push((here(item), text)),
                None => misfits.push(self.mismatch(here(item), item.get_ref())),
            }
        }
        if !misfits.is_empty() && !self.is_list() {
            return Err(misfits);
        }
        match self.read_items(texts) {
            Ok(value) if misfits.is_empty() => Ok(value),
            Ok(_) => Err(misfits),
            Err(more) => {
                misfits.extend(more);
                Err(misfits)
            }
        }
    }

    fn read_items(self, items: Vec<(Range<usize>, String)>) -> Result<Value, Vec<Fit>> {
        let fit = |part: &Range<usize>, written: &str, misfit| Fit {
            part: part.clone(),
            written: written.to_owned(),
            misfit,
        };
        if !self.is_list() {
            let (part, text) = items.into_iter().next().unwrap_or_default();
            return parse::value(self, &text).map_err(|misfit| vec![fit(&part, &text, misfit)]);
        }
        let mut list = parse::List::new(self);
        let misfits: Vec<Fit> = items
            .iter()
            .filter_map(|(part, text)| Some(fit(part, text, list.push(text).err()?)))
            .collect();
        if misfits.is_empty() {
            list.finish().map_err(|misfit| {
                let end = items.last().map_or(0, |(part, _)| part.end);
                vec![fit(&(0..end.max(2)), "[]", misfit)]
            })
        } else {
            Err(misfits)
        }
    }

    /// The value's text, if its TOML type is the one that this kind is written with.
    fn text_of(self, value: &DeValue<'_>) -> Option<String> {
        match (self, value) {
            (Self::Bool, DeValue::Boolean(value)) => Some(value.to_string()),
            (Self::Count { .. } | Self::Tokens { .. }, DeValue::Integer(number)) => {
                Some(decimal(number))
            }
            (Self::Tokens { .. }, DeValue::Float(number)) => Some(number.as_str().to_owned()),
            (Self::Bool | Self::Count { .. } | Self::Tokens { .. }, _) => None,
            (_, DeValue::String(text)) => Some(text.to_string()),
            _ => None,
        }
    }

    /// A value of the wrong TOML type, and what it would be with the right one where that is plain.
    fn mismatch(self, part: Range<usize>, value: &DeValue<'_>) -> Fit {
        let (written, meant) = match value {
            DeValue::String(text) => {
                let unquoted = self.is_unquoted() && parse::value(self, text).is_ok();
                (
                    format!("{text:?}"),
                    unquoted.then(|| format!("{text}, without quotes")),
                )
            }
            DeValue::Integer(number) => (decimal(number), None),
            DeValue::Float(number) => (number.as_str().to_owned(), None),
            DeValue::Boolean(value) => (value.to_string(), self.word_for(*value)),
            DeValue::Datetime(value) => (value.to_string(), None),
            DeValue::Array(_) => ("a list".to_owned(), None),
            DeValue::Table(_) => ("a table".to_owned(), None),
        };
        Fit {
            part,
            written,
            misfit: Misfit {
                expected: self.expected_item(),
                meant,
            },
        }
    }

    /// The word for a switch that takes words.
    fn word_for(self, value: bool) -> Option<String> {
        let word = if value { "on" } else { "off" };
        matches!(self, Self::Word(words) if words.contains(&word)).then(|| format!("{word:?}"))
    }

    fn is_unquoted(self) -> bool {
        matches!(self, Self::Bool | Self::Count { .. } | Self::Tokens { .. })
    }

    /// Whether the value is a list.
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::Words(_) | Self::Methods)
    }
}

/// An integer of any radix in decimal, so that it is understood like bare text; as written where it is too large.
fn decimal(number: &DeInteger<'_>) -> String {
    i128::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.to_string(), |value| value.to_string())
}

/// The parts of a comma-separated list, trimmed, each with its place.
fn split(text: &str) -> Vec<(Range<usize>, String)> {
    let mut start = 0;
    text.split(',')
        .map(|piece| {
            let trimmed = piece.trim();
            let from = start + (piece.len() - piece.trim_start().len());
            start += piece.len() + 1;
            (from..from + trimmed.len(), trimmed.to_owned())
        })
        .collect()
}
