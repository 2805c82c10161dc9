//! Which answers can be believed, and whether the connection that they came on can.
//!
//! hyper forgives more in an answer than may be passed on: a coding that it does not undo, a length beside chunks, one
//! length twice. What reaches the client has one framing, and what the upstream may understand otherwise than hyper ends
//! its connection.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};

use super::http2::HEADER_BYTES_MAX;
use crate::retry::fields::present;

/// Whether a connection carries another request after this answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Yes,
    No,
}

/// The body's length, or its end, can be read in more than one way; or the head is longer than [`HEADER_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit;

/// Gives the answer one framing.
pub(super) fn settle<B>(method: &Method, answer: &mut Response<B>) -> Result<Keep, Unfit> {
    let version = answer.version();
    if header_bytes(answer.headers()) > HEADER_BYTES_MAX as usize {
        return Err(Unfit);
    }
    let [has_length, is_coded] = present(answer.headers(), &FRAMING);
    if has_length {
        one_length(answer.headers_mut())?;
    }
    if version == Version::HTTP_2 {
        return Ok(Keep::Yes); // frames, and nothing else to frame by
    }
    let has_body = *method != Method::HEAD
        && !matches!(
            answer.status(),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
    let headers = answer.headers_mut();
    if is_coded && has_body {
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        let is_chunked = |it: &HeaderValue| it.as_bytes().eq_ignore_ascii_case(b"chunked");
        // Any other coding would be lost on the client, as it is named for this hop only.
        if !codings.next().is_some_and(is_chunked) || codings.next().is_some() {
            return Err(Unfit);
        }
        // RFC 9112 section 6.3: chunks win over a length, which must not go on.
        if headers.remove(CONTENT_LENGTH).is_some() {
            return Ok(Keep::No);
        }
    }
    // hyper would speak HTTP/1.0 on this connection from now on, and drop every body that comes in chunks.
    Ok(if version < Version::HTTP_11 {
        Keep::No
    } else {
        Keep::Yes
    })
}

/// How long the fields are, as HTTP/2 counts it (RFC 9113, section 6.5.2). h2 looks at that itself; hyper's limit for HTTP/1 is that
/// of a buffer, which may hold more or less of a head.
fn header_bytes(headers: &HeaderMap) -> usize {
    let fields = headers.iter();
    let lengths = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
    lengths.sum()
}

/// One length, also where it is said more than once.
fn one_length(headers: &mut HeaderMap) -> Result<(), Unfit> {
    let mut said = headers.get_all(CONTENT_LENGTH).iter();
    match (said.next(), said.next()) {
        (None, _) => return Ok(()),
        (Some(once), None) if is_number(once.as_bytes()) => return Ok(()),
        _ => {}
    }
    let mut lengths = Vec::new();
    for value in headers.get_all(CONTENT_LENGTH) {
        lengths.extend(value.as_bytes().split(|byte| *byte == b','));
    }
    let mut lengths = lengths.into_iter().map(<[u8]>::trim_ascii);
    let Some(first) = lengths.next() else {
        return Ok(());
    };
    if !is_number(first) || lengths.any(|length| length != first) {
        return Err(Unfit);
    }
    let first = HeaderValue::from_bytes(first).map_err(|_| Unfit)?;
    headers.insert(CONTENT_LENGTH, first);
    Ok(())
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

static FRAMING: [HeaderName; 2] = [CONTENT_LENGTH, TRANSFER_ENCODING];

/// What each field counts beside its name and value.
const FIELD_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: Result<Keep, Unfit>, length: Option<&str>) {
        let builder = headers
            .iter()
            .fold(Response::builder(), |builder, (name, value)| {
                builder.header(*name, *value)
            });
        let mut answer = builder.body(()).unwrap();

        let kept = settle(&Method::GET, &mut answer);

        assert_eq!(kept, expected, "{headers:?}");
        if kept.is_ok() {
            let lengths: Vec<_> = answer.headers().get_all(CONTENT_LENGTH).iter().collect();
            assert_eq!(lengths, Vec::from_iter(length), "{headers:?}");
        }
    }

    #[test]
    fn one_framing_passes() {
        check(&[("content-length", "4")], Ok(Keep::Yes), Some("4"));
        check(&[("transfer-encoding", "Chunked")], Ok(Keep::Yes), None);
        check(&[], Ok(Keep::Yes), None);
    }

    #[test]
    fn a_length_said_twice_is_said_once() {
        check(&[("content-length", "4, 4")], Ok(Keep::Yes), Some("4"));
        check(
            &[("content-length", "4"), ("content-length", "4")],
            Ok(Keep::Yes),
            Some("4"),
        );
    }

    #[test]
    fn a_length_beside_chunks_is_dropped_and_the_connection_with_it() {
        check(
            &[("content-length", "4"), ("transfer-encoding", "chunked")],
            Ok(Keep::No),
            None,
        );
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_no_answer() {
        for headers in [
            [("content-length", "4"), ("content-length", "5")],
            [("content-length", "4"), ("content-length", "+4")],
            [
                ("transfer-encoding", "gzip"),
                ("transfer-encoding", "chunked"),
            ],
            [("transfer-encoding", "gzip, chunked"), ("x", "y")],
            [("transfer-encoding", "identity"), ("content-length", "4")],
        ] {
            check(&headers, Err(Unfit), None);
        }
    }

    #[test]
    fn an_answer_in_frames_has_one_length_all_the_same() {
        let mut answer = Response::new(());
        *answer.version_mut() = Version::HTTP_2;
        let length = |length| HeaderValue::from_static(length);
        answer.headers_mut().insert(CONTENT_LENGTH, length("4"));
        let one = settle(&Method::GET, &mut answer);
        answer.headers_mut().append(CONTENT_LENGTH, length("5"));
        let two = settle(&Method::GET, &mut answer);

        assert_eq!((one, two), (Ok(Keep::Yes), Err(Unfit)));
    }

    #[test]
    fn an_upstream_of_http_1_0_is_given_a_new_connection_each_time() {
        let mut answer = Response::new(());
        *answer.version_mut() = Version::HTTP_10;

        assert_eq!(settle(&Method::GET, &mut answer), Ok(Keep::No));
    }
}
