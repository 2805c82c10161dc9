//! What comes where a request may begin.

use std::io;
use std::task::{Context, Poll, ready};

use super::incoming::Incoming;
use super::socket::Socket;
use crate::http1::{Framing, Reading, Refusal, RequestHead, empty_lines, read_request};

/// What came where a request may begin.
pub(super) enum Came {
    /// A request's head.
    Head(Box<RequestHead>),
    /// What is none, or more than one.
    Nonsense(Refusal),
    /// The end.
    End,
}

/// Looks for a request.
#[derive(Default)]
pub(super) struct Search {
    /// How much of what is ahead was looked at in vain.
    seen: usize,
    /// How much of that is the beginning of a head.
    known: usize,
}

/// What was found at the front of what came.
struct Look {
    came: Option<Came>,
    /// So many bytes are done with.
    used: usize,
    /// So many behind them are the beginning of a head.
    known: usize,
}

impl Search {
    /// Looks at what came since the last time, or reads once and looks at that. `None` while it is no whole head.
    pub(super) fn poll_next(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
        reading: Reading,
    ) -> Poll<io::Result<Option<Came>>> {
        let (seen, known) = (self.seen, self.known);
        if seen > 0 && seen == socket.ahead().len() && ready!(socket.poll_more(cx))? == 0 {
            return Poll::Ready(Ok(Some(Came::End)));
        }
        let looked = socket.poll_look(cx, |bytes| {
            let Look { came, used, known } = look(bytes, known, reading);
            ((came, known), used)
        });
        let (came, known) = ready!(looked)?;
        let seen = if came.is_none() {
            socket.ahead().len()
        } else {
            0
        };
        *self = Self { seen, known };
        if let Some(Came::Head(head)) = &came
            && head.framing == Framing::Chunked
            && is_at_fault(socket.ahead())
        {
            // Nothing is passed on of a request whose body is known to be at fault.
            let fault = Refusal::Unreadable("chunks that are none");
            return Poll::Ready(Ok(Some(Came::Nonsense(fault))));
        }
        Poll::Ready(Ok(came))
    }
}

/// Looks at these bytes, of which so many are known to be the beginning of a head.
fn look(bytes: &[u8], known: usize, reading: Reading) -> Look {
    if bytes.is_empty() {
        return Look::done(Came::End, 0);
    }
    let used = if known == 0 { empty_lines(bytes) } else { 0 };
    let rest = &bytes[used..];
    // Half an empty line begins no head: taken for one, whatever comes in halves would be kept, and looked at again with each that comes.
    if matches!(rest, b"" | b"\r") {
        return Look::in_vain(used, 0);
    }
    match read_request(rest, known, reading) {
        Ok(Some(head)) => {
            let used = used + head.bytes;
            Look::done(Came::Head(head), used)
        }
        Ok(None) => Look::in_vain(used, rest.len()),
        Err(refusal) => Look::done(Came::Nonsense(refusal), used),
    }
}

/// Whether these are no chunks, as far as they have come.
#[cold]
fn is_at_fault(chunks: &[u8]) -> bool {
    Incoming::of(Framing::Chunked).take(chunks).is_err()
}

impl Look {
    fn done(came: Came, used: usize) -> Self {
        Self {
            came: Some(came),
            used,
            known: 0,
        }
    }

    fn in_vain(used: usize, known: usize) -> Self {
        Self {
            came: None,
            used,
            known,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    const READING: Reading = Reading {
        head_bytes_max: 1024,
        keeps_case: false,
    };

    /// What is found when these pieces come one after the other, and the most bytes that were kept.
    async fn found(pieces: &[&str]) -> (Option<Came>, usize) {
        let (mut client, ours) = tokio::io::duplex(64);
        let (mut socket, mut search) = (Socket::new(Box::new(ours)), Search::default());
        let (mut came, mut kept) = (None, 0);
        for piece in pieces {
            client.write_all(piece.as_bytes()).await.unwrap();
            let next = poll_fn(|cx| search.poll_next(&mut socket, cx, READING));
            came = next.await.unwrap();
            kept = kept.max(socket.ahead().len());
        }
        (came, kept)
    }

    #[tokio::test]
    async fn of_empty_lines_that_come_in_halves_nothing_is_kept_to_be_looked_at_again() {
        let mut halves = vec!["\r"];
        halves.extend(["\n\r"; 2 * READING.head_bytes_max]);
        halves.push("\nGET / HTTP/1.1\r\n\r\n");

        let (came, kept) = found(&halves).await;

        assert!(matches!(came, Some(Came::Head(_))), "however many they are");
        assert_eq!(kept, 1);
    }

    #[tokio::test]
    async fn what_begins_with_two_crs_is_refused_at_once() {
        let (came, _) = found(&["\r\n\r", "\r"]).await;

        assert!(matches!(came, Some(Came::Nonsense(_))));
    }
}
