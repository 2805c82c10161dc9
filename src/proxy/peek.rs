//! Looks at the first bytes of an answer's body, and delivers them unchanged.
//!
//! Only for statuses whose body is evidence; at most [`BODY_HEAD_BYTES_MAX`] and for at most `PEEK_WAIT`, so an error
//! page that trickles in or never ends is classified by what came, and streams on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::body::BoxError;
use crate::retry::classify::BODY_HEAD_BYTES_MAX;

/// A body of which the first frames were read ahead.
pub struct Peeked<B> {
    ahead: VecDeque<Frame<Bytes>>,
    ahead_bytes: u64,
    rest: Option<B>,
}

/// The first bytes of a body, and whether they are all.
pub struct BodyHead {
    /// At most [`BODY_HEAD_BYTES_MAX`].
    pub bytes: Bytes,
    /// Whether the body ended with them.
    pub complete: bool,
}

impl<B> Peeked<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// Reads nothing ahead.
    pub fn untouched(body: B) -> Self {
        Self {
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            rest: Some(body),
        }
    }

    /// Reads ahead as far as evidence may reach, and for `within` or `PEEK_WAIT`, whichever is shorter.
    ///
    /// # Errors
    /// When the body breaks before that: then there is no whole answer to look at or to deliver.
    pub async fn read_ahead(body: B, within: Duration) -> Result<(Self, BodyHead), B::Error> {
        let mut peeked = Self::untouched(body);
        // A timeout is no failure: what came by then is what is looked at.
        tokio::time::timeout(within.min(PEEK_WAIT), peeked.fill())
            .await
            .unwrap_or(Ok(()))?;
        let mut bytes = BytesMut::new();
        for data in peeked.ahead.iter().filter_map(Frame::data_ref) {
            let room = BODY_HEAD_BYTES_MAX - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
        }
        let bytes = bytes.freeze();
        let complete = peeked.rest.is_none() && peeked.ahead_bytes == bytes.len() as u64;
        if complete {
            // The frames are slices of the connection's read buffer, which an answer that waits must not hold on to.
            peeked.ahead.retain(Frame::is_trailers);
            if !bytes.is_empty() {
                peeked.ahead.push_front(Frame::data(bytes.clone()));
            }
        }
        Ok((peeked, BodyHead { bytes, complete }))
    }

    /// How many bytes were read ahead and not taken yet.
    pub fn held_bytes(&self) -> usize {
        usize::try_from(self.ahead_bytes).unwrap_or(usize::MAX)
    }

    /// What is not read yet.
    pub fn rest_mut(&mut self) -> Option<&mut B> {
        self.rest.as_mut()
    }

    /// Whether all of it was read ahead.
    pub fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    async fn fill(&mut self) -> Result<(), B::Error> {
        while self.ahead_bytes <= BODY_HEAD_BYTES_MAX as u64
            && let Some(rest) = &mut self.rest
        {
            let frame = if rest.is_end_stream() {
                None
            } else {
                rest.frame().await
            };
            match frame.transpose()? {
                None => self.rest = None,
                Some(frame) => {
                    self.ahead_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                    self.ahead.push_back(frame);
                }
            }
        }
        Ok(())
    }
}

impl<B> Body for Peeked<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(frame) = self.ahead.pop_front() {
            self.ahead_bytes -= frame.data_ref().map_or(0, |data| data.len() as u64);
            return Poll::Ready(Some(Ok(frame)));
        }
        match &mut self.rest {
            None => Poll::Ready(None),
            Some(rest) => Pin::new(rest)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self
            .rest
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(self.ahead_bytes));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(self.ahead_bytes));
        }
        hint
    }
}

/// A gateway's own error comes in one piece; whoever takes longer is sending something else.
const PEEK_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::channel::Channel;

    #[tokio::test]
    async fn what_was_read_ahead_is_delivered_unchanged() {
        let (mut upstream, body) = Channel::<Bytes, BoxError>::new(4);
        upstream
            .send_data(Bytes::from_static(b"{\"message\":"))
            .await
            .unwrap();
        upstream
            .send_data(Bytes::from_static(b"null}"))
            .await
            .unwrap();
        drop(upstream);

        let (peeked, head) = Peeked::read_ahead(body, Duration::MAX).await.unwrap();

        assert_eq!(head.bytes, "{\"message\":null}");
        assert!(head.complete);
        assert_eq!(peeked.size_hint().exact(), Some(16));
        assert_eq!(
            peeked.collect().await.unwrap().to_bytes(),
            "{\"message\":null}"
        );
    }

    #[tokio::test]
    async fn a_large_body_is_looked_at_in_part_and_delivered_whole() {
        let (mut upstream, body) = Channel::<Bytes, BoxError>::new(8);
        for _ in 0..4 {
            upstream
                .send_data(Bytes::from(vec![b'x'; 40_000]))
                .await
                .unwrap();
        }
        drop(upstream);

        let (peeked, head) = Peeked::read_ahead(body, Duration::MAX).await.unwrap();

        assert_eq!(head.bytes.len(), BODY_HEAD_BYTES_MAX);
        assert!(!head.complete);
        assert_eq!(peeked.collect().await.unwrap().to_bytes().len(), 160_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_looked_at_as_far_as_it_came() {
        let (mut upstream, body) = Channel::<Bytes, BoxError>::new(4);
        upstream
            .send_data(Bytes::from_static(b"slow"))
            .await
            .unwrap();

        let (peeked, head) = Peeked::read_ahead(body, Duration::MAX).await.unwrap();
        upstream.send_data(Bytes::from_static(b"ly")).await.unwrap();
        drop(upstream);

        assert_eq!(
            (head.bytes.as_ref(), head.complete),
            (b"slow".as_ref(), false)
        );
        assert_eq!(peeked.collect().await.unwrap().to_bytes(), "slowly");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_who_has_less_time_waits_longer_for_evidence() {
        let (_upstream, body) = Channel::<Bytes, BoxError>::new(1);
        let start = crate::clock::now();

        let (_, head) = Peeked::read_ahead(body, Duration::from_millis(200))
            .await
            .unwrap();

        assert!(!head.complete);
        assert_eq!(crate::clock::now() - start, Duration::from_millis(200));
    }
}
