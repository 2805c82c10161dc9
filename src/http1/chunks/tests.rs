//! What is taken as chunks, where they end, and that it does not matter how they are cut.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// The body, its trailers' number, and what comes behind it, if it came in these pieces.
fn read_in(mut chunks: Chunks, pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, Vec<u8>), Broken> {
    let (mut body, mut behind) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            if chunks.is_over() {
                behind.extend_from_slice(rest);
                break;
            }
            let taken = chunks.take(rest)?;
            let data = &rest[taken.framing..];
            body.extend_from_slice(&data[..taken.data]);
            rest = &data[taken.data..];
        }
    }
    if !chunks.is_over() {
        body.extend_from_slice(b"...");
    }
    let trailers = chunks.trailers()?.map_or(0, |trailers| trailers.len());
    Ok((body, trailers, behind))
}

#[track_caller]
fn good(wire: &str, body: &str, trailers: usize) {
    let expected = Ok((body.into(), trailers, b"GET".to_vec()));
    let wire = [wire.as_bytes(), b"GET"].concat();

    for chunks in [Chunks::of_request(), Chunks::of_answer()] {
        assert_eq!(
            read_in(chunks, &[&wire]),
            expected,
            "{}",
            wire.escape_ascii()
        );
    }
}

#[track_caller]
fn bad(wire: &str) {
    for chunks in [Chunks::of_request(), Chunks::of_answer()] {
        let read = read_in(chunks, &[wire.as_bytes()]);
        assert!(read.is_err(), "{wire:?}: {read:?}");
    }
}

#[test]
fn a_body_ends_where_it_says() {
    good("0\r\n\r\n", "", 0);
    good("4\r\nbody\r\n0\r\n\r\n", "body", 0);
    good("00a\r\n0123456789\r\n000\r\n\r\n", "0123456789", 0);
    good("4;a=\"b\r\nbody\r\n2 \t;\r\nis\r\n0;x\r\n\r\n", "bodyis", 0);
    good("1\r\na\r\n0\r\nX-Sum: 1\r\nx-more: 2\r\n\r\n", "a", 2);
}

#[test]
fn what_does_not_belong_into_chunks_breaks_the_body() {
    for wire in [
        "\r\n",
        "g\r\n",
        "0x4\r\nbody",
        "-1\r\n",
        " 4\r\nbody",
        ";\r\n",
        "4\nbody",
        "4\r\nbody\n",
        "4\r\nbodyb",
        "4\r\nbody0\r\n\r\n",
        "4\rbody",
        "4;a\nbody",
        "0\r\n\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX: a\0b\r\n\r\n",
        "00000000000000001\r\na",
        "fffffffffffffffff\r\n",
    ] {
        bad(wire);
    }
}

#[test]
fn a_client_s_chunks_are_taken_to_the_letter_and_an_upstream_is_forgiven() {
    for wire in ["4 \r\nbody\r\n0  \r\n\r\n", "4;a\0b\r\nbody\r\n0\r\n\r\n"] {
        let of_request = read_in(Chunks::of_request(), &[wire.as_bytes()]);
        let of_answer = read_in(Chunks::of_answer(), &[wire.as_bytes()]);

        assert_eq!(of_request, Err(Broken::Byte), "{wire:?}");
        assert_eq!(of_answer, Ok((b"body".to_vec(), 0, Vec::new())), "{wire:?}");
    }
}

#[test]
fn an_answer_may_have_blanks_behind_the_size_of_each_of_its_many_chunks() {
    let chunks = 2 * EXTENSIONS_BYTES_MAX;
    let wire = format!("{}0   \r\n\r\n", "1   \r\na\r\n".repeat(chunks));

    let read = read_in(Chunks::of_answer(), &[wire.as_bytes()]);

    assert_eq!(read, Ok((vec![b'a'; chunks], 0, Vec::new())));
}

#[test]
fn what_nobody_reads_may_not_be_long() {
    let one = |bytes| format!("1;{}\r\na\r\n", "x".repeat(bytes));
    let one_too_long = one(EXTENSION_BYTES_MAX + 1);
    let many = one(EXTENSION_BYTES_MAX).repeat(EXTENSIONS_BYTES_MAX / EXTENSION_BYTES_MAX);
    let trailers = format!("0\r\nX: {}", "y".repeat(TRAILERS_BYTES_MAX));

    for (wire, of_answer) in [(one_too_long, false), (many, true), (trailers, true)] {
        let read = read_in(Chunks::of_request(), &[wire.as_bytes()]);
        assert_eq!(read, Err(Broken::TooLarge));
        let read = read_in(Chunks::of_answer(), &[wire.as_bytes()]);
        assert_eq!(read == Err(Broken::TooLarge), of_answer);
    }
    let many = "x: y\r\n".repeat(FIELDS_MAX + 1);
    bad(&format!("0\r\n{many}\r\n"));
}

const GOOD: &[u8] = b"4;a=\"b\r\nbody\r\n00a \t;\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1";

proptest! {
    #[test]
    fn it_does_not_matter_how_chunks_are_cut(cuts in proptest::collection::vec(0..GOOD.len(), 0..6)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&GOOD[from..cut]);
            from = cut;
        }
        pieces.push(&GOOD[from..]);

        let read = read_in(Chunks::of_request(), &pieces);

        prop_assert_eq!(read, Ok((b"body0123456789".to_vec(), 1, b"GET / HTTP/1.1".to_vec())));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(select(b"\r\n ;:0aG\0".to_vec()), 0..80)) {
        let _read = read_in(Chunks::of_request(), &[&bytes]);
        let _read = read_in(Chunks::of_answer(), &[&bytes]);
    }

    #[test]
    fn what_a_client_may_send_is_read_alike_from_an_upstream(bytes in proptest::collection::vec(select(b"\r\n ;:01a".to_vec()), 0..40)) {
        let of_request = read_in(Chunks::of_request(), &[&bytes]);

        if of_request.is_ok() {
            prop_assert_eq!(read_in(Chunks::of_answer(), &[&bytes]), of_request);
        }
    }
}
