//! The head of an answer over HTTP/1: how the end of its body is told, and whether the connection stays (RFC 9112 sections 6 and 9).

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, request, response};
use http_body::Body;

use crate::http1::{
    AsWritten, Case, Encoder, Framing, Reason, members, number, one_length, status_line,
    write_fields,
};

/// What a client asked, as far as the form of its answer depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    is_head: bool,
    version: Version,
    takes_trailers: bool,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framed {
    version: Version,
    framing: Framing,
    has_trailers: bool,
    /// Whether the connection stays behind it.
    pub(super) stays: bool,
}

/// What an answer's fields say of its body and its connection.
#[derive(Default)]
struct Told {
    /// How many of them say a length, and which the first of them says.
    lengths: usize,
    length: Option<u64>,
    is_coded: bool,
    has_trailers: bool,
    /// Whether there is a `Connection`, and whether it says `close`.
    is_connected: bool,
    closes: bool,
}

impl Told {
    fn by(headers: &HeaderMap) -> Self {
        let mut told = Self::default();
        for (name, value) in headers {
            match *name {
                CONTENT_LENGTH => {
                    told.lengths += 1;
                    told.length = told.length.or_else(|| number(value.as_bytes()));
                }
                TRANSFER_ENCODING | CONNECTION | TRAILER => told.hear_more(name, value),
                _ => {}
            }
        }
        told
    }

    /// What few answers say.
    #[cold]
    fn hear_more(&mut self, name: &HeaderName, value: &HeaderValue) {
        match *name {
            TRANSFER_ENCODING => self.is_coded = true,
            CONNECTION => {
                self.is_connected = true;
                self.closes |= members(value).any(|it| it.eq_ignore_ascii_case(b"close"));
            }
            _ => self.has_trailers = true,
        }
    }
}

impl Asked {
    pub(super) fn of(request: &request::Parts, takes_trailers: bool) -> Self {
        Self {
            is_head: request.method == Method::HEAD,
            version: request.version,
            takes_trailers,
        }
    }

    /// Makes the head say how its body ends, and whether the connection stays, which it does only if it `keeps_alive`.
    pub(super) fn frame<B>(self, head: &mut response::Parts, body: &B, keeps_alive: bool) -> Framed
    where
        B: Body<Data = Bytes>,
    {
        let told = Told::by(&head.headers);
        if told.is_coded {
            head.headers.remove(TRANSFER_ENCODING); // the coding of this hop is ours
        }
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            head.status = StatusCode::INTERNAL_SERVER_ERROR; // it is no answer, and there is no other
        }
        let framing = self.framing(head, body, &told);
        let is_chunked = framing == Framing::Chunked;
        if told.has_trailers && !is_chunked {
            head.headers.remove(TRAILER);
        }
        let stays = keeps_alive && !told.closes && framing != Framing::ToTheEnd;
        if head.status != StatusCode::SWITCHING_PROTOCOLS {
            self.tell(&mut head.headers, stays, &told);
        }
        Framed {
            version: self.version,
            framing,
            has_trailers: told.has_trailers && is_chunked && self.takes_trailers,
            stays,
        }
    }

    /// How the end of the body is told.
    fn framing<B>(self, head: &mut response::Parts, body: &B, told: &Told) -> Framing
    where
        B: Body<Data = Bytes>,
    {
        let headers = &mut head.headers;
        let is_none = head.status.is_informational()
            || matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        if is_none {
            // A 304 may tell the length of what it does not carry, but need not (RFC 9110 section 15.4.5).
            if told.lengths > 0 {
                headers.remove(CONTENT_LENGTH);
            }
            return Framing::Nothing;
        }
        let length = match (told.lengths, told.length) {
            (0, _) => None,
            (1, Some(length)) => Some(length),
            _ => one_length(headers).unwrap_or_else(|_unclear| {
                headers.remove(CONTENT_LENGTH);
                None
            }),
        };
        let exact = || {
            if body.is_end_stream() {
                Some(0)
            } else {
                body.size_hint().exact()
            }
        };
        // What the head says holds: a body that is shorter breaks the connection, and no more than that is sent.
        let framing = match length.map(sized) {
            Some(framing) => framing,
            None => self.untold(headers, exact()),
        };
        if self.is_head {
            Framing::Nothing
        } else {
            framing
        }
    }

    /// How the end of a body is told that the head says nothing of, where its length is known or not.
    fn untold(self, headers: &mut HeaderMap, exact: Option<u64>) -> Framing {
        match exact {
            Some(0) | None if self.is_head => Framing::Nothing,
            Some(exact) => {
                headers.append(CONTENT_LENGTH, exact.into());
                sized(exact)
            }
            None if self.version == Version::HTTP_10 => Framing::ToTheEnd,
            None => {
                headers.append(TRANSFER_ENCODING, CHUNKED);
                Framing::Chunked
            }
        }
    }

    /// Tells the client whether the connection stays, where it would think otherwise.
    fn tell(self, headers: &mut HeaderMap, stays: bool, told: &Told) {
        match (self.version, stays) {
            (Version::HTTP_10, true) if told.is_connected => {
                headers.insert(CONNECTION, KEEP_ALIVE);
            }
            (Version::HTTP_10, true) => {
                headers.append(CONNECTION, KEEP_ALIVE);
            }
            (Version::HTTP_10, false) | (_, true) => {}
            (_, false) if told.closes => {}
            (_, false) => {
                headers.append(CONNECTION, CLOSE);
            }
        }
    }
}

