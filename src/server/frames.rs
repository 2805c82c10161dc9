//! The frames of one direction of an HTTP/2 connection, as far as their heads tell (RFC 9113, section 4.1).
//!
//! Payloads are skipped and nothing is kept but the head that is on its way, so following costs next to nothing. Whether
//! any of it makes sense is h2's business.

/// Follows the frames of one direction.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES],
    /// How many bytes of the head are there.
    known: usize,
    /// How many bytes of the payload are to come.
    left: usize,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) payload_bytes: usize,
    pub(super) kind: u8,
    pub(super) stream: u32,
}

impl Frames {
    /// Goes over bytes, and tells of each frame that begins in them, once its head is complete.
    pub(super) fn follow(&mut self, mut bytes: &[u8], mut began: impl FnMut(Head)) {
        while !bytes.is_empty() {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEAD_BYTES - self.known).min(bytes.len());
            self.head[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
            self.known += taken;
            bytes = &bytes[taken..];
            if self.known == HEAD_BYTES {
                self.known = 0;
                let head = Head::of(self.head);
                self.left = head.payload_bytes;
                began(head);
            }
        }
    }

    /// Whether one frame has ended, and no other has begun.
    pub(super) fn is_between(&self) -> bool {
        self.known == 0 && self.left == 0
    }
}

impl Head {
    fn of(bytes: [u8; HEAD_BYTES]) -> Self {
        let [a, b, c, kind, _flags, stream @ ..] = bytes;
        Self {
            payload_bytes: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind,
            stream: u32::from_be_bytes(stream) & STREAM_MASK,
        }
    }
}

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const CONTINUATION: u8 = 9;

const HEAD_BYTES: usize = 9;

/// The first bit is reserved, and has no meaning.
const STREAM_MASK: u32 = u32::MAX >> 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, stream: u32, payload_bytes: usize) -> Vec<u8> {
        let length = u32::try_from(payload_bytes).unwrap().to_be_bytes();
        let mut bytes = [&length[1..], &[kind, 0xff], &stream.to_be_bytes()[..]].concat();
        bytes.resize(HEAD_BYTES + payload_bytes, 0xff);
        bytes
    }

    proptest! {
        #[test]
        fn frames_are_told_one_by_one_however_they_come(
            frames in proptest::collection::vec((any::<u8>(), any::<u32>(), 0..70_000_usize), 0..6),
            part in 1..20_000_usize,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|it| frame(it.0, it.1, it.2)).collect();
            let mut follows = Frames::default();
            let mut seen = Vec::new();

            for part in bytes.chunks(part) {
                follows.follow(part, |head| seen.push(head));
            }

            let sent = frames.into_iter().map(|(kind, stream, payload_bytes)| Head {
                payload_bytes,
                kind,
                stream: stream & STREAM_MASK,
            });
            prop_assert_eq!(seen, sent.collect::<Vec<_>>());
            prop_assert!(follows.is_between());
        }
    }

    #[test]
    fn a_part_of_a_frame_is_no_end() {
        for end in 1..12 {
            let mut follows = Frames::default();

            follows.follow(&frame(DATA, 1, 3)[..end], |_| {});

            assert!(!follows.is_between(), "{end}");
        }
    }
}
