//! How much a client of HTTP/2 may say that asks for nothing: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, resets, empty DATA and
//! frames of unknown types.
//!
//! Each costs its client nine bytes or a few more, and redrive the work of reading it, often that of an acknowledgement. h2
//! keeps nothing of them and has no limit for them, so a client could keep a core busy for as long as it likes. A client with
//! requests says some of it for each of them, and a window grows with what goes through it; so the credit is for
//! requests and for parts of answers, beside a little for time. Who has used it up is told ENHANCE_YOUR_CALM (RFC 9113,
//! section 10.5), and the connection ends.

use std::time::Instant;

use super::frames::{CONTINUATION, DATA, Frames, HEADERS};
use super::http2::PREFACE;

/// Watches one connection from its first byte.
#[derive(Debug)]
pub(super) struct Calm {
    incoming: Incoming,
    outgoing: Frames,
    /// How many frames the client may still send.
    credit: u64,
    /// Up to when time has been credited.
    credited_at: Instant,
    /// The last stream that the client opened.
    last_stream: u32,
}

/// What the client's bytes are.
#[derive(Debug)]
enum Incoming {
    /// So many bytes of HTTP/2's first words so far.
    Preface(usize),
    Frames(Frames),
    /// Not HTTP/2.
    Other,
}

impl Calm {
    /// A fresh connection.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            incoming: Incoming::Preface(0),
            outgoing: Frames::default(),
            credit: AT_ONCE,
            credited_at: now,
            last_stream: 0,
        }
    }

    /// Looks at bytes of the client. Says whether they are too much.
    pub(super) fn came(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        if let Incoming::Preface(known) = &mut self.incoming {
            let awaited = &PREFACE[*known..];
            let length = awaited.len().min(bytes.len());
            if bytes[..length] != awaited[..length] {
                self.incoming = Incoming::Other;
                return false;
            }
            *known += length;
            bytes = &bytes[length..];
            if *known < PREFACE.len() {
                return false;
            }
            self.incoming = Incoming::Frames(Frames::default());
        }
        let Incoming::Frames(frames) = &mut self.incoming else {
            return false;
        };
        let (mut idle, mut asked, mut last_stream) = (0, 0, self.last_stream);
        frames.follow(bytes, |head| match head.kind {
            HEADERS => {
                asked += 1;
                last_stream = last_stream.max(head.stream);
            }
            // A long block of fields has a limit of h2's own.
            CONTINUATION => {}
            DATA if head.payload_bytes > 0 => {}
            _ => idle += 1,
        });
        self.last_stream = last_stream;
        self.earn(asked);
        self.is_used_up(idle, now)
    }

    /// Looks at bytes that went to the client.
    pub(super) fn went(&mut self, bytes: &[u8]) {
        if !matches!(self.incoming, Incoming::Frames(_)) {
            return;
        }
        let mut parts = 0;
        self.outgoing.follow(bytes, |head| {
            parts += u64::from(head.kind == DATA);
        });
        self.earn(parts);
    }

    /// What the client is told when it is too much, if it can be: not in the middle of another frame.
    pub(super) fn farewell(&self) -> Option<[u8; GOAWAY_BYTES]> {
        let mut goaway = [0; GOAWAY_BYTES];
        let (head, payload) = goaway.split_at_mut(GOAWAY_HEAD.len());
        head.copy_from_slice(&GOAWAY_HEAD);
        let (last_stream, code) = payload.split_at_mut(size_of::<u32>());
        last_stream.copy_from_slice(&self.last_stream.to_be_bytes());
        code.copy_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
        self.outgoing.is_between().then_some(goaway)
    }

    fn earn(&mut self, reasons: u64) {
        self.credit = (self.credit + reasons * EACH).min(KEPT_MAX);
    }

    fn is_used_up(&mut self, frames: u64, now: Instant) -> bool {
        if frames > self.credit {
            let millis = now.saturating_duration_since(self.credited_at).as_millis();
            let millis = u64::try_from(millis).unwrap_or(u64::MAX);
            self.credit += (millis.saturating_mul(PER_SECOND) / 1000).min(AT_ONCE);
            self.credited_at = now;
        }
        let left = self.credit.checked_sub(frames);
        self.credit = left.unwrap_or(0);
        left.is_none()
    }
}

/// Frames that ask for nothing which a client may send at once.
const AT_ONCE: u64 = 10_000;

