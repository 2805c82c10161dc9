//! A client connection watched from below: its bytes. [`Counted`](super::counted::Counted) watches it from above.
//!
//! Both tell the connection's [`Activity`] what happens. The stream also has every request's bytes looked at by
//! [`Framing`], and puts hyper's own refusals in our words, since only here can they be told from answers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::activity::Activity;
use super::calm::Calm;
use super::connection::Place;
use super::framing::Framing;
use super::refusal;
use super::secure::Agreed;
use crate::clock;

/// A stream whose reads are seen, and on which hyper's refusals are put in our words.
pub(super) struct Watched<IO> {
    io: IO,
    agreed: Option<Agreed>,
    activity: Arc<Activity>,
    refused: Arc<dyn Fn() + Send + Sync>,
    framing: Framing,
    calm: Calm,
    /// Ends the moment that a client has which says too much.
    leaving: Option<Pin<Box<Sleep>>>,
    /// Whether it has been told why.
    is_told: bool,
    /// Whether hyper has written anything.
    is_written: bool,
    /// What hyper reads before anything else that comes.
    unread: &'static [u8],
    /// What came behind a request that asks to leave HTTP, and waits for its answer: no more than one read, since meanwhile
    /// there is no other.
    held: Bytes,
    /// What is still to be written in the place of hyper's refusal.
    refusal: Option<Bytes>,
    /// Given back when the stream goes, whoever has it by then.
    _place: Place,
}

impl<IO> Watched<IO> {
    /// Watches `io`, which must speak what was agreed on; `refused` is told of every refusal, and no head longer than `head_bytes_max` is looked at.
    pub(super) fn new(
        io: IO,
        agreed: Option<Agreed>,
        activity: Arc<Activity>,
        refused: Arc<dyn Fn() + Send + Sync>,
        head_bytes_max: usize,
        place: Place,
    ) -> Self {
        Self {
            io,
            agreed,
            activity,
            refused,
            framing: Framing::new(head_bytes_max),
            calm: Calm::new(clock::now()),
            leaving: None,
            is_told: false,
            is_written: false,
            unread: &[],
            held: Bytes::new(),
            refusal: None,
            _place: place,
        }
    }

    /// Whether nothing is on its way in either direction: the client has had the whole answer to each of its requests, and hyper got
    /// nothing but those. To be asked when there is nothing to read.
    pub(super) fn is_at_rest(&self) -> bool {
        let is_empty = self.unread.is_empty() && self.held.is_empty() && self.refusal.is_none();
        let whole_requests = self.framing.whole_requests().filter(|_| is_empty);
        whole_requests.is_some_and(|requests| self.activity.is_at_rest(requests))
    }

    /// Notes that hyper writes these bytes. What it writes when it owes no answer to any request is its own refusal.
    fn note_write(&mut self, bytes: &[u8]) {
        if !std::mem::replace(&mut self.is_written, true) && bytes.first() == Some(&0) {
            self.activity.speaks_http2(); // SETTINGS, a short frame: an answer begins with "HTTP"
        }
        if self.refusal.is_none()
            && !self.activity.owes_answer()
            && let Some(refusal) = refusal::in_our_words(bytes)
        {
            self.refusal = Some(refusal.into());
            (self.refused)();
        }
    }
}

impl<IO: AsyncRead + Unpin> Watched<IO> {
    /// Reads what is held, or else what comes. Says how many bytes of it were held.
    fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let held = self.held.len().min(buf.remaining());
        if held > 0 {
            buf.put_slice(&self.held[..held]);
            return Poll::Ready(Ok(held));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before
            && let Some(agreed) = &mut self.agreed
        {
            agreed.look(&buf.filled()[before..])?;
        }
        Poll::Ready(Ok(0))
    }
}

impl<IO: AsyncWrite + Unpin> Watched<IO> {
    /// Ends the connection of a client of HTTP/2 that says too much: in a moment, in which it may hear why, and nothing more is read.
    /// To close over bytes that nobody has read would reset the connection, and lose what is on its way.
    fn show_out(&mut self, cx: &mut Context<'_>) {
        tracing::debug!("a client says too much that asks for nothing");
        self.leaving = Some(Box::pin(tokio::time::sleep(CALM_MAX)));
        self.say_farewell(cx);
    }

    /// Tells a client that has to leave why, once, as soon as no other frame is on its way.
    fn say_farewell(&mut self, cx: &mut Context<'_>) {
        if self.leaving.is_none() || self.is_told {
            return;
        }
        if let Some(farewell) = self.calm.farewell() {
            self.is_told = true;
            let told = Pin::new(&mut self.io).poll_write(cx, &farewell);
            let flushed = Pin::new(&mut self.io).poll_flush(cx);
            tracing::debug!(?told, ?flushed, "a client is told to be calm");
        }
    }

