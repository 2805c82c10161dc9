//! Lets attempts go: as many as may be in flight, as fast as a known limit allows, and nobody waits for ever.
//!
//! A permit lives as long as one attempt, from its turn to the end of its answer. Who finds none free waits, first come
//! first served; more than `pace.max_waiting` in the process, or longer than `pace.max_wait`, is shed at once with 503.
//! Dropping the future gives everything back: the place in the queue, and the permit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Error;
use crate::clock;
use crate::pace::{KnownLimit, Params};

/// How many requests wait in the process, and how many may.
#[derive(Debug)]
pub struct Crowd {
    limit: usize,
    waiting: AtomicUsize,
    gauge: IntGauge,
}

/// The door to one upstream, or to one route that has its own.
pub struct Door {
    permits: Arc<Semaphore>,
    /// Who is next where a known limit is waited for; the limit itself keeps no order.
    head: Semaphore,
    limit: Option<KnownLimit>,
    max_wait: Duration,
    crowd: Arc<Crowd>,
}

/// One attempt may be in flight.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// A place in the crowd, from joining to going.
struct Place<'a>(&'a Crowd);

impl Crowd {
    /// Nobody waits yet; `gauge` shows how many do.
    pub fn new(limit: usize, gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self {
            limit,
            waiting: AtomicUsize::new(0),
            gauge,
        })
    }

    fn join(&self) -> Option<Place<'_>> {
        let room = |waiting: usize| (waiting < self.limit).then_some(waiting + 1);
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .ok()?;
        self.gauge.inc();
        Some(Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.dec();
    }
}

impl Door {
    /// A door with everything free.
    pub fn new(params: &Params, crowd: Arc<Crowd>, now: Instant) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(params.max_in_flight)),
            head: Semaphore::new(1),
            limit: params.limit.map(|limit| KnownLimit::new(limit, now)),
            max_wait: params.max_wait,
            crowd,
        }
    }

    /// This attempt's turn, if it need not wait for it.
    pub fn try_admit(&self) -> Option<Permit> {
        if self.head.available_permits() == 0 {
            return None; // somebody who came earlier waits
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let is_free = |limit: &KnownLimit| limit.check(clock::now()).is_ok();
        self.limit
            .as_ref()
            .is_none_or(is_free)
            .then_some(Permit(permit))
    }

    /// Waits for this attempt's turn, until `start_by` at the latest. Who `held` on to a permit needs no other.
    ///
    /// # Errors
    /// [`Error::Shed`] when too many wait or `pace.max_wait` passed, [`Error::Deadline`] when `start_by` did.
    pub async fn wait(
        &self,
        held: Option<Permit>,
        arrival: Instant,
        start_by: Instant,
    ) -> Result<Permit, Error> {
        let place = self.crowd.join().ok_or_else(shed)?;
        let now = clock::now();
        let patience = now + self.max_wait;
        let turn = tokio::time::timeout_at(patience.min(start_by).into(), self.turn(held)).await;
        drop(place);
        match turn {
            Ok(permit) => Ok(permit),
            Err(_) if start_by <= patience => Err(Error::Deadline {
                waited: clock::now() - arrival,
            }),
            Err(_) => Err(shed()),
        }
    }

    async fn turn(&self, held: Option<Permit>) -> Permit {
        let permit = match held {
            Some(permit) => permit,
            None => Permit(
                Arc::clone(&self.permits)
                    .acquire_owned()
                    .await
                    .expect("the door never closes its semaphore"),
            ),
        };
        if let Some(limit) = &self.limit {
            let _head = self
                .head
                .acquire()
                .await
                .expect("the door never closes its semaphore");
            while let Err(wait) = limit.check(clock::now()) {
                tokio::time::sleep(wait).await;
            }
        }
        permit
    }

    /// The wait before a retry. It takes no permit, but it is waiting: where the crowd is full, nobody joins it.
    ///
    /// Returns whether there was room to wait.
    pub async fn back_off(&self, wait: Duration) -> bool {
        let Some(_place) = self.crowd.join() else {
            return false;
        };
        tokio::time::sleep(wait).await;
        true
    }
}

