//! A body as it is written: with its length, in chunks, or to the end of the connection.

use bytes::Bytes;
use http::header::TRAILER;
use http::{HeaderMap, HeaderName};

use super::{Case, Framing, Outbox, members, write_fields};

/// Writes one body.
#[derive(Debug)]
pub struct Encoder {
    framing: Framing,
    /// The trailers that the head announced.
    announced: Vec<HeaderName>,
}

/// The body ended before the length that its head says. The connection is of no more use: whatever came next would be taken
/// for the rest of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body ended before its length")]
pub struct TooShort;

impl Encoder {
    /// Writes a body that is framed so, behind a head whose fields may announce trailers, if these are wanted.
    pub fn new(framing: Framing, head: Option<&HeaderMap>) -> Self {
        let announced = match head {
            Some(head) if framing == Framing::Chunked => announced(head),
            _ => Vec::new(),
        };
        Self { framing, announced }
    }

    /// Whether nothing more is to be written. A body in chunks needs its [`end`](Self::end), and one to the end of the
    /// connection that.
    pub fn is_over(&self) -> bool {
        self.framing == Framing::Nothing
    }

    /// Writes a piece of the body. What comes behind the length that the head says is not written.
    pub fn write(&mut self, mut data: Bytes, to: &mut Outbox) {
        match self.framing {
            _ if data.is_empty() => {} // a chunk of no length would be the last one
            Framing::Nothing => {}
            Framing::ToTheEnd => to.push(data),
            Framing::Sized(left) => {
                let here = u64::try_from(data.len()).unwrap_or(u64::MAX);
                if let Ok(left) = usize::try_from(left) {
                    data.truncate(left);
                }
                self.framing = match left.saturating_sub(here) {
                    0 => Framing::Nothing,
                    left => Framing::Sized(left),
                };
                to.push(data);
            }
            Framing::Chunked => {
                write_size(to.end(), data.len());
                to.push(data);
                to.end().extend_from_slice(b"\r\n");
            }
        }
    }

    /// Writes the end of the body, with the trailers that the head announced.
    ///
    /// # Errors
    /// When there was less of it than the head says.
    pub fn end(
        &mut self,
        trailers: Option<HeaderMap>,
        case: Case<'_>,
        to: &mut Outbox,
    ) -> Result<(), TooShort> {
        match std::mem::replace(&mut self.framing, Framing::Nothing) {
            Framing::Nothing | Framing::ToTheEnd => Ok(()),
            Framing::Sized(_) => Err(TooShort),
            Framing::Chunked => {
                to.end().extend_from_slice(b"0\r\n");
                if let Some(mut trailers) = trailers.filter(|_| !self.announced.is_empty()) {
                    let names: Vec<HeaderName> = trailers.keys().cloned().collect();
                    for name in names.iter().filter(|name| !self.announced.contains(name)) {
                        trailers.remove(name);
                    }
                    write_fields(to.end(), &trailers, case);
                }
                to.end().extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }
}

/// The trailers that a head announces (RFC 9110 section 6.6.2).
#[cold]
fn announced(head: &HeaderMap) -> Vec<HeaderName> {
    if !head.keys().any(|name| *name == TRAILER) {
        return Vec::new();
    }
    let names = head.get_all(TRAILER).iter().flat_map(members);
    let names = names.filter_map(|name| HeaderName::from_bytes(name).ok());
    names.collect()
}

/// Writes the line before a chunk.
fn write_size(to: &mut Vec<u8>, size: usize) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let digit = (size >> (digit * 4)) & 0xf;
        to.push(b"0123456789abcdef"[digit]);
    }
    to.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::http1::Chunks;

    fn drain(outbox: &mut Outbox) -> Vec<u8> {
        let (slices, _) = outbox.slices();
        let all: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        outbox.advance(all.len());
        all
    }

    fn written(framing: Framing, pieces: &[&'static str]) -> (String, Result<(), TooShort>) {
        let mut encoder = Encoder::new(framing, None);
        let mut outbox = Outbox::default();
        for piece in pieces {
            encoder.write(Bytes::from_static(piece.as_bytes()), &mut outbox);
        }
        let ended = encoder.end(None, Case::Lower, &mut outbox);
        (String::from_utf8(drain(&mut outbox)).unwrap(), ended)
    }

    #[test]
    fn a_body_is_written_as_its_head_says() {
        let body = &["bo", "", "dy and more, so that it has two digits"];
        let is = |text: &str| (text.to_owned(), Ok(()));

        assert_eq!(written(Framing::Nothing, body), is(""));
        assert_eq!(written(Framing::Sized(4), body), is("body"));
        assert_eq!(written(Framing::Sized(2), body), is("bo"));
        assert_eq!(
            written(Framing::Chunked, body),
            is("2\r\nbo\r\n26\r\ndy and more, so that it has two digits\r\n0\r\n\r\n")
        );
        assert_eq!(
            written(Framing::ToTheEnd, body),
            is("body and more, so that it has two digits")
        );
    }

    #[test]
    fn a_body_that_is_too_short_is_told() {
        assert_eq!(written(Framing::Sized(5), &["body"]).1, Err(TooShort));
        assert_eq!(written(Framing::Sized(5), &[]).1, Err(TooShort));
    }

    #[test]
    fn only_trailers_that_were_announced_are_written() {
        let mut head = HeaderMap::new();
        head.insert(TRAILER, HeaderValue::from_static("x-sum, X-Other"));
        let mut trailers = HeaderMap::new();
        for name in ["x-sum", "x-more"] {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        let mut outbox = Outbox::default();

        for head in [Some(&head), Some(&HeaderMap::new()), None] {
            let mut encoder = Encoder::new(Framing::Chunked, head);
            let ended = encoder.end(Some(trailers.clone()), Case::Title, &mut outbox);
            assert_eq!(ended, Ok(()));
        }

        let expected = b"0\r\nX-Sum: 1\r\n\r\n0\r\n\r\n0\r\n\r\n";
        assert_eq!(drain(&mut outbox), expected);
    }

    proptest! {
        #[test]
        fn chunks_that_are_written_can_be_read(pieces in proptest::collection::vec(0..6_000_usize, 0..5)) {
            let mut encoder = Encoder::new(Framing::Chunked, None);
            let (mut outbox, mut expected, mut wire) = (Outbox::default(), Vec::new(), Vec::new());
            for (index, length) in pieces.into_iter().enumerate() {
                let piece = vec![u8::try_from(index).unwrap(); length];
                expected.extend_from_slice(&piece);
                encoder.write(piece.into(), &mut outbox);
                wire.extend(drain(&mut outbox));
            }
            encoder.end(None, Case::Lower, &mut outbox).unwrap();
            wire.extend(drain(&mut outbox));

            let (mut chunks, mut read, mut rest) = (Chunks::of_request(), Vec::new(), wire.as_slice());
            while !chunks.is_over() {
                let taken = chunks.take(rest).unwrap();
                read.extend_from_slice(&rest[taken.framing..taken.framing + taken.data]);
                rest = &rest[taken.framing + taken.data..];
            }
            prop_assert_eq!(read, expected);
            prop_assert!(rest.is_empty());
        }
    }
}
