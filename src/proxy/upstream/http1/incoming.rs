//! The body of an answer that comes over a connection, and the connection, which is given back at a good end.
//!
//! Whatever ends otherwise closes the connection. What came behind the answer was asked for by nobody, and closes it, too.

use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::response;
use http_body::{Frame, SizeHint};
use tokio::io::AsyncReadExt;

use super::awaited::{ROOM_BYTES, poll_some};
use super::{Answered, BUFFER_BYTES_MAX};
use crate::http1::{Chunks, Framing};
use crate::proxy::upstream::body::Broken;
use crate::proxy::upstream::lease::Whole;

/// The body of an answer on its way.
pub(in crate::proxy::upstream) struct Incoming {
    /// None behind the end.
    whole: Option<Whole>,
    keeps_alive: bool,
    rest: Rest,
    /// What was read and not looked at.
    came: Bytes,
    /// Whether it comes faster than it is read.
    is_fast: bool,
}

/// What is still to come.
enum Rest {
    Nothing,
    Sized(u64),
    Chunked(Box<Chunks>),
    ToTheEnd,
}

impl Incoming {
    /// The body of an answer that came on `whole`.
    pub(in crate::proxy::upstream) fn new(
        answered: Answered,
        whole: Whole,
    ) -> (response::Parts, Self) {
        let Answered {
            head,
            framing,
            keeps_alive,
            came,
        } = answered;
        let rest = match framing {
            Framing::Nothing => Rest::Nothing,
            Framing::Sized(length) => Rest::Sized(length),
            Framing::Chunked => Rest::Chunked(Box::new(Chunks::of_answer())),
            Framing::ToTheEnd => Rest::ToTheEnd,
        };
        let mut incoming = Self {
            whole: Some(whole),
            keeps_alive,
            rest,
            came,
            is_fast: false,
        };
        if incoming.is_over() {
            incoming.finish();
        }
        (head, incoming)
    }

    /// Polls for the next frame, and reads no more than it takes.
    pub(in crate::proxy::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            if self.is_over() {
                return Poll::Ready(None);
            }
            if !self.came.is_empty()
                && let Some(frame) = self.decode().transpose()
            {
                return Poll::Ready(Some(frame));
            }
            if !self.came.is_empty() || self.is_over() {
                continue;
            }
            ready!(self.poll_more(cx)).map_err(Broken::Http1)?;
            if self.came.is_empty() {
                if !matches!(self.rest, Rest::ToTheEnd) {
                    return Poll::Ready(Some(Err(Broken::CutShort)));
                }
                self.finish();
            }
        }
    }

    /// Whether all of it was taken.
    pub(in crate::proxy::upstream) fn is_over(&self) -> bool {
        matches!(self.rest, Rest::Nothing)
    }

    /// How much is still to come.
    pub(in crate::proxy::upstream) fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Rest::Nothing => SizeHint::with_exact(0),
            Rest::Sized(left) => SizeHint::with_exact(*left),
            Rest::Chunked(_) | Rest::ToTheEnd => SizeHint::default(),
        }
    }

    /// The next frame of what came.
    fn decode(&mut self) -> Result<Option<Frame<Bytes>>, Broken> {
        match &mut self.rest {
            Rest::Nothing => Ok(None),
            Rest::ToTheEnd => Ok(Some(Frame::data(std::mem::take(&mut self.came)))),
            Rest::Sized(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX);
                let data = self.came.split_to(here.min(self.came.len()));
                *left -= u64::try_from(data.len()).unwrap_or(u64::MAX);
                if *left == 0 {
                    self.finish();
                }
                Ok(Some(Frame::data(data)))
            }
            Rest::Chunked(chunks) => {
                let taken = chunks.take(&self.came)?;
                self.came.advance(taken.framing);
                if taken.data > 0 {
                    return Ok(Some(Frame::data(self.came.split_to(taken.data))));
                }
                if !chunks.is_over() {
                    return Ok(None);
                }
                let trailers = chunks.trailers()?;
                self.finish();
                Ok(trailers.map(Frame::trailers))
            }
        }
    }

    /// It has come to its end, and a good one.
    fn finish(&mut self) {
        self.rest = Rest::Nothing;
        let is_alone = std::mem::take(&mut self.came).is_empty();
        if let Some(whole) = self.whole.take()
            && self.keeps_alive
            && is_alone
        {
            whole.give_back();
        }
    }

    /// Reads once; nothing at the end of the connection.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let Some(whole) = &mut self.whole else {
            return Poll::Ready(Ok(()));
        };
        let socket = &mut whole.connection.socket;
        if self.is_fast {
            // Without a copy, since there is much of it.
            let mut room = BytesMut::with_capacity(BUFFER_BYTES_MAX);
            let read = ready!(pin!(socket.read_buf(&mut room)).poll(cx))?;
            self.is_fast = read >= ROOM_BYTES;
            self.came = room.freeze();
        } else {
            self.came = ready!(poll_some(socket, cx, Bytes::copy_from_slice))?;
            self.is_fast = self.came.len() == ROOM_BYTES;
        }
        Poll::Ready(Ok(()))
    }
}
