//! A request's head (RFC 9112 sections 2, 3 and 6).
//!
//! Refused is what another reader on the way might understand otherwise: more than one length, a length beside chunks, a coding
//! behind which the end cannot be found, a fragment in the target, folded lines, bare CRs. Lines that end with LF alone are
//! lines (section 2.2).

use http::{Method, Request, Uri, Version, request};

use super::copied::Copied;
use super::fields::{Said, head_length, is_worth_reading, room, take};
use super::{Framing, Reading, Refusal, TARGET_BYTES_MAX};

/// A request's head, and what it says of what comes behind it.
#[derive(Debug)]
pub struct RequestHead {
    /// Method, target, version and fields.
    pub parts: request::Parts,
    /// How the end of its body is found; never [`Framing::ToTheEnd`].
    pub framing: Framing,
    /// Whether the client will send another request on this connection.
    pub keeps_alive: bool,
    /// Whether the client waits for a go-ahead before it sends the body.
    pub expects_continue: bool,
    /// Whether the connection leaves HTTP if the answer agrees, so that what comes behind may be no request.
    pub asks_to_leave: bool,
    /// Whether the client takes trailers behind its answer.
    pub takes_trailers: bool,
    /// How many bytes it took, empty lines before it included.
    pub bytes: usize,
}

/// Reads a request's head from the front of `bytes`, `known` of which were looked at before in vain. `None` while it is
/// incomplete.
///
/// # Errors
/// When it can be told already that the head is none, is too long, or means more than one thing.
pub fn read_request(
    bytes: &[u8],
    known: usize,
    reading: Reading,
) -> Result<Option<Box<RequestHead>>, Refusal> {
    let mut found = room();
    let mut request = httparse::Request::new(&mut []);
    let parsed = if is_worth_reading(bytes, known) {
        let parsed = request.parse_with_uninit_headers(bytes, &mut found);
        parsed.map_err(refusal)?
    } else {
        httparse::Status::Partial
    };
    let Some(length) = head_length(parsed, bytes.len(), reading)? else {
        return Ok(None);
    };
    let (method, target) = (
        request.method.unwrap_or_default(),
        request.path.unwrap_or_default(),
    );
    if target.len() > TARGET_BYTES_MAX {
        return Err(Refusal::TargetTooLong);
    }
    if memchr::memchr(b'#', target.as_bytes()).is_some() {
        return Err(Refusal::Unreadable("a fragment in the target"));
    }
    let copied = Copied::of(&bytes[..length]);
    let uri = Uri::from_maybe_shared(copied.part(target.as_bytes()));
    let method = Method::from_bytes(method.as_bytes());
    let is_http_11 = request.version == Some(1);

    let (mut parts, ()) = Request::new(()).into_parts();
    let to = (&mut parts.headers, &mut parts.extensions);
    let said = take(&copied, request.headers, reading, ROOM_FIELDS, to)?;
    parts.method = method.map_err(|_| Refusal::Unreadable("a method that is none"))?;
    parts.uri = uri.map_err(|_| Refusal::Unreadable("a target that is none"))?;
    parts.version = if is_http_11 {
        Version::HTTP_11
    } else {
        Version::HTTP_10
    };
    let framing = framing(&said, is_http_11)?;
    // Boxed, since it is handed on several times.
    Ok(Some(Box::new(RequestHead {
        framing,
        keeps_alive: !said.closes && (is_http_11 || said.keeps_alive),
        expects_continue: is_http_11 && said.expects_continue && framing != Framing::Nothing,
        asks_to_leave: is_http_11 && said.upgrades || parts.method == Method::CONNECT,
        takes_trailers: said.takes_trailers,
        bytes: length,
        parts,
    })))
}

/// How many of these bytes are empty lines, which a client may send before a request (RFC 9112 section 2.2).
pub fn empty_lines(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some(behind) = rest
        .strip_prefix(b"\r\n")
        .or_else(|| rest.strip_prefix(b"\n"))
    {
        rest = behind;
    }
    bytes.len() - rest.len()
}

/// How the end of the body is found (RFC 9112 section 6.3), if there is one way only.
fn framing(said: &Said, is_http_11: bool) -> Result<Framing, Refusal> {
    let unclear = |why| Err(Refusal::Unreadable(why));
    match (said.lengths, said.codings) {
        (0, 0) => Ok(Framing::Nothing),
        (1, 0) => match said.length {
            Some(0) => Ok(Framing::Nothing),
            Some(length) => Ok(Framing::Sized(length)),
            None => unclear("a length that is none"),
        },
        (_, 0) => unclear("more than one Content-Length"),
        (0, _) if !is_http_11 => unclear("a Transfer-Encoding in HTTP/1.0"),
        (0, _) if said.ends_chunked => Ok(Framing::Chunked),
        (0, _) => unclear("a Transfer-Encoding that does not end with chunks"),
        _ => unclear("both Content-Length and Transfer-Encoding"),
    }
}

fn refusal(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::TooLarge,
        httparse::Error::Version => Refusal::Unreadable("a version that is none of HTTP/1"),
        httparse::Error::Token => Refusal::Unreadable("a request line that is none"),
        _ => Refusal::Unreadable("a line that cannot be read"),
    }
}

/// Fields that are usually added to a request on its way: `via` and the number of its attempt.
const ROOM_FIELDS: usize = 2;

#[cfg(test)]
#[path = "request/tests.rs"]
mod tests;
