//! What is taken as a request's head, what is refused, and that it does not matter how the bytes are cut.

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::http1::{AsWritten, Case, FIELDS_MAX, request_head, write_fields};

const READING: Reading = Reading {
    head_bytes_max: 8192,
    keeps_case: false,
};

fn read(head: &str) -> Result<Option<Box<RequestHead>>, Refusal> {
    read_request(head.as_bytes(), 0, READING)
}

#[track_caller]
fn taken(head: &str) -> Box<RequestHead> {
    read(head).unwrap().unwrap()
}

#[track_caller]
fn refused(head: &str, status: u16) {
    let refusal = read(head).expect_err(head);

    assert_eq!(refusal.status(), status, "{head:?}: {refusal}");
}

/// A request with these lines.
fn with(lines: &[&str]) -> String {
    format!(
        "POST /a HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n",
        lines.join("\r\n")
    )
}

#[test]
fn a_head_is_taken_over_to_the_byte() {
    let head = "\r\n\nPOST /a//b/..?x=%20+ HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nX-Odd:  1\t \r\ncookie:b=2\n\r\nbody";

    let request = taken(head);

    let parts = request.parts;
    assert_eq!(parts.method, Method::POST);
    assert_eq!(parts.uri.path_and_query().unwrap(), "/a//b/..?x=%20+");
    assert_eq!(parts.version, Version::HTTP_11);
    assert_eq!(parts.headers["x-odd"], "1");
    let cookies: Vec<_> = parts.headers.get_all(COOKIE).iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(request.bytes, head.len() - "body".len());
}

#[test]
fn the_end_of_a_body_is_found_in_one_way() {
    let framing = |lines| taken(&with(lines)).framing;

    assert_eq!(framing(&["X: y"]), Framing::Nothing);
    assert_eq!(framing(&["content-length: 0"]), Framing::Nothing);
    assert_eq!(framing(&["Content-Length:4 "]), Framing::Sized(4));
    assert_eq!(framing(&["Transfer-Encoding: Chunked"]), Framing::Chunked);
    // Its end can be found, whoever may have use for it.
    assert_eq!(
        framing(&["Transfer-Encoding: gzip, chunked"]),
        Framing::Chunked
    );
}

#[test]
fn a_body_whose_end_could_be_found_in_two_ways_is_refused() {
    for lines in [
        ["Content-Length: 4", "Content-Length: 4"],
        ["Content-Length: 4, 4", "X: y"],
        ["Content-Length: +4", "X: y"],
        ["Content-Length: 0x4", "X: y"],
        ["Content-Length: ", "X: y"],
        ["Content-Length: 9223372036854775808", "X: y"],
        ["Content-Length: 4", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 4"],
        ["Transfer-Encoding: gzip", "X: y"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: gzip"],
        ["Transfer-Encoding: xchunked", "X: y"],
        ["Content-Length : 4", "X: y"],
        ["X: y", " folded"],
        ["X: a\rb", "X: y"],
        ["X: a\0b", "X: y"],
    ] {
        refused(&with(&lines), 400);
    }
    refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
}

#[test]
fn what_is_no_request_line_is_refused() {
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /a\x7f HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET /",
        "GET / http/1.1",
        "\rGET / HTTP/1.1",
    ] {
        refused(&format!("{line}\r\nHost: a\r\n\r\n"), 400);
    }
    let not_utf_8 = read_request(b"GET /\xe9 HTTP/1.1\r\n\r\n", 0, READING);
    assert!(not_utf_8.is_err());
}

#[test]
fn what_is_too_long_is_refused_as_soon_as_it_is() {
    refused(&"A".repeat(READING.head_bytes_max), 431);
    refused(&with(&["X: y"; FIELDS_MAX]), 431);
    let long = format!("X: {}", "y".repeat(READING.head_bytes_max));
    refused(&with(&[&long]), 431);
    assert!(read(&with(&["X: y"; FIELDS_MAX - 1])).unwrap().is_some());

    let roomy = Reading {
        head_bytes_max: 128 * 1024,
        ..READING
    };
    let target = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(TARGET_BYTES_MAX));
    let refusal = read_request(target.as_bytes(), 0, roomy).unwrap_err();
    assert_eq!(refusal.status(), 414);
}

#[test]
fn a_connection_goes_on_unless_one_side_wants_its_end() {
    let keeps_alive = |version: &str, options: &str| {
        taken(&format!("GET / {version}\r\nConnection: {options}\r\n\r\n")).keeps_alive
    };

    assert!(keeps_alive("HTTP/1.1", "x"));
    assert!(!keeps_alive("HTTP/1.1", "x, Close"));
    assert!(!keeps_alive("HTTP/1.1", "close\r\nConnection: keep-alive"));
    assert!(!keeps_alive("HTTP/1.0", "x"));
    assert!(keeps_alive("HTTP/1.0", "Keep-Alive"));
    assert!(!keeps_alive("HTTP/1.0", "keep-alive, close"));
}

#[test]
fn what_only_the_connection_has_to_hear_is_not_kept() {
    let connection = |options: &[&str]| {
        let lines: Vec<_> = options
            .iter()
            .map(|it| format!("Connection: {it}"))
            .collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let head = taken(&with(&lines));
        let left = head.parts.headers.get_all(CONNECTION).iter();
        (left.cloned().collect::<Vec<_>>(), head.keeps_alive)
    };

    assert_eq!(connection(&["Keep-Alive"]), (vec![], true));
    let others = ["close", "keep-alive, te"];
    let both = connection(&[others[0], "keep-alive", others[1]]);
    assert_eq!(both, (others.map(|it| it.parse().unwrap()).to_vec(), false));
}

