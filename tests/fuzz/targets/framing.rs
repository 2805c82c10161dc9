//! Any bytes of a connection, cut anywhere: what means one thing is left alone, and what means two is spoiled where it stands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redrive::server::framing::Framing;
use redrive_fuzz::reference::{self, End};

fuzz_target!(|bytes: &[u8]| {
    // The first byte says how the bytes are cut, and whether a wish to leave HTTP is granted.
    let Some((choice, sent)) = bytes.split_first() else {
        return;
    };
    let switches = choice & 1 == 1;
    let cut = match usize::from(choice >> 1) {
        0 => usize::MAX,
        cut => cut,
    };

    let read = read_by_hyper(sent, cut, switches);

    let differs = sent.iter().zip(&read).position(|(sent, read)| sent != read);
    let reading = reference::read(sent, switches);
    match differs {
        None => assert!(read.len() >= sent.len(), "bytes are lost"),
        Some(at) => {
            assert_eq!(
                sent[at + 1..],
                read[at + 1..sent.len()],
                "one byte is spoiled"
            );
            assert!(at >= reading.start, "{reading:?}: spoiled at {at}");
        }
    }
    match reading.end {
        End::Good => assert_eq!(read, sent, "{reading:?}"),
        End::Fault(at) => {
            // What nobody can read anyway is not replaced.
            let is_unreadable =
                sent[reading.start..=at].contains(&0) || !sent[..=at].ends_with(b"\r\n");
            let is_spoiled = differs.map_or(is_unreadable, |it| it <= at);
            assert!(is_spoiled, "{reading:?}: spoiled at {differs:?}");
        }
        End::NoOpinion => {}
    }
});

/// What hyper reads when the bytes come in pieces of this size.
fn read_by_hyper(sent: &[u8], cut: usize, switches: bool) -> Vec<u8> {
    let mut framing = Framing::new(sent.len());
    let mut read = Vec::new();
    for piece in sent.chunks(cut.min(sent.len().max(1))) {
        let mut piece = piece.to_vec();
        let mut at = 0;
        while at < piece.len() {
            match framing.waits_for_answers() {
                Some(_) if switches => framing.forget(),
                Some(_) => framing.goes_on(),
                None => {}
            }
            let looked = framing.look(&mut piece[at..]);
            assert!(looked.now > 0, "hyper would take it for the end");
            read.extend(&piece[at..at + looked.now]);
            at += looked.now;
            // It stands in no place of its own among what was sent.
            if !looked.behind.is_empty() {
                read.extend(&piece[at..]);
                read.extend(&sent[read.len()..]);
                return read;
            }
        }
    }
    read
}