/// Such frames in each second, when those are used up.
const PER_SECOND: u64 = 1_000;

/// Such frames for each request, and for each frame of an answer: two are usual, one for the window of the stream and one
/// for that of the connection.
const EACH: u64 = 10;

/// The most that is kept of what requests and answers have earned, as much as a client on a long line may owe at the end of an answer.
const KEPT_MAX: u64 = 100_000;

/// GOAWAY (RFC 9113, section 6.8): eight bytes, on no stream.
const GOAWAY_HEAD: [u8; 9] = [0, 0, 8, 7, 0, 0, 0, 0, 0];
const GOAWAY_BYTES: usize = GOAWAY_HEAD.len() + 8;
const ENHANCE_YOUR_CALM: u32 = 11;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const GET: [u8; 10] = [0, 0, 1, HEADERS, 5, 0, 0, 0, 1, 0x82];
    const PART: [u8; 10] = [0, 0, 1, DATA, 0, 0, 0, 0, 1, b'x'];

    fn calm() -> (Calm, Instant) {
        let now = clock::now();
        let mut calm = Calm::new(now);
        assert!(!calm.came(PREFACE, now));
        (calm, now)
    }

    /// Whether so many PINGs are too many.
    fn pings(calm: &mut Calm, times: u64, now: Instant) -> bool {
        (0..times).any(|_| calm.came(&PING, now))
    }

    #[test]
    fn more_than_the_credit_is_too_much() {
        let (mut calm, now) = calm();

        assert!(!pings(&mut calm, AT_ONCE, now));
        assert!(pings(&mut calm, 1, now));
    }

    #[test]
    fn a_flood_in_one_read_is_counted_whole() {
        let (mut calm, now) = calm();
        let times = usize::try_from(AT_ONCE).unwrap() + 1;

        assert!(calm.came(&PING.repeat(times), now));
    }

    #[test]
    fn a_client_that_only_keeps_its_connection_alive_may_do_so_for_ever() {
        let (mut calm, mut now) = calm();

        for _ in 0..100 {
            now += Duration::from_secs(1);
            assert!(!pings(&mut calm, PER_SECOND, now));
        }
    }

    #[test]
    fn requests_and_answers_earn_what_they_need() {
        let (mut calm, now) = calm();

        for _ in 0..AT_ONCE {
            assert!(!calm.came(&GET, now));
            assert!(!pings(&mut calm, EACH, now));
            calm.went(&PART);
            assert!(!pings(&mut calm, EACH, now));
        }
        assert!(pings(&mut calm, AT_ONCE + 1, now));
    }

    #[test]
    fn what_is_earned_is_not_kept_without_end() {
        let (mut calm, now) = calm();

        calm.went(&PART.repeat(100_000));

        assert!(!pings(&mut calm, KEPT_MAX, now));
        assert!(pings(&mut calm, 1, now));
    }

    #[test]
    fn uploads_say_nothing_idle_and_their_empty_frames_do() {
        let (mut calm, now) = calm();
        let times = usize::try_from(AT_ONCE).unwrap() + 1;

        assert!(!calm.came(&PART.repeat(times), now));
        assert!(calm.came(&[0, 0, 0, DATA, 0, 0, 0, 0, 1].repeat(times), now));
    }

    #[test]
    fn another_protocol_is_nobodys_business_here() {
        let now = clock::now();
        for first in ["GET / HTTP/1.1\r\n", "PRI * HTTP/1.1\r\n"] {
            let mut calm = Calm::new(now);

            assert!(!calm.came(first.as_bytes(), now));
            assert!(!pings(&mut calm, 2 * AT_ONCE, now), "{first}");
        }
    }

    #[test]
    fn the_farewell_names_the_last_stream_and_interrupts_no_frame() {
        let (mut calm, now) = calm();
        calm.came(&GET, now);

        let told = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 11];
        assert_eq!(calm.farewell(), Some(told));
        calm.went(&PART[..9]);
        assert_eq!(calm.farewell(), None);
        calm.went(&PART[9..]);
        assert_eq!(calm.farewell(), Some(told));
    }

    #[test]
    fn the_first_words_may_come_byte_by_byte() {
        let now = clock::now();
        let mut calm = Calm::new(now);

        for byte in PREFACE {
            assert!(!calm.came(&[*byte], now));
        }

        assert!(pings(&mut calm, AT_ONCE + 1, now));
    }
}
