//! Uploads whose clients take their time, and how many of them may at once.
//!
//! An attempt whose upload is on its way keeps its turn at the door and its connection, however slowly the bytes come: a body has
//! no limit but that on pauses. So clients that send a byte now and then, on purpose or over a bad line, could have all
//! turns between them. Half of the turns is theirs; who is one too many is given up, and everybody else goes on with the rest.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use super::body::BoxError;
use crate::clock;

/// The places of slow uploads at one door.
#[derive(Clone, Debug)]
pub struct SlowUploads {
    places: Arc<Semaphore>,
    max_in_flight: usize,
}

/// Too many uploads are slow already.
#[derive(Debug, thiserror::Error)]
#[error("the body comes slowly, and too many others do")]
pub struct TooManySlow;

pin_project! {
    /// A client's body that takes a place once it is slow, and ends with [`TooManySlow`] where there is none.
    pub struct Upload<B> {
        #[pin]
        body: B,
        places: Arc<Semaphore>,
        place: Option<OwnedSemaphorePermit>,
        // How long its client has been waited for, the pause that lasts aside.
        waited: Duration,
        since: Option<Instant>,
        #[pin]
        slow_at: Option<Sleep>,
    }
}

impl SlowUploads {
    /// Half of so many turns, at least one.
    pub fn new(max_in_flight: usize) -> Self {
        let places = max_in_flight.div_ceil(2).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places)),
            max_in_flight,
        }
    }

    /// The same places, or others where there are other turns than before; who has a place keeps it.
    pub fn follow(&self, max_in_flight: usize) -> Self {
        if max_in_flight == self.max_in_flight {
            self.clone()
        } else {
            Self::new(max_in_flight)
        }
    }

    /// The body, which takes one of these places when it is slow.
    pub fn watch<B>(&self, body: B) -> Upload<B> {
        Upload {
            body,
            places: Arc::clone(&self.places),
            place: None,
            waited: Duration::ZERO,
            since: None,
            slow_at: None,
        }
    }
}

impl<B> Body for Upload<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            if let Some(since) = this.since.take() {
                *this.waited += clock::now().saturating_duration_since(since);
                this.slow_at.set(None);
            }
            return Poll::Ready(frame);
        }
        if this.place.is_some() {
            return Poll::Pending;
        }
        if this.since.is_none() {
            *this.since = Some(clock::now());
            let left = SLOW.saturating_sub(*this.waited);
            this.slow_at.set(Some(tokio::time::sleep(left)));
        }
        let slow_at = this
            .slow_at
            .as_mut()
            .as_pin_mut()
            .expect("set with `since`");
        ready!(slow_at.poll(cx));
        match Arc::clone(this.places).try_acquire_owned() {
            Ok(place) => {
                *this.place = Some(place);
                Poll::Pending
            }
            Err(_) => Poll::Ready(Some(Err(TooManySlow.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An upload is slow when its client has been waited for so long, in all its pauses together. One that is limited by redrive or by
/// the upstream is not.
const SLOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use http_body_util::channel::{Channel, Sender};

    use super::*;
    use crate::proxy::body::RequestBody;

    type Client = Sender<Bytes, BoxError>;

    fn upload(places: &SlowUploads) -> (Client, RequestBody) {
        let (client, body) = Channel::<Bytes, BoxError>::new(1);
        (client, places.watch(body).boxed_unsync())
    }

    /// A byte each `pause`, so many times; what the reader is told.
    async fn trickle(
        (mut client, mut body): (Client, RequestBody),
        pause: Duration,
        times: usize,
    ) -> Result<RequestBody, BoxError> {
        let sent = async {
            for _ in 0..times {
                tokio::time::sleep(pause).await;
                let _taken = client.send_data(Bytes::from_static(b"x")).await;
            }
            client
        };
        let read = async {
            for _ in 0..times {
                body.frame().await.expect("the client is still there")?;
            }
            Ok(body)
        };
        let (_client, read) = tokio::join!(sent, read);
        read
    }

    #[tokio::test(start_paused = true)]
    async fn of_slow_uploads_only_so_many_go_on() {
        let places = SlowUploads::new(3);
        let pause = Duration::from_millis(400);

        let first = trickle(upload(&places), pause, 10).await.unwrap();
        let second = trickle(upload(&places), pause, 10).await.unwrap();
        let third = trickle(upload(&places), pause, 10).await;

        assert!(third.unwrap_err().is::<TooManySlow>());
        drop((first, second));
        assert!(trickle(upload(&places), pause, 10).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_keeps_nobody_waiting_takes_no_place_however_long_it_is() {
        let places = SlowUploads::new(1);
        let _slow = trickle(upload(&places), SLOW, 2).await.unwrap();
        let (mut client, mut body) = upload(&places);

        for _ in 0..10 {
            client.send_data(Bytes::from_static(b"x")).await.unwrap();
            // It is the reader that takes its time.
            tokio::time::sleep(SLOW).await;
            body.frame().await.unwrap().unwrap();
        }
    }

    #[test]
    fn other_turns_make_other_places() {
        assert_eq!(SlowUploads::new(512).places.available_permits(), 256);
        assert_eq!(SlowUploads::new(1).places.available_permits(), 1);
        let before = SlowUploads::new(8);
        let same = before.follow(8);
        assert!(Arc::ptr_eq(&before.places, &same.places));
        assert_eq!(before.follow(4).places.available_permits(), 2);
    }
}
