//! The two sides from which a client connection is watched: its bytes, and its requests.
//!
//! Both tell the connection's [`Activity`] what happens. The stream also has every request's bytes looked at by
//! [`Framing`], and puts hyper's own refusals in our words, since only here can they be told from answers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

use super::activity::Activity;
use super::answer::InFlight;
use super::connection::Place;
use super::framing::Framing;
use super::refusal;
use super::secure::Agreed;
use super::upload::Upload;

/// A stream whose reads are seen, and on which hyper's refusals are put in our words.
pub(super) struct Watched<IO> {
    io: IO,
    agreed: Option<Agreed>,
    activity: Arc<Activity>,
    refused: Arc<dyn Fn() + Send + Sync>,
    framing: Framing,
    /// Whether hyper has written anything.
    is_written: bool,
    /// What hyper reads before anything else that comes.
    unread: &'static [u8],
    /// What is still to be written in the place of hyper's refusal.
    refusal: Option<Bytes>,
    /// Given back when the stream goes, whoever has it by then.
    _place: Place,
}

/// A service whose requests are counted until their answers end, and get their bodies as uploads.
#[derive(Clone)]
pub(super) struct Counted<S> {
    service: S,
    activity: Arc<Activity>,
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
            is_written: false,
            unread: &[],
            refusal: None,
            _place: place,
        }
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

impl<IO: AsyncWrite + Unpin> Watched<IO> {
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

impl<S> Counted<S> {
    /// Counts the requests of `service`.
    pub(super) fn new(service: S, activity: Arc<Activity>) -> Self {
        Self { service, activity }
    }
}

impl<S, B> Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Upload>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<InFlight<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let is_http2 = request.version() == Version::HTTP_2;
        let mut flight = self.activity.request_came(request.version());
        let answered = self.service.call(Upload::of(request));
        let activity = Arc::clone(&self.activity);
        Box::pin(async move {
            let answer = answered.await?;
            flight.is_answered();
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                activity.leaves_http();
            }
            Ok(answer.map(|body| {
                let body = InFlight::new(body, flight);
                if is_http2 {
                    activity.looks_after(&body.held());
                }
                body
            }))
        })
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
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
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            if let Some(agreed) = &mut self.agreed {
                agreed.look(&buf.filled()[before..])?;
            }
            if self.activity.bytes_came() {
                self.unread = self.framing.look(&mut buf.filled_mut()[before..]);
            } else {
                self.framing.forget();
            }
        }
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
