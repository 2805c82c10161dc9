//! What is wrong with a configuration, and how it is shown: place, line, caret, what was expected.
//!
//! A fault is data until it is printed. All faults of all sources are collected, so that an operator mends a file in one
//! go. Values that may hold a secret are covered in what is printed.

use std::fmt;

use super::origin::{Place, SourceKind};

/// One thing that is wrong, or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    place: Option<Place>,
    what: String,
    expected: String,
    secret: bool,
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    faults: Vec<Fault>,
}

impl Fault {
    /// Something wrong: `what` is the matter, as a phrase, and `expected` is what would be right.
    pub(super) fn new(
        place: Option<Place>,
        what: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            place,
            what: what.into(),
            expected: expected.into(),
            secret: false,
        }
    }

    /// The same, where the marked part of the text may hold a secret and must not be shown.
    pub(super) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The document at fault, if it is one.
    fn document(&self) -> Option<&str> {
        match &self.place.as_ref()?.source.kind {
            SourceKind::Document(name) => Some(name),
            SourceKind::Variable(_) | SourceKind::Flag(_) => None,
        }
    }

    /// Name of the text at fault, with line and column where it has them.
    fn location(&self) -> String {
        match &self.place {
            None => "configuration".to_owned(),
            Some(place) => match &place.source.kind {
                SourceKind::Document(name) => {
                    let (line, column) = place.line_column();
                    format!("{name}:{line}:{column}")
                }
                SourceKind::Variable(_) => "environment".to_owned(),
                SourceKind::Flag(_) => "command line".to_owned(),
            },
        }
    }

    fn write_excerpt(&self, place: &Place, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match place.source.kind {
            SourceKind::Document(_) => place.line_column().0.to_string(),
            SourceKind::Variable(_) | SourceKind::Flag(_) => String::new(),
        };
        let gutter = " ".repeat(number.len());
        let (line, before, marked) = excerpt(place, self.secret);
        writeln!(out, "  {gutter} |")?;
        writeln!(out, "  {number} | {line}")?;
        let indent: String = before
            .chars()
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let carets = "^".repeat(marked.max(1));
        writeln!(out, "  {gutter} | {indent}{carets} {}", self.expected)
    }
}

/// The line to show, what of it stands before the mark, and how many characters are marked.
fn excerpt(place: &Place, secret: bool) -> (String, String, usize) {
    let text = &place.source.text;
    let start = floor(text, place.span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..]
        .find('\n')
        .map_or(text.len(), |newline| start + newline);
    let end = floor(text, place.span.end).clamp(start, line_end);

    let mut before: Vec<char> = text[line_start..start].chars().collect();
    let mut marked: Vec<char> = text[start..end].chars().collect();
    let mut after: Vec<char> = text[end..line_end].trim_end().chars().collect();
    if secret {
        // Its length is nobody's business either.
        marked = vec!['*'; SECRET_STARS];
    }
    if before.len() > EXCERPT_CHARS_MAX / 2 {
        before.drain(..before.len() - EXCERPT_CHARS_MAX / 2);
        before[0] = '…';
    }
    marked.truncate(EXCERPT_CHARS_MAX / 2);
    after.truncate(EXCERPT_CHARS_MAX.saturating_sub(before.len() + marked.len()));

    let show = |c: &char| {
        if c.is_control() && *c != '\t' {
            '·'
        } else {
            *c
        }
    };
    let before: String = before.iter().map(show).collect();
    let rest: String = marked.iter().chain(&after).map(show).collect();
    (format!("{before}{rest}"), before, marked.len())
}

/// The nearest place at or before `index` where a character begins.
fn floor(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}: {}", self.location(), self.what)?;
        match &self.place {
            Some(place) => self.write_excerpt(place, out),
            None => writeln!(out, "  {}", self.expected),
        }
    }
}

impl Error {
    /// All that is wrong; `None` when nothing is. A file's faults stand together, from its top.
    pub(super) fn from_faults(mut faults: Vec<Fault>) -> Option<Self> {
        let mut names: Vec<String> = Vec::new();
        for fault in &faults {
            if let Some(name) = fault.document()
                && !names.iter().any(|known| known == name)
            {
                names.push(name.to_owned());
            }
        }
        faults.sort_by_key(|fault| {
            let document = fault
                .document()
                .and_then(|name| names.iter().position(|known| known == name));
            match (&fault.place, document) {
                (Some(place), Some(document)) => (document, place.span.start),
                // Stable: variables and flags stay as they were read, behind the documents.
                _ => (usize::MAX, 0),
            }
        });
        faults.dedup();
        (!faults.is_empty()).then_some(Self { faults })
    }

    /// Every fault.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Whether all that is wrong is that nobody said where requests go.
    pub fn is_only_missing_upstream(&self) -> bool {
        matches!(&self.faults[..], [one] if one.what == MISSING_UPSTREAM)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        let noun = if count == 1 { "fault" } else { "faults" };
        writeln!(out, "configuration is not valid: {count} {noun}")?;
        for fault in self.faults.iter().take(FAULTS_SHOWN_MAX) {
            write!(out, "\n{fault}")?;
        }
        if count > FAULTS_SHOWN_MAX {
            writeln!(out, "\n... and {} more", count - FAULTS_SHOWN_MAX)?;
        }
        Ok(())
    }
}

/// The candidate that `word` was probably meant to be, if one is near enough.
pub(super) fn meant<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A third of the word may be wrong; past that the proposal is a guess that misleads.
    let limit = (word.chars().count() / 3).max(1);
    let folded = word.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| {
            let other = candidate.to_lowercase().replace('-', "_");
            (strsim::damerau_levenshtein(&folded, &other), candidate)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The fault of a configuration without an upstream.
pub(super) const MISSING_UPSTREAM: &str = "no `upstream`: where do requests go?";

/// What covers a secret.
const SECRET_STARS: usize = 8;

/// The most of a line that is shown: an inline configuration may be one line of many thousand characters.
const EXCERPT_CHARS_MAX: usize = 160;

/// The most faults printed at once: more is a wrong file, not a list to work through.
const FAULTS_SHOWN_MAX: usize = 50;
