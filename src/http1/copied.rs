//! What is copied out of a reader's buffer: heads, and the little that came behind them.
//!
//! Each of them lives for as long as its message, and there are several in each request. So they share memory: what is short is copied
//! to the end of a piece that the thread keeps, and the piece goes with the last of them. What is long has memory of its own.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// A head that was copied out of the buffer in which the parser found its parts.
pub(super) struct Copied {
    bytes: Bytes,
    /// Where the buffer stood.
    base: usize,
}

impl Copied {
    pub(super) fn of(head: &[u8]) -> Self {
        Self {
            bytes: copied(head),
            base: head.as_ptr() as usize,
        }
    }

    /// The same part, of the copy.
    pub(super) fn part(&self, found: &[u8]) -> Bytes {
        if found.is_empty() {
            return Bytes::new(); // stands nowhere
        }
        let from = found.as_ptr() as usize - self.base;
        self.bytes.slice(from..from + found.len())
    }
}

/// A copy of these bytes.
pub fn copied(bytes: &[u8]) -> Bytes {
    if bytes.is_empty() || bytes.len() > SHORT_BYTES_MAX {
        return Bytes::copy_from_slice(bytes);
    }
    SHARED.with_borrow_mut(|shared| {
        shared.extend_from_slice(bytes);
        shared.split().freeze()
    })
}

thread_local! {
    /// What is left of the memory that the latest copies share.
    static SHARED: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(SHARED_BYTES));
}

/// How much memory is shared, and so the most that a short copy keeps from being used.
const SHARED_BYTES: usize = 1024;

/// What is longer has memory of its own, or little would be shared.
const SHORT_BYTES_MAX: usize = SHARED_BYTES / 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_copies_share_memory_and_a_long_one_has_its_own() {
        SHARED.set(BytesMut::with_capacity(SHARED_BYTES));

        let (first, second) = (copied(b"first"), copied(b"second"));
        let long = copied(&[0; SHORT_BYTES_MAX + 1]);
        let third = copied(b"third");

        let behind = |bytes: &Bytes| bytes.as_ptr() as usize + bytes.len();
        assert_eq!(second.as_ptr() as usize, behind(&first));
        assert_eq!(third.as_ptr() as usize, behind(&second));
        assert_eq!(
            (&*first, &*second, &*third),
            (&b"first"[..], &b"second"[..], &b"third"[..])
        );
        assert!(long.try_into_mut().is_ok(), "nobody else has it");
    }

    #[test]
    fn one_copy_that_stays_keeps_no_more_than_one_piece_of_memory() {
        let stays = copied(b"stays");
        let mut others = Vec::new();
        for _ in 0..4 * SHARED_BYTES / SHORT_BYTES_MAX {
            others.push(copied(&[1; SHORT_BYTES_MAX]));
            assert!(SHARED.with_borrow(BytesMut::capacity) <= SHARED_BYTES);
        }

        drop(others);
        assert_eq!(stays, "stays");
    }
}
