//! Any bytes of a connection, cut anywhere: what means one thing is read, and what means two is refused where that shows.

use redrive::http1::{Broken, Chunks, Framing, Reading, Refusal, empty_lines, read_request};

use super::reference::{self, End};

pub fn holds(bytes: &[u8]) {
    // The first byte says how the bytes are cut, and whether a wish to leave HTTP is granted.
    let Some((choice, sent)) = bytes.split_first() else {
        return;
    };
    let switches = choice & 1 == 1;
    let cut = match usize::from(choice >> 1) {
        0 => usize::MAX,
        cut => cut,
    };

    let read = read(sent, cut, switches);

    if self::read(sent, usize::MAX, switches).is_ok() {
        assert_eq!(read, Ok(()), "cut at {cut}");
    }
    let reading = reference::read(sent, switches);
    if let Err(refused) = &read {
        assert!(refused.start >= reading.start, "{reading:?}: {refused:?}");
    }
    match reading.end {
        End::Good => {
            let is_good = read.map_or_else(|refused| refused.is_elsewhere(), |()| true);
            assert!(is_good, "{reading:?}");
        }
        End::Fault(at) => {
            let refused = self::read(&sent[..=at], cut, switches);
            assert!(refused.is_err(), "{reading:?}: read on");
        }
        End::NoOpinion => {}
    }
}

/// What ended the reading.
#[derive(Debug, PartialEq, Eq)]
struct Refused {
    /// Where the request begins.
    start: usize,
    why: Why,
}

#[derive(Debug, PartialEq, Eq)]
enum Why {
    Head(Refusal),
    Body(Broken),
}

impl Refused {
    /// Whether it is for what the reference does not look at.
    fn is_elsewhere(&self) -> bool {
        matches!(
            self.why,
            Why::Head(Refusal::Unreadable("a target that is none")) | Why::Body(Broken::Trailers)
        )
    }
}

/// What the next byte belongs to.
enum Stage {
    /// A head, of which so many bytes were looked at.
    Head(usize),
    Sized(u64),
    Chunked(Chunks),
}

/// Reads requests that come in pieces of this size.
fn read(sent: &[u8], cut: usize, switches: bool) -> Result<(), Refused> {
    let reading = Reading {
        head_bytes_max: sent.len() + 1,
        keeps_case: false,
    };
    let (mut start, mut at, mut there) = (0, 0, 0);
    let mut stage = Stage::Head(0);
    while there < sent.len() {
        there = there.saturating_add(cut).min(sent.len());
        while at < there {
            let bytes = &sent[at..there];
            match &mut stage {
                Stage::Head(known) => {
                    let skipped = if *known == 0 { empty_lines(bytes) } else { 0 };
                    at += skipped;
                    let bytes = &bytes[skipped..];
                    if matches!(bytes, b"" | b"\r") {
                        break;
                    }
                    let head = read_request(bytes, *known, reading);
                    let refused = |why| Refused {
                        start,
                        why: Why::Head(why),
                    };
                    let Some(head) = head.map_err(refused)? else {
                        *known = bytes.len();
                        break;
                    };
                    if head.asks_to_leave && switches {
                        return Ok(());
                    }
                    at += head.bytes;
                    stage = match head.framing {
                        Framing::Nothing => Stage::Head(0),
                        Framing::Sized(length) => Stage::Sized(length),
                        Framing::Chunked => Stage::Chunked(Chunks::of_request()),
                        Framing::ToTheEnd => unreachable!("a request has an end"),
                    };
                }
                Stage::Sized(left) => {
                    let all = usize::try_from(*left).unwrap_or(usize::MAX);
                    let here = bytes.len().min(all);
                    *left -= here as u64;
                    at += here;
                    if *left == 0 {
                        stage = Stage::Head(0);
                    }
                }
                Stage::Chunked(chunks) => {
                    let refused = |why| Refused {
                        start,
                        why: Why::Body(why),
                    };
                    let taken = chunks.take(bytes).map_err(refused)?;
                    at += taken.framing + taken.data;
                    if chunks.is_over() {
                        chunks.trailers().map_err(refused)?;
                        stage = Stage::Head(0);
                    }
                }
            }
            if matches!(stage, Stage::Head(0)) {
                start = at;
            }
        }
    }
    Ok(())
}
