//! A saved answer: the text of an HTTP response as `curl -i`, a packet capture or an editor leaves it.
//!
//! Lenient where tools differ: bare line feeds, the status lines of HTTP/2 and HTTP/3 (which have none on the wire), interim
//! and redirect heads before the last one, a head without its empty line. A body is taken as it stands, since the tools
//! have undone its transfer coding.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// A saved answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// Its body.
    pub(super) body: Vec<u8>,
}

/// Why a text is not a saved answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It does not begin as an answer does.
    #[error("it does not begin with a status line like `HTTP/1.1 429 Too Many Requests`")]
    NoStatusLine,
    /// The head breaks off or is against the grammar.
    #[error("its head is malformed: {0}")]
    Head(httparse::Error),
    /// More heads than any redirect chain has.
    #[error("it has more than {HEADS_MAX} heads")]
    TooManyHeads,
}

impl Answer {
    /// Reads the last head of the text and what follows it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = bytes.trim_ascii_start();
        for _ in 0..HEADS_MAX {
            let (status, headers, body) = read_head(rest)?;
            if body.starts_with(b"HTTP/") {
                // An interim answer, a proxy's own, or a redirect that was followed: the one that counts comes after.
                rest = body;
                continue;
            }
            return Ok(Self {
                body: cut(&headers, body).to_vec(),
                status,
                headers,
            });
        }
        Err(Malformed::TooManyHeads)
    }
}

/// One head, and what follows it.
fn read_head(bytes: &[u8]) -> Result<(StatusCode, HeaderMap, &[u8]), Malformed> {
    if !bytes.starts_with(b"HTTP/") {
        return Err(Malformed::NoStatusLine);
    }
    let blank = bytes.iter().position(|byte| *byte == b' ');
    let version_end = blank.ok_or(Malformed::NoStatusLine)?;
    let (head, body) = split(&bytes[version_end..]);

    // The version as every parser knows it: tools write `HTTP/2` where there was no status line at all.
    let mut text = b"HTTP/1.1".to_vec();
    text.extend_from_slice(head.trim_ascii_end());
    text.extend_from_slice(b"\r\n\r\n");

    let mut lines = [httparse::EMPTY_HEADER; HEADER_LINES_MAX];
    let mut parsed = httparse::Response::new(&mut lines);
    parsed.parse(&text).map_err(Malformed::Head)?;
    let status = parsed
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or(Malformed::NoStatusLine)?;
    let headers = parsed
        .headers
        .iter()
        .filter_map(|line| {
            let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(line.value).ok()?))
        })
        .collect();
    Ok((status, headers, body))
}

/// Head and body, parted at the first empty line; all is head where there is none.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut line_start = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' {
            if bytes[line_start..index].trim_ascii_end().is_empty() {
                return (&bytes[..line_start], &bytes[index + 1..]);
            }
            line_start = index + 1;
        }
    }
    (bytes, &[])
}

/// The body without the line end that an editor adds, where its length is known.
fn cut<'a>(headers: &HeaderMap, body: &'a [u8]) -> &'a [u8] {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    match length {
        Some(length) if length < body.len() => &body[..length],
        _ => body,
    }
}

/// The most header lines of one head; API Gateway sends about ten.
const HEADER_LINES_MAX: usize = 128;

/// The most heads in one text: curl follows fifty redirects at most, and few people so many.
const HEADS_MAX: usize = 50;
