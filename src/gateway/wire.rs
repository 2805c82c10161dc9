//! HTTP/1.1 requests off a byte stream: heads, and bodies that are weighed and dropped.
//!
//! Hand-written over `httparse`, so that the gateway shares no framing code with the client that it judges. Strict where
//! leniency would hide a client's fault: a request framed in two ways is refused. Nothing of a body is kept.

use std::io;

use bytes::{Buf, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A stream, and what was read of it ahead of its use.
#[derive(Debug)]
pub(super) struct Wire<S> {
    pub(super) stream: S,
    ahead: BytesMut,
}

/// What a request's head says, as far as the gateway needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    /// The request target as it came, query included.
    pub(super) target: String,
    /// How many header lines there were.
    pub(super) headers: usize,
    pub(super) framing: Framing,
    /// Whether the client wants the connection to go on.
    pub(super) keep_alive: bool,
    /// Whether the client may hold its body back until told to go on.
    pub(super) expects_continue: bool,
}

/// How a request's body is told from what follows it (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes; 0 where there is no body.
    Sized(u64),
    /// Chunks until an empty one.
    Chunked,
}

/// A body's weight: how many bytes it had, and their FNV-1a hash of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) bytes: u64,
    pub(super) fnv1a: u64,
}

/// Why a request could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// The stream failed or ended in the middle.
    #[error("the stream broke off")]
    Broken(#[from] io::Error),
    /// What came is no request; the status says what was wrong with it.
    #[error("answered {0}")]
    Refused(StatusCode),
    /// The body is over the limit.
    #[error("the body is over the limit")]
    TooLarge,
}