impl Framed {
    /// The head as it is written, in Title-Case if it `is_title`, unless it kept its own.
    pub(super) fn write(self, head: &response::Parts, is_title: bool) -> Vec<u8> {
        let mut written = Vec::with_capacity(HEAD_BYTES);
        status_line(
            &mut written,
            self.version,
            head.status,
            head.extensions.get::<Reason>(),
        );
        let case = match head.extensions.get::<AsWritten>() {
            Some(names) => Case::AsWritten { names, is_title },
            None if is_title => Case::Title,
            None => Case::Lower,
        };
        write_fields(&mut written, &head.headers, case);
        written.extend_from_slice(b"\r\n");
        written
    }

    /// Writes the body behind a head with these fields.
    pub(super) fn encoder(self, fields: &HeaderMap) -> Encoder {
        Encoder::new(self.framing, self.has_trailers.then_some(fields))
    }
}

fn sized(length: u64) -> Framing {
    if length == 0 {
        Framing::Nothing
    } else {
        Framing::Sized(length)
    }
}

const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const KEEP_ALIVE: HeaderValue = HeaderValue::from_static("keep-alive");

/// Room for a head and a small body, so that it is made once.
const HEAD_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use http_body_util::channel::Channel;
    use http_body_util::{Either, Full};

    use super::*;

    /// A body of this length, or of one that nobody knows.
    fn body(length: Option<usize>) -> impl Body<Data = Bytes> {
        match length {
            Some(length) => Either::Left(Full::new(Bytes::from(vec![0; length]))),
            None => Either::Right(Channel::<Bytes, std::convert::Infallible>::new(1).1),
        }
    }

    /// What is written of an answer with this status, these fields and such a body, and how it goes on.
    #[track_caller]
    fn check(
        (method, version): (Method, Version),
        answer: (u16, &[(&str, &str)], Option<usize>),
        expected: (&str, Framing, bool),
    ) {
        let (mut request, ()) = Request::new(()).into_parts();
        (request.method, request.version) = (method, version);
        let (status, fields, length) = answer;
        let (mut head, ()) = Response::builder()
            .status(status)
            .body(())
            .unwrap()
            .into_parts();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            head.headers.append(name, value.parse().unwrap());
        }

        let framed = Asked::of(&request, false).frame(&mut head, &body(length), true);
        let written = framed.write(&head, false);

        let written = String::from_utf8(written).unwrap();
        let (_, fields) = written.trim_end().split_once(' ').unwrap();
        let fields = fields.split_once("\r\n").map_or("", |(_, fields)| fields);
        assert_eq!(
            (fields, framed.framing, framed.stays),
            expected,
            "{answer:?}"
        );
    }

    const GET: (Method, Version) = (Method::GET, Version::HTTP_11);
    const HEAD: (Method, Version) = (Method::HEAD, Version::HTTP_11);
    const OLD: (Method, Version) = (Method::GET, Version::HTTP_10);

    #[test]
    fn a_length_is_told_where_it_is_known_and_chunks_where_not() {
        let nothing = Framing::Nothing;
        check(
            GET,
            (200, &[], Some(4)),
            ("content-length: 4", Framing::Sized(4), true),
        );
        check(
            GET,
            (200, &[], Some(0)),
            ("content-length: 0", nothing, true),
        );
        check(
            GET,
            (200, &[], None),
            ("transfer-encoding: chunked", Framing::Chunked, true),
        );
        check(
            HEAD,
            (200, &[], Some(4)),
            ("content-length: 4", nothing, true),
        );
        check(HEAD, (200, &[], None), ("", nothing, true));
    }

    #[test]
    fn what_the_head_says_holds_if_it_says_one_thing() {
        let said = |length| [("content-length", length)];
        let four = ("content-length: 4", Framing::Sized(4), true);
        let unclear = [said("4")[0], said("5")[0]];

        check(GET, (200, &said("4"), None), four);
        check(GET, (200, &[said("4")[0], said("4")[0]], None), four);
        check(GET, (200, &said("4"), Some(0)), four);
        check(
            HEAD,
            (200, &said("4"), Some(0)),
            ("content-length: 4", Framing::Nothing, true),
        );
        check(
            GET,
            (200, &unclear, None),
            ("transfer-encoding: chunked", Framing::Chunked, true),
        );
        check(GET, (200, &[("transfer-encoding", "gzip")], Some(4)), four);
    }

    #[test]
    fn what_has_no_body_tells_of_none() {
        for status in [204, 304] {
            let said = [("content-length", "4"), ("trailer", "x")];
            check(GET, (status, &said, Some(4)), ("", Framing::Nothing, true));
        }
        check(
            GET,
            (100, &[], Some(0)),
            ("content-length: 0", Framing::Nothing, true),
        );
    }

    #[test]
    fn who_speaks_http_1_0_gets_no_chunks_and_is_told_when_the_connection_stays() {
        let kept = "content-length: 4\r\nconnection: keep-alive";
        check(OLD, (200, &[], Some(4)), (kept, Framing::Sized(4), true));
        let said = [("connection", "x"), ("content-length", "4")];
        let kept = "connection: keep-alive\r\ncontent-length: 4";
        check(OLD, (200, &said, Some(4)), (kept, Framing::Sized(4), true));
        check(
            OLD,
            (200, &[("trailer", "x")], None),
            ("", Framing::ToTheEnd, false),
        );
    }

    #[test]
    fn a_connection_that_ends_says_so_once() {
        let said = [("connection", "close"), ("content-length", "0")];
        let told = (
            "connection: close\r\ncontent-length: 0",
            Framing::Nothing,
            false,
        );

        check(GET, (200, &said, Some(0)), told);
    }
}
