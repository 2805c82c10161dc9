//! A body in chunks, as RFC 9112 section 7.1 writes it, read to its end.
//!
//! A client's chunks are taken to the letter: what is written otherwise, somebody on the way may read otherwise, and find
//! a request in it. An upstream is forgiven blanks behind a size and odd bytes in an extension, since its answer is all that there is
//! on its connection. Trailers are kept as they come, and read when all of them are there.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::FIELDS_MAX;

/// Reads one body.
#[derive(Debug)]
pub struct Chunks {
    stage: Stage,
    /// What is left of the chunk.
    left: u64,
    /// Digits of the size so far, then bytes of the extension.
    count: usize,
    /// Bytes of all the extensions.
    extension_bytes: usize,
    is_forgiving: bool,
    /// The trailers' lines so far.
    trailers: Vec<u8>,
}

/// What stands at the front of the bytes that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// So many bytes that frame the body.
    pub framing: usize,
    /// Behind them, so many bytes of the body itself. None, if the body is over or more bytes are needed.
    pub data: usize,
}

/// The chunks cannot be read, or not in one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A byte does not belong where it stands.
    #[error("a byte of the body's chunks does not belong where it stands")]
    Byte,
    /// The extensions or the trailers are too long.
    #[error("the body's extensions or trailers are too long")]
    TooLarge,
    /// The trailers are none.
    #[error("the body's trailers cannot be read")]
    Trailers,
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
    /// At the first byte of a request's body.
    pub fn of_request() -> Self {
        Self {
            stage: Stage::Size,
            left: 0,
            count: 0,
            extension_bytes: 0,
            is_forgiving: false,
            trailers: Vec::new(),
        }
    }

    /// At the first byte of an answer's body.
    pub fn of_answer() -> Self {
        Self {
            is_forgiving: true,
            ..Self::of_request()
        }
    }

    /// Whether the body is complete.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Looks at the bytes that come next, up to the next of the body itself and as many of those as stand together. Those
    /// that were taken are not to be shown again.
    ///
    /// # Errors
    /// When the body ends here, and badly.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Taken, Broken> {
        let mut at = 0;
        while at < bytes.len() && !self.is_over() {
            if self.stage == Stage::Data {
                let here = u64::try_from(bytes.len() - at).unwrap_or(u64::MAX);
                let data = here.min(self.left);
                self.left -= data;
                if self.left == 0 {
                    self.stage = Stage::DataCr;
                }
                let data = usize::try_from(data).unwrap_or(usize::MAX);
                return Ok(Taken { framing: at, data });
            }
            self.stage = self.step(bytes[at])?;
            at += 1;
        }
        Ok(Taken {
            framing: at,
            data: 0,
        })
    }

    /// The trailers behind the body that is over, if there are any.
    ///
    /// # Errors
    /// When they are no fields, or too many.
    pub fn trailers(&mut self) -> Result<Option<HeaderMap>, Broken> {
        if self.trailers.is_empty() {
            return Ok(None);
        }
        let mut lines = std::mem::take(&mut self.trailers);
        lines.extend_from_slice(b"\r\n");
        let mut found = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let Ok(httparse::Status::Complete((_, fields))) =
            httparse::parse_headers(&lines, &mut found)
        else {
            return Err(Broken::Trailers);
        };
        let mut trailers = HeaderMap::with_capacity(fields.len());
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_bytes(field.value);
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(Broken::Trailers);
            };
            trailers.append(name, value);
        }
        Ok(Some(trailers))
    }

    fn step(&mut self, byte: u8) -> Result<Stage, Broken> {
        match (self.stage, byte) {
            (Stage::Size, byte) if byte.is_ascii_hexdigit() => self.digit(byte),
            (Stage::Size, b'\r') if self.count > 0 => Ok(self.size_ends(Stage::SizeEnd)),
            (Stage::Size, b';') if self.count > 0 => Ok(self.size_ends(Stage::Extension)),
            (Stage::Size, b' ' | b'\t') if self.count > 0 => Ok(self.size_ends(Stage::Blank)),
            (Stage::Blank, b' ' | b'\t') if self.is_forgiving => Ok(Stage::Blank),
            (Stage::Blank, b' ' | b'\t') => self.extension(Stage::Blank),
            (Stage::Blank, b';') => Ok(Stage::Extension),
            (Stage::Blank, b'\r') if self.is_forgiving => Ok(Stage::SizeEnd),
            (Stage::Extension, b'\r') => Ok(Stage::SizeEnd),
            (Stage::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.extension(Stage::Extension),
            (Stage::Extension, byte) if self.is_forgiving && byte != b'\n' => {
                self.extension(Stage::Extension)
            }
            (Stage::SizeEnd, b'\n') if self.left == 0 => Ok(Stage::Line),
            (Stage::SizeEnd, b'\n') => Ok(Stage::Data),
            (Stage::DataCr, b'\r') => Ok(Stage::DataEnd),
            (Stage::DataEnd, b'\n') => {
                self.count = 0;
                Ok(Stage::Size)
            }
            (Stage::Line, b'\r') => Ok(Stage::End),
            (Stage::Trailer, b'\r') => self.trailer(byte, Stage::TrailerEnd),
            (Stage::Line | Stage::Trailer, byte) if byte != b'\n' => {
                self.trailer(byte, Stage::Trailer)
            }
            (Stage::TrailerEnd, b'\n') => self.trailer(byte, Stage::Line),
            (Stage::End, b'\n') => Ok(Stage::Over),
            _ => Err(Broken::Byte),
        }
    }

    fn digit(&mut self, digit: u8) -> Result<Stage, Broken> {
        self.count += 1;
        let value = char::from(digit).to_digit(16).ok_or(Broken::Byte)?;
        let sixteenfold = self.left.checked_mul(16).ok_or(Broken::Byte)?;
        self.left = sixteenfold + u64::from(value); // its last digit is 0
        if self.count <= SIZE_DIGITS_MAX {
            Ok(Stage::Size)
        } else {
            Err(Broken::Byte)
        }
    }

    fn size_ends(&mut self, stage: Stage) -> Stage {
        self.count = 0;
        stage
    }

    fn extension(&mut self, stage: Stage) -> Result<Stage, Broken> {
        self.count += 1;
        self.extension_bytes += 1;
        let is_short = self.is_forgiving || self.count <= EXTENSION_BYTES_MAX;
        if is_short && self.extension_bytes < EXTENSIONS_BYTES_MAX {
            Ok(stage)
        } else {
            Err(Broken::TooLarge)
        }
    }

    fn trailer(&mut self, byte: u8, stage: Stage) -> Result<Stage, Broken> {
        self.trailers.push(byte);
        if self.trailers.len() < TRAILERS_BYTES_MAX {
            Ok(stage)
        } else {
            Err(Broken::TooLarge)
        }
    }
}

/// As many as 64 bits need; more, even of zeros, is nobody's honest size.
const SIZE_DIGITS_MAX: usize = 16;

/// Nothing reads them, so there is no reason for long ones in a request.
const EXTENSION_BYTES_MAX: usize = 1024;

/// All the extensions of one body.
const EXTENSIONS_BYTES_MAX: usize = 16 * 1024;

/// All the trailers of one body.
const TRAILERS_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
#[path = "chunks/tests.rs"]
mod tests;