impl<S: AsyncRead + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            ahead: BytesMut::new(),
        }
    }

    /// Waits until something is there to read; false at the stream's end. Loses nothing when cancelled.
    pub(super) async fn ready(&mut self) -> io::Result<bool> {
        if self.ahead.is_empty() {
            self.ahead.reserve(READ_BYTES);
            return Ok(self.stream.read_buf(&mut self.ahead).await? > 0);
        }
        Ok(true)
    }

    /// Reads a head.
    pub(super) async fn head(&mut self) -> Result<Head, Unreadable> {
        loop {
            if let Some((length, head)) = parse(&self.ahead)? {
                self.ahead.advance(length);
                return Ok(head);
            }
            if self.ahead.len() >= HEAD_BYTES_MAX {
                return Err(Unreadable::Refused(
                    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                ));
            }
            self.more().await?;
        }
    }

    /// Reads a body of at most `bytes_max` to its end.
    pub(super) async fn body(
        &mut self,
        framing: Framing,
        bytes_max: u64,
    ) -> Result<Weight, Unreadable> {
        let mut weight = Weight::ZERO;
        match framing {
            Framing::Sized(length) if length > bytes_max => return Err(Unreadable::TooLarge),
            Framing::Sized(length) => self.weigh(length, &mut weight).await?,
            Framing::Chunked => loop {
                let size = chunk_size(&self.line().await?)?;
                if size == 0 {
                    self.trailers().await?;
                    break;
                }
                if size > bytes_max - weight.bytes {
                    return Err(Unreadable::TooLarge);
                }
                self.weigh(size, &mut weight).await?;
                if !self.line().await?.is_empty() {
                    return Err(Unreadable::Refused(StatusCode::BAD_REQUEST));
                }
            },
        }
        Ok(weight)
    }

    /// Reads and drops until the stream's end, or until `bytes_max` have come.
    pub(super) async fn discard(&mut self, bytes_max: u64) -> io::Result<()> {
        let mut dropped = 0;
        while dropped < bytes_max {
            dropped += u64::try_from(self.ahead.len()).unwrap_or(u64::MAX);
            self.ahead.clear();
            if !self.ready().await? {
                break;
            }
        }
        Ok(())
    }

    async fn weigh(&mut self, length: u64, weight: &mut Weight) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            if self.ahead.is_empty() {
                self.more().await?;
            }
            let part = usize::try_from(left).map_or(self.ahead.len(), |l| l.min(self.ahead.len()));
            weight.add(&self.ahead[..part]);
            self.ahead.advance(part);
            left -= u64::try_from(part).unwrap_or(left);
        }
        Ok(())
    }

    /// Trailer lines are read and dropped.
    async fn trailers(&mut self) -> Result<(), Unreadable> {
        for _ in 0..HEADERS_MAX {
            if self.line().await?.is_empty() {
                return Ok(());
            }
        }
        Err(Unreadable::Refused(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ))
    }

    /// One line of a chunked body, without its end.
    async fn line(&mut self) -> Result<BytesMut, Unreadable> {
        loop {
            if let Some(end) = self.ahead.iter().position(|byte| *byte == b'\n') {
                let mut line = self.ahead.split_to(end + 1);
                return match line.strip_suffix(b"\r\n").map(<[u8]>::len) {
                    Some(length) if length <= LINE_BYTES_MAX => {
                        line.truncate(length);
                        Ok(line)
                    }
                    _ => Err(Unreadable::Refused(StatusCode::BAD_REQUEST)),
                };
            }
            if self.ahead.len() > LINE_BYTES_MAX {
                return Err(Unreadable::Refused(StatusCode::BAD_REQUEST));
            }
            self.more().await?;
        }
    }

    /// Reads something; the stream's end is an error here.
    async fn more(&mut self) -> io::Result<()> {
        self.ahead.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.ahead).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Weight {
    const ZERO: Self = Self {
        bytes: 0,
        fnv1a: 0xcbf2_9ce4_8422_2325,
    };

    fn add(&mut self, part: &[u8]) {
        self.bytes += u64::try_from(part.len()).unwrap_or(u64::MAX);
        for byte in part {
            self.fnv1a = (self.fnv1a ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// The head at the start of `bytes` and its length, if it is all there.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Head)>, Unreadable> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_BYTES_MAX => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(_)) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Unreadable::Refused(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            ));
        }
        Err(_) => return Err(Unreadable::Refused(StatusCode::BAD_REQUEST)),
    };
    let newest = request.version == Some(1);
    let says = |name, token| {
        values(request.headers, name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(token))
    };
    let head = Head {
        method: request.method.unwrap_or_default().into(),
        target: request.path.unwrap_or_default().into(),
        headers: request.headers.len(),
        framing: framing(request.headers, newest)
            .ok_or(Unreadable::Refused(StatusCode::BAD_REQUEST))?,
        keep_alive: if newest {
            !says("connection", b"close")
        } else {
            says("connection", b"keep-alive")
        },
        expects_continue: newest && says("expect", b"100-continue"),
    };
    // A 200 to CONNECT would promise a tunnel.
    if head.method == "CONNECT" {
        return Err(Unreadable::Refused(StatusCode::METHOD_NOT_ALLOWED));
    }
    Ok(Some((length, head)))
}

/// How the body is framed, or nothing where two readers could disagree about it.
fn framing(headers: &[httparse::Header<'_>], newest: bool) -> Option<Framing> {
    let mut codings = values(headers, "transfer-encoding");
    let mut lengths = values(headers, "content-length");
    match (codings.next(), lengths.next()) {
        (None, None) => Some(Framing::Sized(0)),
        (Some(coding), None) => {
            let sound = newest && codings.next().is_none();
            (sound && coding.eq_ignore_ascii_case(b"chunked")).then_some(Framing::Chunked)
        }
        (None, Some(length)) => {
            let alone = lengths.all(|other| other == length);
            (alone && length.iter().all(u8::is_ascii_digit))
                .then(|| str::from_utf8(length).ok()?.parse().ok())
                .flatten()
                .map(Framing::Sized)
        }
        (Some(_), Some(_)) => None,
    }
}

fn values<'a>(
    headers: &'a [httparse::Header<'a>],
    name: &'static str,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// The size in a chunk's first line; extensions are ignored.
fn chunk_size(line: &[u8]) -> Result<u64, Unreadable> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits = digits.trim_ascii_end();
    let sound = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    sound
        .then(|| u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok())
        .flatten()
        .ok_or(Unreadable::Refused(StatusCode::BAD_REQUEST))
}

/// The most bytes of a head; more is answered 431. Three times what API Gateway allows for all header values together.
pub(super) const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The most header or trailer lines; more is answered 431.
const HEADERS_MAX: usize = 128;
/// The most bytes of a chunk's first line or a trailer line; more is answered 400.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// How much is read ahead at a time. What is held of a connection never exceeds this and the larger of the two above.
const READ_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
