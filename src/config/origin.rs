//! Where a value was written: the text that held it and its place there.
//!
//! Every value keeps its origin until the last check is done, so that a fault found late, between two values, still
//! points at what the operator wrote. Says nothing of what is wrong; that is [`fault`](super::fault).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text that values were read from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// What kind of text it is, and how the operator knows it.
    pub(crate) kind: SourceKind,
    /// The text itself; for a variable or a flag, the assignment as it would be typed.
    pub(crate) text: String,
}

/// What kind of text a value was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// A file, or a variable that holds a whole file or a list: places in it have a line and a column.
    Document(String),
    /// One environment variable with one value.
    Variable(String),
    /// One flag of the command line.
    Flag(String),
}

/// Where one value came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    #[default]
    Default,
    /// Somebody wrote it here.
    Written(Place),
}

/// A range of bytes in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The text.
    pub(crate) source: Arc<Source>,
    /// The bytes of the text.
    pub(crate) span: Range<usize>,
}

impl Source {
    /// A text whose places have lines and columns.
    pub(crate) fn document(name: &str, text: &str) -> Arc<Self> {
        Arc::new(Self {
            kind: SourceKind::Document(name.to_owned()),
            text: text.to_owned(),
        })
    }

    /// A variable's assignment, and the place of its value.
    pub(crate) fn variable(name: &str, value: &str) -> Place {
        Self::assignment(SourceKind::Variable(name.to_owned()), name, '=', value)
    }

    /// A flag as typed, and the place of its value.
    pub(crate) fn flag(name: &str, value: &str) -> Place {
        Self::assignment(SourceKind::Flag(name.to_owned()), name, ' ', value)
    }

    fn assignment(kind: SourceKind, name: &str, between: char, value: &str) -> Place {
        let text = format!("{name}{between}{value}");
        let span = name.len() + 1..text.len();
        Place {
            source: Arc::new(Self { kind, text }),
            span,
        }
    }
}

impl Origin {
    /// The place, if somebody wrote the value.
    pub(crate) fn place(&self) -> Option<&Place> {
        match self {
            Self::Default => None,
            Self::Written(place) => Some(place),
        }
    }
}

impl Place {
    /// The place of a part of this value, in bytes from its start; never outside the text.
    pub(crate) fn part(&self, part: Range<usize>) -> Self {
        let end = self.source.text.len();
        let start = (self.span.start + part.start).min(end);
        Self {
            source: Arc::clone(&self.source),
            span: start..(self.span.start + part.end).clamp(start, end),
        }
    }

    /// Another place in the same text.
    pub(crate) fn at(&self, span: Range<usize>) -> Self {
        Self {
            source: Arc::clone(&self.source),
            span,
        }
    }

    /// Line and column of the first byte, both from 1; columns count characters.
    pub(crate) fn line_column(&self) -> (usize, usize) {
        let before = &self.source.text.as_bytes()[..self.span.start.min(self.source.text.len())];
        let line_start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + String::from_utf8_lossy(&before[line_start..])
            .chars()
            .count();
        (line, column)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::Written(place) => match &place.source.kind {
                SourceKind::Document(name) => write!(out, "{name}:{}", place.line_column().0),
                SourceKind::Variable(name) => write!(out, "env {name}"),
                SourceKind::Flag(name) => write!(out, "flag {name}"),
            },
        }
    }
}