/// What is answered when no turn will come.
pub fn shed() -> Error {
    Error::Shed {
        retry_after: SHED_RETRY_AFTER,
    }
}

/// What a shed client is told: a token bucket refills within about a second.
const SHED_RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::Mode;

    async fn admit(door: &Door, arrival: Instant, start_by: Instant) -> Result<Permit, Error> {
        match door.try_admit() {
            Some(permit) => Ok(permit),
            None => door.wait(None, arrival, start_by).await,
        }
    }

    fn door(max_in_flight: usize, max_waiting: usize) -> (Door, IntGauge) {
        let gauge = IntGauge::new("waiting", "waiting").unwrap();
        let params = Params {
            mode: Mode::Off,
            max_wait: Duration::from_secs(10),
            max_waiting,
            patient: false,
            limit: None,
            max_in_flight,
        };
        (
            Door::new(
                &params,
                Crowd::new(max_waiting, gauge.clone()),
                clock::now(),
            ),
            gauge,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_a_permit_goes_at_once_and_who_finds_none_waits_for_one() {
        let (door, gauge) = door(1, 10);
        let now = clock::now();
        let first = admit(&door, now, now + Duration::from_secs(30))
            .await
            .unwrap();

        let second = admit(&door, now, now + Duration::from_secs(30));
        let (second, ()) = tokio::join!(second, async {
            tokio::task::yield_now().await;
            assert_eq!(gauge.get(), 1);
            drop(first);
        });

        assert!(second.is_ok());
        assert_eq!(gauge.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_its_limit_or_at_the_deadline_whichever_comes_first() {
        let (door, _) = door(1, 10);
        let now = clock::now();
        let _held = admit(&door, now, now + Duration::from_secs(30))
            .await
            .unwrap();

        let patient = admit(&door, now, now + Duration::from_secs(30)).await;
        let hurried = admit(&door, clock::now(), clock::now() + Duration::from_secs(2)).await;

        assert!(matches!(patient, Err(Error::Shed { .. })));
        assert!(matches!(hurried, Err(Error::Deadline { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_than_may_wait_is_shed_at_once() {
        let (door, _) = door(1, 0);
        let now = clock::now();
        let _held = admit(&door, now, now + Duration::from_secs(30))
            .await
            .unwrap();

        let shed = admit(&door, now, now + Duration::from_secs(30)).await;

        assert!(matches!(shed, Err(Error::Shed { .. })));
        assert_eq!(clock::now(), now, "no time passed");
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_while_waiting_gives_its_place_back() {
        let (door, gauge) = door(1, 1);
        let now = clock::now();
        let held = admit(&door, now, now + Duration::from_secs(30))
            .await
            .unwrap();

        let left = tokio::time::timeout(
            Duration::from_secs(1),
            admit(&door, now, now + Duration::from_secs(30)),
        )
        .await;
        drop(held);

        assert!(left.is_err());
        assert_eq!(gauge.get(), 0);
        assert!(
            admit(&door, now, now + Duration::from_secs(30))
                .await
                .is_ok()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_who_comes_later_takes_the_turn_of_one_who_waits_for_a_known_limit() {
        let (mut door, _) = door(10, 10);
        let once = std::num::NonZeroU32::MIN;
        let limit = crate::pace::Limit {
            per_second: once,
            burst: once,
        };
        door.limit = Some(KnownLimit::new(limit, clock::now()));
        let now = clock::now();
        let _first = door.try_admit().unwrap();

        let mut waiting = std::pin::pin!(door.wait(None, now, now + Duration::from_secs(30)));
        let is_ready = is_ready_at_once(waiting.as_mut()).await;
        tokio::time::advance(Duration::from_secs(2)).await;
        let late = door.try_admit();

        assert!(!is_ready && late.is_none());
        assert!(waiting.await.is_ok());
    }

    /// Polls once.
    async fn is_ready_at_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
        std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_ready())).await
    }
}
