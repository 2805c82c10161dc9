//! What is spoiled, and that it does not matter how the bytes are cut.

use proptest::prelude::*;

use super::*;

/// What hyper reads of these bytes when they come in these pieces.
fn read_in(pieces: &[&[u8]]) -> Vec<u8> {
    let mut framing = Framing::new(1024);
    let mut read = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut at = 0;
        while at < piece.len() {
            if framing.waits_for_answers().is_some() {
                framing.goes_on(); // declined
            }
            let looked = framing.look(&mut piece[at..]);
            read.extend(&piece[at..at + looked.now]);
            read.extend(looked.behind);
            at += looked.now;
        }
    }
    read
}

fn is_left_alone(bytes: &[u8]) -> bool {
    read_in(&[bytes]) == bytes
}

const GOOD: &[u8] = b"\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody\
    POST /c HTTP/1.0\nHost: a\nContent-Length: 0\n\n\
    POST /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
    4;a=\"b\r\nbody\r\n00a \t;\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET /e HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /f HTTP/1.1\r\nHost: a\r\nUpgrade: other\r\nContent-Length: 4\r\n\r\nbody\
    GET /g HTTP/1.1\r\nHost: a\r\nupgrade: h2c\r\n\r\nGET /h HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn what_means_one_thing_is_left_alone() {
    assert!(is_left_alone(GOOD));
}

#[test]
fn what_hyper_refuses_by_itself_is_left_to_it() {
    for bytes in [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n anything # \r\n\r\n".as_slice(),
        b"nonsense\r\n\r\nnonsense#\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: +4\r\n\r\n",
    ] {
        assert!(is_left_alone(bytes), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_head_that_never_ends_is_not_kept() {
    let mut framing = Framing::new(1024);

    for _ in 0..1000 {
        let _looked = framing.look(&mut [b'x'; 100]);
    }

    assert!(framing.head.capacity() <= 2048, "{framing:?}");
}

#[test]
fn what_follows_a_wish_to_leave_http_waits_for_the_answer() {
    let asks =
        b"POST / HTTP/1.1\r\nUpgrade: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    let behind = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n";
    let mut bytes = [GOOD, asks, behind].concat();
    let (mut framing, mut at, mut answers) = (Framing::new(1024), 0, Vec::new());

    while let looked = framing.look(&mut bytes[at..])
        && let Some(requests) = framing.waits_for_answers()
    {
        at += looked.now;
        answers.push(requests);
        if bytes[at..] == *behind {
            framing.forget(); // it was a 101
        } else {
            framing.goes_on();
        }
    }

    assert_eq!(answers, [6, 7, 9]);
    assert_eq!(bytes, [GOOD, asks, behind].concat());
}

/// The bytes up to the fault, as they are refused.
#[track_caller]
fn check(before: &[u8], fault: &[u8]) {
    let whole = [before, fault].concat();
    let expected = [&whole[..whole.len() - 1], b"\0\r\n\r\n"].concat();

    assert_eq!(read_in(&[&whole]), expected, "{}", whole.escape_ascii());
}

#[test]
fn a_head_with_two_meanings_is_spoiled_at_its_end() {
    for head in [
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\ntransfer-encoding: chunked\ncontent-length: x\n\n",
        "POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n",
        "GET /a#b HTTP/1.1\r\n\r\n",
    ] {
        check(b"", head.as_bytes());
        check(GOOD, head.as_bytes());
    }
}

#[test]
fn a_body_at_fault_spoils_the_head_that_comes_with_it() {
    let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

    let read = read_in(&[&[head.as_slice(), b"0x4\r\n"].concat()]);

    assert_eq!(read[head.len() - 1], 0);
}

#[test]
fn a_body_at_fault_that_comes_later_is_spoiled_where_it_is() {
    let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n";

    let read = read_in(&[head, b"4;a\0b\r\nbody\r\n"]);

    assert_eq!(&read[head.len()..], b"4;a\nb\r\nbody\r\n");
}

proptest! {
    #[test]
    fn it_does_not_matter_how_good_requests_are_cut(cuts in proptest::collection::vec(0..GOOD.len(), 0..6)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&GOOD[from..cut]);
            from = cut;
        }
        pieces.push(&GOOD[from..]);

        prop_assert_eq!(read_in(&pieces), GOOD);
    }

    #[test]
    fn it_does_not_matter_how_a_head_at_fault_is_cut(cut in 0..GOOD.len() + 40) {
        let fault = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n";
        let whole = [GOOD, fault.as_slice()].concat();
        let (first, second) = whole.split_at(cut);

        let expected = [&whole[..whole.len() - 1], b"\0\r\n\r\n"].concat();
        prop_assert_eq!(read_in(&[first, second]), expected);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::sample::select(b"\r\n :;#0aG/".to_vec()), 0..200)) {
        let body = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _read = read_in(&[body, &bytes]);
        let _read = read_in(&[&bytes, body]);
    }
}
