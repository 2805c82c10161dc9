//! A client connection of HTTP/2 watched from below: its bytes. [`Counted`](super::counted::Counted) watches it from above.
//!
//! Both tell the connection's [`Activity`] what happens. What the client says that asks for nothing is counted here, by [`Calm`], and
//! who says too much is shown out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::activity::Activity;
use super::calm::Calm;
use crate::clock;

/// A stream whose bytes are seen.
pub(super) struct Watched<IO> {
    io: IO,
    activity: Arc<Activity>,
    calm: Calm,
    /// Ends the moment that a client has which says too much.
    leaving: Option<Pin<Box<Sleep>>>,
    /// Whether it has been told why.
    is_told: bool,
}

impl<IO> Watched<IO> {
    /// Watches `io` from its first byte on.
    pub(super) fn new(io: IO, activity: Arc<Activity>) -> Self {
        Self {
            io,
            activity,
            calm: Calm::new(clock::now()),
            leaving: None,
            is_told: false,
        }
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
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(leaving) = &mut self.leaving {
            ready!(leaving.as_mut().poll(cx));
            let error = io::Error::other("the client says too much that asks for nothing");
            return Poll::Ready(Err(error));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let came = &buf.filled()[before..];
        if !came.is_empty() && self.calm.came(came, clock::now()) {
            buf.set_filled(before);
            self.show_out(cx);
            return self.poll_read(cx, buf);
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
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// How long a client that says too much may take to hear it.
const CALM_MAX: Duration = Duration::from_secs(1);
