//! The upstream's end of a connection that leaves HTTP: what it becomes, and the place that it goes on taking.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::http1::{Apart, Socket};
use super::lease::Whole;

/// The upstream's end of a connection that leaves HTTP. It keeps its place among `connections.max`.
pub struct Switched {
    end: UpstreamEnd,
    /// What is still to be written of the request.
    apart: Option<Apart>,
    place: Place,
}

/// What carries the bytes of a connection that left HTTP.
pub struct UpstreamEnd {
    /// What came behind the head of the answer, and is read first.
    came: Bytes,
    socket: Socket,
}

/// The place of a connection that left HTTP.
pub struct Place(
    #[expect(dead_code, reason = "held for what its end gives back")] OwnedSemaphorePermit,
);

impl Switched {
    /// The connection, of which this came behind the head of the answer.
    pub(super) fn of(whole: Whole, came: Bytes) -> Self {
        let (socket, apart) = whole.connection.into_socket();
        Self {
            end: UpstreamEnd { came, socket },
            apart,
            place: Place(whole.slot),
        }
    }

    /// The connection once all of the request is written, and its place, which is given back with what is returned. `None`
    /// if the request never is.
    pub async fn into_parts(self) -> Option<(UpstreamEnd, Place)> {
        if let Some(apart) = self.apart
            && !apart.written().await
        {
            return None;
        }
        Some((self.end, self.place))
    }
}

impl AsyncRead for UpstreamEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.came.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buf);
        }
        let here = self.came.len().min(buf.remaining());
        buf.put_slice(&self.came[..here]);
        self.came.advance(here);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for UpstreamEnd {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
