//! Which requests are fit to be forwarded: one meaning for everybody on the way, or none.
//!
//! What is not HTTP is no request, and never comes here; this refuses what is HTTP with two meanings. What is refused here
//! reaches no upstream, costs no budget, and closes the connection, since the next bytes on it may not be where we think they
//! are.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, VIA};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, Request, Version};

use super::error::Error;
use super::host_port::HostPort;
use crate::retry::fields::present;

/// What follows from looking at a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screened {
    /// It goes on.
    Forward,
    /// `OPTIONS *`: answered here, since it asks about no upstream resource.
    Options,
}

/// Looks at a request's head.
///
/// # Errors
/// When the request must not be forwarded: see [`Error`] for the kinds.
pub fn screen<B>(request: &Request<B>) -> Result<Screened, Error> {
    if request.method() == Method::CONNECT {
        return Err(Error::Connect);
    }
    if request.headers().len() > FIELDS_MAX {
        return Err(Error::TooManyFields);
    }
    let [is_coded, has_length, has_passed] = present(request.headers(), &TOLD);
    if is_coded || has_length {
        framing(request.headers(), request.version())?;
    }
    host(request)?;
    if has_passed && passed_before(request.headers()) >= LOOPS_MAX {
        return Err(Error::Loop);
    }
    match request.uri().path() {
        "*" if request.method() == Method::OPTIONS => Ok(Screened::Options),
        path if path.starts_with('/') => Ok(Screened::Forward),
        _ => Err(Error::Malformed(
            "the request target does not start with a slash",
        )),
    }
}

/// RFC 9112 section 6: one framing, and only one that we understand to the end.
fn framing(headers: &HeaderMap, version: Version) -> Result<(), Error> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Error::TransferCoding);
        }
        if version < Version::HTTP_11 {
            return Err(Error::Malformed("Transfer-Encoding in an HTTP/1.0 request"));
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return Err(Error::Malformed(
                "both Content-Length and Transfer-Encoding",
            ));
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (Some(_), Some(_)) => Err(Error::Malformed("more than one Content-Length")),
        (Some(length), None) if !is_number(length.as_bytes()) => {
            Err(Error::Malformed("Content-Length is not a number"))
        }
        _ => Ok(()),
    }
}

/// Whether these are digits alone, of a number that 64 bits hold.
fn is_number(length: &[u8]) -> bool {
    let digits = std::str::from_utf8(length).unwrap_or_default();
    digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u64>().is_ok()
}