#[test]
fn a_go_ahead_is_waited_for_only_where_there_is_a_body() {
    let expects = |lines| taken(&with(lines)).expects_continue;

    assert!(expects(&["Expect: 100-Continue", "Content-Length: 4"]));
    assert!(!expects(&["Expect: 100-continue", "Content-Length: 0"]));
    assert!(!expects(&["Expect: gold", "Content-Length: 4"]));
    let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    assert!(!taken(old).expects_continue);
}

#[test]
fn who_asks_to_leave_http_is_known() {
    assert!(taken(&with(&["Upgrade: other"])).asks_to_leave);
    assert!(taken("CONNECT a:1 HTTP/1.1\r\n\r\n").asks_to_leave);
    assert!(!taken(&with(&["X-Upgrade: other"])).asks_to_leave);
    assert!(!taken("GET / HTTP/1.0\r\nUpgrade: other\r\n\r\n").asks_to_leave);
}

#[test]
fn names_are_kept_as_they_came_where_that_is_wanted() {
    let reading = Reading {
        keeps_case: true,
        ..READING
    };
    let head = b"GET / HTTP/1.1\r\nHOST: a\r\nX-oDD: 1\r\nx-Odd: 2\r\n\r\n";

    let parts = read_request(head, 0, reading).unwrap().unwrap().parts;

    let names = parts.extensions.get::<AsWritten>().unwrap();
    let (mut written, is_title) = (Vec::new(), false);
    request_head(&mut written, &parts.method, "/");
    write_fields(
        &mut written,
        &parts.headers,
        Case::AsWritten { names, is_title },
    );
    assert_eq!([&written, b"\r\n".as_slice()].concat(), head);
    assert!(taken(&with(&["X: y"])).parts.extensions.is_empty());
}

#[test]
fn empty_lines_are_counted() {
    assert_eq!(empty_lines(b"\r\n\n\r\nGET"), 5);
    assert_eq!(empty_lines(b"\r\r\n"), 0);
    assert_eq!(empty_lines(b"\r"), 0);
}

/// What a head says, in words that can be compared.
fn said(read: Result<Option<Box<RequestHead>>, Refusal>) -> String {
    match read {
        Err(refusal) => refusal.status().to_string(),
        Ok(None) => "incomplete".into(),
        Ok(Some(head)) => {
            let RequestHead {
                framing,
                keeps_alive,
                asks_to_leave,
                bytes,
                parts,
                ..
            } = *head;
            format!(
                "{framing:?} {keeps_alive} {asks_to_leave} {bytes} {:?} {:?}",
                parts.uri, parts.headers
            )
        }
    }
}

/// Heads, most of them good ones.
fn heads() -> impl Strategy<Value = String> {
    let first = select(vec![
        "GET / HTTP/1.1",
        "POST /a HTTP/1.0",
        "\r\nGET / HTTP/1.1",
        "GET /#a HTTP/1.1",
        "GET /",
        "GET /a b HTTP/1.1",
    ]);
    let name = select(vec![
        "Content-Length",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "Upgrade",
        "Host",
        "Cookie",
        "T",
        "X ",
    ]);
    let value = select(vec![
        "0", "1", "12 ", "+1", "chunked", "close", "", "a:b", "1\r",
    ]);
    let field = (name, select(vec![":", ": ", ":\t"]), value);
    let end = || select(vec!["\r\n", "\r\n", "\n"]);
    let fields = proptest::collection::vec((field, end()), 0..5);
    (first, end(), fields, end()).prop_map(|(first, first_end, fields, end)| {
        let mut head = format!("{first}{first_end}");
        for ((name, colon, value), end) in fields {
            head.push_str(&format!("{name}{colon}{value}{end}"));
        }
        head + end
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn it_does_not_matter_how_a_head_is_cut(head in heads(), cuts in proptest::collection::vec(1..60_usize, 0..4)) {
        let (mut there, mut known) = (0, 0);
        let whole = said(read(&head));
        let mut cuts = cuts.into_iter();
        let in_pieces = loop {
            there = cuts.next().map_or(head.len(), |cut| (there + cut).min(head.len()));
            let read = read_request(&head.as_bytes()[..there], known, READING);
            match said(read) {
                text if text != "incomplete" || there == head.len() => break text,
                _ => known = there,
            }
        };

        prop_assert_eq!(in_pieces, whole);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(select(b"\r\n :#aG/1.HTP".to_vec()), 0..60), known in 0..60_usize) {
        let _read = read_request(&bytes, known, READING);
        let _counted = empty_lines(&bytes);
    }

    #[test]
    fn what_was_written_is_read_again(value in "[!-~]([ -~]{0,20}[!-~])?") {
        let mut written = Vec::new();
        let mut headers = http::HeaderMap::new();
        headers.insert("x-odd", value.parse().unwrap());
        headers.insert(CONTENT_LENGTH, 7.into());
        headers.insert(CONNECTION, "close".parse().unwrap());
        request_head(&mut written, &Method::PUT, "/a?b");
        write_fields(&mut written, &headers, Case::Title);
        written.extend_from_slice(b"\r\n");

        let head = read_request(&written, 0, READING).unwrap().unwrap();

        prop_assert_eq!(&head.parts.headers, &headers);
        prop_assert_eq!((head.framing, head.keeps_alive), (Framing::Sized(7), false));
    }
}
