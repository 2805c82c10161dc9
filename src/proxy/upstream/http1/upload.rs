//! A request on its way to the upstream: its head, and its body as it comes from the client.
//!
//! No more of a body is taken than the upstream has room for, but for what one [`Outbox`] holds.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::Socket;
use crate::http1::{Case, Encoder, Framing, Outbox, TooShort};
use crate::proxy::body::{BoxError, RequestBody};

/// A request on its way.
pub(super) struct Upload {
    outbox: Outbox,
    /// What of the body is not taken yet.
    body: Option<(RequestBody, Encoder)>,
    case: Case<'static>,
    has_begun: bool,
}

/// Why a request was not written to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsent {
    /// The connection took no more.
    #[error("the upstream takes no more of the request: {0}")]
    Refused(io::Error),
    /// The body broke before its end.
    #[error("the request's body broke: {0}")]
    Broken(BoxError),
    /// The body ended before the length that was said.
    #[error(transparent)]
    TooShort(#[from] TooShort),
}

/// An upload that goes on by itself; it ends when this is dropped.
pub(in crate::proxy::upstream) struct Apart(JoinHandle<bool>);

impl Upload {
    /// A request with this head, which says how its body is framed.
    pub(super) fn new(
        head: Vec<u8>,
        framing: Framing,
        headers: &HeaderMap,
        body: RequestBody,
        is_title: bool,
    ) -> Self {
        let body =
            (framing != Framing::Nothing).then(|| (body, Encoder::new(framing, Some(headers))));
        Self {
            outbox: Outbox::from(head),
            body,
            case: if is_title { Case::Title } else { Case::Lower },
            has_begun: false,
        }
    }

    /// Whether anybody has begun to write it.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Writes until all is written.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut Socket,
    ) -> Poll<Result<(), Unsent>> {
        self.has_begun = true;
        loop {
            let taken = self.poll_take(cx)?;
            ready!(self.poll_flush(cx, socket)).map_err(Unsent::Refused)?;
            if self.body.is_none() {
                return Poll::Ready(Ok(()));
            }
            ready!(taken);
        }
    }

    /// Leaves the rest to a task.
    pub(super) fn run_apart(mut self, mut socket: Socket, tasks: &TaskTracker) -> Apart {
        Apart(tasks.spawn(async move {
            match poll_fn(|cx| self.poll(cx, &mut socket)).await {
                Ok(()) => {
                    socket.unshare();
                    return true;
                }
                // Its answer may be none the worse for that. Who waits for it looks again: the one that failed to write has
                // looked for the peer's last words, and is the one that would be told of them.
                Err(Unsent::Refused(error)) => {
                    tracing::debug!(%error, "an upload was cut short");
                    socket.unshare();
                }
                // The upstream must not wait for the rest.
                Err(error) => {
                    tracing::debug!(%error, "an upload broke");
                    socket.close();
                }
            }
            false
        }))
    }

    /// Takes of the body what there is room for.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        while let Some((body, encoder)) = &mut self.body
            && self.outbox.has_room()
        {
            let frame = ready!(Pin::new(body).poll_frame(cx));
            let frame = frame.transpose().map_err(Unsent::Broken)?;
            match frame.map(Frame::into_data) {
                Some(Ok(data)) => {
                    encoder.write(data, &mut self.outbox);
                    if encoder.is_over() {
                        self.body = None;
                    }
                }
                None => self.end(None)?,
                Some(Err(frame)) => self.end(frame.into_trailers().ok())?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), TooShort> {
        match self.body.take() {
            Some((_, mut encoder)) => encoder.end(trailers, self.case, &mut self.outbox),
            None => Ok(()),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, socket: &mut Socket) -> Poll<io::Result<()>> {
        let mut socket = Pin::new(socket);
        while !self.outbox.is_empty() {
            let (slices, count) = self.outbox.slices();
            let written = ready!(socket.as_mut().poll_write_vectored(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outbox.advance(written);
        }
        socket.poll_flush(cx) // TLS may hold something back
    }
}

impl Apart {
    /// Waits for its end. Whether it came to a good one.
    pub(in crate::proxy::upstream) async fn written(mut self) -> bool {
        (&mut self.0).await.unwrap_or(false)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.0.abort();
    }
}