    /// Notes what hyper has written, and what the client took of it.
    fn wrote(&mut self, cx: &mut Context<'_>, taken: &[u8]) {
        self.calm.went(taken);
        self.say_farewell(cx);
    }

    /// Writes what stands in the place of hyper's refusal to its last byte.
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = &mut self.refusal {
            let offered = Pin::new(&mut self.io).poll_write(cx, rest);
            self.activity.offered(offered.is_ready());
            let written = ready!(offered)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            rest.advance(written);
            if rest.is_empty() {
                self.refusal = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = self.unread.len().min(buf.remaining());
        if room > 0 {
            let (now, later) = self.unread.split_at(room);
            buf.put_slice(now);
            self.unread = later;
            return Poll::Ready(Ok(()));
        }
        if let Some(leaving) = &mut self.leaving {
            ready!(leaving.as_mut().poll(cx));
            let error = io::Error::other("the client says too much that asks for nothing");
            return Poll::Ready(Err(error));
        }
        if let Some(requests) = self.framing.waits_for_answers() {
            ready!(self.activity.poll_answered(requests, cx));
            self.framing.goes_on();
        }
        let before = buf.filled().len();
        let held = ready!(self.poll_bytes(cx, buf))?;
        let came = buf.filled().len() - before;
        if came == 0 {
            return Poll::Ready(Ok(()));
        }
        if held == 0
            && self.calm.is_concerned()
            && self.calm.came(&buf.filled()[before..], clock::now())
        {
            buf.set_filled(before);
            self.show_out(cx);
            return self.poll_read(cx, buf);
        }
        let mut now = came;
        if self.activity.bytes_came() {
            let looked = self.framing.look(&mut buf.filled_mut()[before..]);
            (now, self.unread) = (looked.now, looked.behind);
        } else {
            self.framing.forget();
        }
        if held > 0 {
            self.held.advance(now);
        } else if now < came {
            self.held = Bytes::copy_from_slice(&buf.filled()[before + now..]);
        }
        buf.set_filled(before + now);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.note_write(buf);
        if self.refusal.is_some() {
            return self.poll_refusal(cx).map_ok(|()| buf.len());
        }
        let offered = Pin::new(&mut self.io).poll_write(cx, buf);
        self.activity.offered(offered.is_ready());
        if let Poll::Ready(Ok(written)) = &offered {
            self.wrote(cx, &buf[..*written]);
        }
        offered
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.note_write(bufs.first().map_or(&[], |buf| buf));
        if self.refusal.is_some() {
            let bytes = bufs.iter().map(|buf| buf.len()).sum();
            return self.poll_refusal(cx).map_ok(|()| bytes);
        }
        let offered = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.activity.offered(offered.is_ready());
        if let Poll::Ready(Ok(written)) = &offered {
            let mut left = *written;
            for buf in bufs {
                let length = buf.len().min(left);
                self.calm.went(&buf[..length]);
                left -= length;
            }
            self.wrote(cx, &[]);
        }
        offered
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.activity.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// How long a client that says too much may take to hear it.
const CALM_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use prometheus::IntGauge;
    use tokio::io::AsyncWriteExt;

    use super::super::connection::Places;
    use super::*;

    const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";

    /// What the client gets of these writes, and how many refusals were told.
    async fn written(writes: &[&[u8]]) -> (Vec<u8>, usize) {
        let refusals = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&refusals);
        let places = Places::new(&IntGauge::new("open", "Open.").unwrap());
        let mut watched = Watched::new(
            io::Cursor::new(Vec::new()),
            None,
            Arc::new(Activity::new()),
            Arc::new(move || _ = told.fetch_add(1, Ordering::SeqCst)),
            8192,
            places.take(1).unwrap(),
        );
        for bytes in writes {
            watched.write_all(bytes).await.unwrap();
            watched.flush().await.unwrap();
        }
        (watched.io.into_inner(), refusals.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn a_refusal_of_hypers_is_put_in_our_words_and_told() {
        let (written, refusals) = written(&[REFUSAL]).await;

        assert!(written.ends_with(b"}"), "{written:?}");
        assert_eq!(refusals, 1);
    }

    #[tokio::test]
    async fn over_http_2_nothing_that_looks_like_a_refusal_is_one() {
        let settings = b"\0\0\0\x04\0\0\0\0\0";

        let (written, refusals) = written(&[settings, REFUSAL]).await;

        assert_eq!(written, [settings, REFUSAL].concat());
        assert_eq!(refusals, 0);
    }
}
