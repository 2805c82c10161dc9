//! What of the bytes that come over a connection of HTTP/1 is a request's body, and whether that is all of it.

use bytes::Bytes;
use http::HeaderMap;

use crate::http1::{Broken, Chunks, Framing};

/// How far a request's body has come.
#[derive(Debug)]
pub(super) enum Incoming {
    /// It is all there, or there is none.
    Whole,
    /// So many bytes of it are to come.
    Sized(u64),
    /// It comes in chunks. Boxed, since nearly no connection has one on its way.
    Chunked(Box<Chunks>),
    /// Its end is not known, and so nothing behind it is.
    Lost,
}

/// What was found at the front of the bytes that came.
pub(super) struct Found {
    /// How many of them belong to the body and what frames it.
    pub(super) bytes: usize,
    /// What of the body they are.
    pub(super) data: Bytes,
    /// What stands behind it.
    pub(super) trailers: Option<HeaderMap>,
}

impl Incoming {
    /// A body that is framed so, at its first byte.
    pub(super) fn of(framing: Framing) -> Self {
        match framing {
            Framing::Nothing => Self::Whole,
            Framing::Sized(length) => Self::Sized(length),
            Framing::Chunked => Self::Chunked(Box::new(Chunks::of_request())),
            Framing::ToTheEnd => Self::Lost, // no request is
        }
    }

    /// Whether more of it is to come.
    pub(super) fn is_to_come(&self) -> bool {
        matches!(self, Self::Sized(_) | Self::Chunked(_))
    }

    /// How many bytes are to come, where these are many and nothing but the body itself.
    pub(super) fn long_rest(&self) -> Option<usize> {
        match self {
            Self::Sized(left) if *left >= LONG_BYTES => {
                Some(usize::try_from(*left).unwrap_or(usize::MAX))
            }
            _ => None,
        }
    }

    /// So many of those have come.
    pub(super) fn passes(&mut self, bytes: usize) {
        if let Self::Sized(left) = self {
            *left = left.saturating_sub(bytes as u64);
            if *left == 0 {
                *self = Self::Whole;
            }
        }
    }

    /// Takes what belongs to it off the front of these bytes; all of them, unless it is whole then.
    ///
    /// # Errors
    /// When its chunks or its trailers are none; it is lost then.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Found, Broken> {
        let taken = self.try_take(bytes);
        if taken.is_err() {
            *self = Self::Lost;
        }
        taken
    }

    fn try_take(&mut self, bytes: &[u8]) -> Result<Found, Broken> {
        match self {
            Self::Whole | Self::Lost => Ok(Found::nothing()),
            Self::Sized(left) => {
                let here = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.passes(here);
                Ok(Found {
                    bytes: here,
                    data: Bytes::copy_from_slice(&bytes[..here]),
                    trailers: None,
                })
            }
            Self::Chunked(chunks) => {
                let found = Found::in_chunks(chunks, bytes)?;
                if chunks.is_over() {
                    *self = Self::Whole;
                }
                Ok(found)
            }
        }
    }
}

impl Found {
    fn nothing() -> Self {
        Self {
            bytes: 0,
            data: Bytes::new(),
            trailers: None,
        }
    }

    /// The data of all these chunks together.
    fn in_chunks(chunks: &mut Chunks, bytes: &[u8]) -> Result<Self, Broken> {
        let (mut at, mut data) = (0, Vec::new());
        while at < bytes.len() && !chunks.is_over() {
            let taken = chunks.take(&bytes[at..])?;
            at += taken.framing;
            data.extend_from_slice(&bytes[at..at + taken.data]);
            at += taken.data;
        }
        let trailers = if chunks.is_over() {
            chunks.trailers()?
        } else {
            None
        };
        Ok(Self {
            bytes: at,
            data: data.into(),
            trailers,
        })
    }
}

/// Of a rest that is no shorter, what comes is passed on without a copy.
const LONG_BYTES: u64 = 8 << 10;
