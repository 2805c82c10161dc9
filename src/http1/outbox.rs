//! What is about to be written, gathered so that one system call takes it.
//!
//! What is short is copied together; one long piece of a body stands behind that as it is, without a copy, and behind it what
//! frames it. So what is held is bounded: [`has_room`](Outbox::has_room) says when to write before more is taken.

use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// What is about to be written.
#[derive(Debug, Default)]
pub struct Outbox {
    front: Vec<u8>,
    /// How much of the front is written.
    written: usize,
    long: Bytes,
    behind: Vec<u8>,
}

impl From<Vec<u8>> for Outbox {
    fn from(front: Vec<u8>) -> Self {
        Self {
            front,
            ..Self::default()
        }
    }
}

impl Outbox {
    /// Where short things are written to, such as heads and what frames a body.
    pub fn end(&mut self) -> &mut Vec<u8> {
        if self.long.is_empty() {
            &mut self.front
        } else {
            &mut self.behind
        }
    }

    /// Adds a piece of a body.
    pub fn push(&mut self, data: Bytes) {
        if self.long.is_empty() && data.len() > COPIED_BYTES_MAX {
            self.long = data;
        } else {
            self.end().extend_from_slice(&data);
        }
    }

    /// Whether another piece of a body may be added now, rather than when this is written.
    pub fn has_room(&self) -> bool {
        self.long.is_empty() && self.front.len() < FRONT_BYTES_MAX
    }

    /// Whether all is written.
    pub fn is_empty(&self) -> bool {
        // Nothing is left of what stands before it when the last of it is written.
        self.front.is_empty() && self.long.is_empty()
    }

    /// All that is to be written.
    pub fn slices(&self) -> ([IoSlice<'_>; 3], usize) {
        let mut slices = [IoSlice::new(&[]); 3];
        let mut count = 0;
        for piece in [&self.front[self.written..], &self.long, &self.behind] {
            if !piece.is_empty() {
                slices[count] = IoSlice::new(piece);
                count += 1;
            }
        }
        (slices, count)
    }

    /// So many bytes of it are written.
    pub fn advance(&mut self, bytes: usize) {
        let of_front = bytes.min(self.front.len() - self.written);
        self.written += of_front;
        if self.written < self.front.len() {
            return;
        }
        self.front.clear();
        self.written = 0;
        let bytes = bytes - of_front;
        let of_long = bytes.min(self.long.len());
        self.long.advance(of_long);
        if self.long.is_empty() {
            std::mem::swap(&mut self.front, &mut self.behind);
            self.written = bytes - of_long;
            if self.written == self.front.len() {
                self.front.clear();
                self.written = 0;
            }
        }
    }
}

/// A longer piece of a body is not copied.
const COPIED_BYTES_MAX: usize = 4 * 1024;

/// So much is gathered before it is written.
const FRONT_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_not_matter_how_much_is_written_at_a_time(
            pieces in proptest::collection::vec((0..3_u8, 0..10_000_usize), 0..8),
            step in 1..9_000_usize,
            is_whole in any::<bool>(),
        ) {
            let (mut outbox, mut expected, mut written) = (Outbox::default(), Vec::new(), Vec::new());
            for (index, (kind, length)) in pieces.into_iter().enumerate() {
                let piece = vec![u8::try_from(index).unwrap(); length];
                expected.extend_from_slice(&piece);
                match kind {
                    0 => outbox.end().extend_from_slice(&piece),
                    1 => outbox.push(piece.into()),
                    _ => {
                        outbox.push(piece.into());
                        let first = outbox.slices().0[0].to_vec();
                        let next = first.len().min(step);
                        written.extend_from_slice(&first[..next]);
                        outbox.advance(next);
                    }
                }
            }
            while !outbox.is_empty() {
                let (slices, count) = outbox.slices();
                prop_assert!(count > 0 && slices[..count].iter().all(|slice| !slice.is_empty()));
                let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
                let next = if is_whole { all.len() } else { all.len().min(step) };
                written.extend_from_slice(&all[..next]);
                outbox.advance(next);
            }

            prop_assert_eq!(written, expected);
            prop_assert!(outbox.has_room());
        }
    }

    #[test]
    fn what_is_held_is_less_than_what_is_gathered_and_one_piece() {
        for piece in [1_000, COPIED_BYTES_MAX, 2 * FRONT_BYTES_MAX] {
            let mut outbox = Outbox::default();
            // The dearest way to fill it: short pieces first.
            while outbox.front.len() + COPIED_BYTES_MAX < FRONT_BYTES_MAX {
                outbox.push(vec![0; COPIED_BYTES_MAX].into());
            }
            while outbox.has_room() {
                outbox.push(vec![0; piece].into());
            }

            let (slices, _) = outbox.slices();
            let held: usize = slices.iter().map(|slice| slice.len()).sum();
            assert!(held < FRONT_BYTES_MAX + piece, "{piece}: {held}");
        }
    }

    #[test]
    fn a_long_piece_is_not_copied_and_has_to_be_written_first() {
        let mut outbox = Outbox::default();
        let long = Bytes::from(vec![0; COPIED_BYTES_MAX + 1]);

        outbox.end().extend_from_slice(b"head");
        assert!(outbox.has_room());
        outbox.push(long.clone());
        outbox.end().extend_from_slice(b"end");

        assert!(!outbox.has_room());
        let (slices, count) = outbox.slices();
        assert_eq!((count, slices[1].as_ptr()), (3, long.as_ptr()));
    }
}
