//! A body in chunks, as RFC 9112 section 7.1 writes it, followed to its end.
//!
//! Says where the body ends and which byte is none that belongs there. What stands in trailers is read elsewhere.

/// Follows one body.
#[derive(Debug)]
pub(super) struct Chunks {
    stage: Stage,
    /// What is left of the chunk.
    left: u64,
    /// Digits of the size so far, then bytes of the extension.
    count: usize,
}

/// A byte that does not belong where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where among the bytes looked at.
    pub(super) at: usize,
    /// What to put in its place, so that nobody reads on.
    pub(super) unreadable: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Size,
    /// Blanks that only an extension may follow.
    Blank,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataEnd,
    /// The first byte of a trailer, or of the empty line at the end.
    Line,
    Trailer,
    TrailerEnd,
    End,
    Over,
}

impl Chunks {
    /// At the first byte of a body.
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Size,
            left: 0,
            count: 0,
        }
    }

    /// Whether the body is complete.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Takes the bytes of the body; says how many of these were, which is all of them unless it is over.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut at = 0;
        while at < bytes.len() && !self.is_over() {
            if self.stage == Stage::Data {
                let here = u64::try_from(bytes.len() - at).unwrap_or(u64::MAX);
                let taken = here.min(self.left);
                self.left -= taken;
                if self.left == 0 {
                    self.stage = Stage::DataCr;
                }
                at += usize::try_from(taken).unwrap_or(usize::MAX);
                continue;
            }
            let Some(stage) = self.step(bytes[at]) else {
                // An extension may hold anything but the end of a line.
                let is_extension = self.stage == Stage::Extension;
                let unreadable = if is_extension { b'\n' } else { 0 };
                return Err(Fault { at, unreadable });
            };
            self.stage = stage;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Option<Stage> {
        match (self.stage, byte) {
            (Stage::Size, byte) if byte.is_ascii_hexdigit() => self.digit(byte),
            (Stage::Size, b'\r') if self.count > 0 => self.size_ends(Stage::SizeEnd),
            (Stage::Size, b';') if self.count > 0 => self.size_ends(Stage::Extension),
            (Stage::Size, b' ' | b'\t') if self.count > 0 => self.size_ends(Stage::Blank),
            (Stage::Blank, b' ' | b'\t') => self.extension(Stage::Blank),
            (Stage::Blank, b';') => Some(Stage::Extension),
            (Stage::Extension, b'\r') => Some(Stage::SizeEnd),
            (Stage::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.extension(Stage::Extension),
            (Stage::SizeEnd, b'\n') if self.left == 0 => Some(Stage::Line),
            (Stage::SizeEnd, b'\n') => Some(Stage::Data),
            (Stage::DataCr, b'\r') => Some(Stage::DataEnd),
            (Stage::DataEnd, b'\n') => {
                self.count = 0;
                Some(Stage::Size)
            }
            (Stage::Line, b'\r') => Some(Stage::End),
            (Stage::Trailer, b'\r') => Some(Stage::TrailerEnd),
            (Stage::Line | Stage::Trailer, _) => Some(Stage::Trailer),
            (Stage::TrailerEnd, b'\n') => Some(Stage::Line),
            (Stage::End, b'\n') => Some(Stage::Over),
            _ => None,
        }
    }

    fn digit(&mut self, digit: u8) -> Option<Stage> {
        self.count += 1;
        let value = char::from(digit).to_digit(16)?;
        self.left = self.left.checked_mul(16)?.checked_add(value.into())?;
        (self.count <= SIZE_DIGITS_MAX).then_some(Stage::Size)
    }

    fn size_ends(&mut self, stage: Stage) -> Option<Stage> {
        self.count = 0;
        Some(stage)
    }

    fn extension(&mut self, stage: Stage) -> Option<Stage> {
        self.count += 1;
        (self.count <= EXTENSION_BYTES_MAX).then_some(stage)
    }
}

/// As many as 64 bits need; more, even of zeros, is nobody's honest size.
const SIZE_DIGITS_MAX: usize = 16;

/// Nothing reads them, so there is no reason for long ones; hyper itself gives up on a body with more than 16 KiB of them.
const EXTENSION_BYTES_MAX: usize = 1024;