/// RFC 9112 section 3.2: exactly one well-formed Host, in every HTTP/1.1 request. HTTP/2 names it in `:authority`, which has
/// no user, and with which a Host, too, must agree (RFC 9113 section 8.3.1); HTTP/1.0 may leave it out.
fn host<B>(request: &Request<B>) -> Result<(), Error> {
    let is_http2 = request.version() == Version::HTTP_2;
    let authority = request.uri().authority().filter(|_| is_http2);
    let named = authority.map(Authority::as_str);
    if named.is_some_and(|named| HostPort::read(named).is_none()) {
        return Err(Error::Malformed(":authority is not a host and port"));
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    if more.is_some() {
        return Err(Error::Malformed("more than one Host"));
    }
    let Some(host) = host else {
        let is_due = match request.version() {
            Version::HTTP_2 => named.is_none(),
            Version::HTTP_10 => false,
            _ => true, // also beside a target that names an authority itself
        };
        return if is_due {
            Err(Error::Malformed("no Host"))
        } else {
            Ok(())
        };
    };
    let host = host.to_str().ok();
    let Some(host) = host.filter(|host| HostPort::read(host).is_some()) else {
        return Err(Error::Malformed("Host is not a host and port"));
    };
    match named {
        Some(named) if !named.eq_ignore_ascii_case(host) => {
            Err(Error::Malformed("Host and :authority differ"))
        }
        _ => Ok(()),
    }
}

/// How often the request passed through a redrive already, as `Via` tells (RFC 9110 section 7.6.3).
fn passed_before(headers: &HeaderMap) -> usize {
    let entries = headers
        .get_all(VIA)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    entries
        .filter(|entry| entry.split_whitespace().nth(1) == Some("redrive"))
        .count()
}

/// What little of a head there is to look at, besides its host.
static TOLD: [HeaderName; 3] = [TRANSFER_ENCODING, CONTENT_LENGTH, VIA];

/// The most header fields of a request; one with more is answered 431. No more are read over HTTP/1, and as many as fit
/// into `client.header_bytes` over HTTP/2.
const FIELDS_MAX: usize = 100;

/// One redrive before another is a set-up; a third pass is a circle.
const LOOPS_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::builder().uri("/path");
        headers
            .iter()
            .fold(builder, |builder, (name, value)| {
                builder.header(*name, *value)
            })
            .body(())
            .unwrap()
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: Result<Screened, StatusCode>) {
        let screened = screen(&request(headers)).map_err(|error| error.status());

        assert_eq!(screened, expected, "{headers:?}");
    }

    #[test]
    fn a_request_with_one_host_and_one_framing_goes_on() {
        check(&[("host", "api.example")], Ok(Screened::Forward));
        check(
            &[("host", "api.example:8080"), ("content-length", "0")],
            Ok(Screened::Forward),
        );
        check(&[("host", "a:")], Ok(Screened::Forward));
        check(
            &[("host", "[::1]:80"), ("transfer-encoding", "Chunked")],
            Ok(Screened::Forward),
        );
    }

    #[test]
    fn a_host_that_is_missing_doubled_or_no_host_is_refused() {
        let refused = Err(StatusCode::BAD_REQUEST);
        check(&[], refused);
        check(&[("host", "a"), ("host", "a")], refused);
        check(&[("host", "")], refused);
        check(&[("host", "a b")], refused);
        check(&[("host", "user@a")], refused);
        check(&[("host", "a/b")], refused);
        check(&[("host", "a:b")], refused);
        check(&[("host", "a:65536")], refused);
        check(&[("host", "a:+80")], refused);
        check(&[("host", "[::1]x")], refused);
        check(&[("host", ":80")], refused);
    }

    #[test]
    fn a_framing_with_two_meanings_is_refused() {
        let host = ("host", "a");
        let not_implemented = Err(StatusCode::NOT_IMPLEMENTED);
        check(
            &[host, ("transfer-encoding", "gzip, chunked")],
            not_implemented,
        );
        check(
            &[
                host,
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
            not_implemented,
        );
        check(&[host, ("transfer-encoding", "identity")], not_implemented);
        check(
            &[
                host,
                ("transfer-encoding", "chunked"),
                ("content-length", "1"),
            ],
            Err(StatusCode::BAD_REQUEST),
        );
        check(
            &[host, ("content-length", "1"), ("content-length", "1")],
            Err(StatusCode::BAD_REQUEST),
        );
        for length in ["", "+1", "1 ", "0x1", "18446744073709551616"] {
            check(
                &[host, ("content-length", length)],
                Err(StatusCode::BAD_REQUEST),
            );
        }
    }

    #[test]
    fn a_second_redrive_is_a_set_up_and_a_third_pass_a_circle() {
        check(
            &[("host", "a"), ("via", "1.1 redrive")],
            Ok(Screened::Forward),
        );
        check(
            &[
                ("host", "a"),
                ("via", "1.1 proxy, 1.1 redrive"),
                ("via", "1.1 redrive"),
            ],
            Err(StatusCode::LOOP_DETECTED),
        );
    }

    #[test]
    fn a_tunnel_is_refused_and_options_for_the_server_is_answered() {
        let connect = Request::builder()
            .method(Method::CONNECT)
            .uri("a:443")
            .body(())
            .unwrap();
        let options = Request::builder()
            .method(Method::OPTIONS)
            .uri("*")
            .header("host", "a")
            .body(())
            .unwrap();

        assert_eq!(
            screen(&connect).unwrap_err().status(),
            StatusCode::METHOD_NOT_ALLOWED
        );
        assert_eq!(screen(&options).unwrap(), Screened::Options);
    }
}
