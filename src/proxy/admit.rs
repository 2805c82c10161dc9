//! The shell around the pace: asks the [`Controller`](crate::pace::Controller) for turns, waits for them, and tells it what came of them.
//!
//! A [`Door`] stands before one upstream, or before one route that has its own pace. Every event goes through one short lock, held
//! for no await: the event itself, then decisions until there is none, then exactly those are woken whom a decision named. What
//! is due by time alone is looked after by the door's driver, a task that sleeps until the controller's next moment and ends
//! with the door.
//!
//! A [`Permit`] is one attempt's turn. It is told what came of the attempt as soon as that is known, and gives its place back
//! when it is dropped. Dropping the future of a waiting request takes it out of the queue at once; if its turn had come just
//! then, that goes back, too.

mod crowd;
mod keeper;
mod lessons;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::crowd::Place;
use self::keeper::{Keeper, State};
use super::metrics::PaceGauges;
use super::slow::SlowUploads;
use crate::clock;
use crate::pace::{Admission, Attempt, Mode, Params, Snapshot, Waiter, WaiterId};

pub use self::crowd::Crowd;
pub use self::lessons::Seen;

/// The door to one upstream, or to one route that has its own. After a reload another one stands for the same door; who asked at
/// this one keeps the patience that it had.
pub struct Door {
    keeper: Arc<Keeper>,
    params: Params,
    gauges: PaceGauges,
    slow_uploads: SlowUploads,
}

/// One attempt may be in flight.
pub struct Permit {
    door: Arc<Keeper>,
    attempt: Option<Attempt>,
}

/// What one who asks for a turn is told at once.
pub enum Asked {
    /// It may go now.
    Go(Permit),
    /// It has to wait for its turn.
    Wait(Waiting),
}

/// One who waits for its turn.
pub struct Waiting {
    door: Arc<Keeper>,
    id: WaiterId,
    turn: oneshot::Receiver<Result<Permit, Refused>>,
    /// Set once the turn came, or will not come.
    is_over: bool,
    asked: Waiter,
    max_wait: Duration,
    _place: Place,
}

/// No turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When it is worth asking again.
    pub retry_after: Duration,
    /// Whether it was the request's own deadline, and not the crowd before it.
    pub is_deadline: bool,
}

impl Door {
    /// A door with everything free; what it learns is shown in `gauges`. Needs a runtime for its driver.
    pub fn new(params: Params, crowd: Arc<Crowd>, gauges: PaceGauges, now: Instant) -> Self {
        let params = sound(params);
        Self {
            keeper: Keeper::start(params, crowd, &gauges.route, now),
            params,
            gauges,
            slow_uploads: SlowUploads::new(params.max_in_flight),
        }
    }

    /// The same door by other parameters. What was learned stays, and so do those who wait.
    pub fn follow(&self, params: Params, gauges: PaceGauges, now: Instant) -> Self {
        let params = sound(params);
        self.keeper.follow(params, &gauges.route, now);
        Self {
            keeper: Arc::clone(&self.keeper),
            params,
            gauges,
            slow_uploads: self.slow_uploads.follow(params.max_in_flight),
        }
    }

    /// Asks for an attempt's turn.
    ///
    /// # Errors
    /// When waiting would be in vain, or too many wait.
    pub fn ask(&self, now: Instant, waiter: Waiter) -> Result<Asked, Refused> {
        let door = &self.keeper;
        let mut state = door.lock();
        let State {
            controller, rng, ..
        } = &mut *state;
        let admission = controller.arrive(now, waiter, rng);
        let asked = match admission {
            Admission::Go(attempt) => {
                // It changes nothing for those who wait, since nobody does.
                drop(state);
                return Ok(Asked::Go(Permit::new(door, attempt)));
            }
            Admission::Wait(id) => match door.crowd.join() {
                Some(place) => {
                    let (sender, turn) = oneshot::channel();
                    state.waiters.insert(id, sender);
                    Ok(Asked::Wait(Waiting {
                        door: Arc::clone(door),
                        id,
                        turn,
                        is_over: false,
                        asked: waiter,
                        max_wait: self.params.max_wait,
                        _place: place,
                    }))
                }
                None => {
                    state.controller.leave(now, id);
                    Err(Refused::by_the_crowd(RETRY_AFTER))
                }
            },
            Admission::Shed { retry_after } => Err(Refused {
                retry_after,
                is_deadline: now >= waiter.start_by,
            }),
        };
        door.settle(state, now);
        asked
    }

    /// How long a retry should rest after a throttle-like outcome, before it asks for its turn: the `retry_number`th of its
    /// request, from 1. `None` where nothing is learned, so that the policy's backoff says it.
    pub fn rest(&self, retry_number: u32) -> Option<Duration> {
        if !self.is_learning() {
            return None;
        }
        let mut state = self.keeper.lock();
        let State {
            controller, rng, ..
        } = &mut *state;
        Some(controller.rest(retry_number, rng))
    }

    /// When a client that was throttled should come back, as far as that is learned.
    pub fn come_back_after(&self) -> Option<Duration> {
        let controller = &mut self.keeper.lock().controller;
        let rate = controller.learned_per_second(clock::now())?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a crowd is far smaller than 2^52"
        )]
        let seconds = (controller.waiting() + 1) as f64 / rate;
        Some(Duration::from_secs_f64(
            seconds.clamp(COME_BACK_MIN, COME_BACK_MAX),
        ))
    }

    /// The wait before a retry. It takes no permit, but it is waiting: where the crowd is full, nobody joins it.
    ///
    /// Returns whether there was room to wait.
    pub async fn back_off(&self, wait: Duration) -> bool {
        let Some(_place) = self.keeper.crowd.join() else {
            return false;
        };
        tokio::time::sleep(wait).await;
        true
    }

    /// Whether the pace is learned.
    pub fn is_learning(&self) -> bool {
        self.params.mode == Mode::Adaptive
    }

    /// The places of uploads that keep their turn for long.
    pub fn slow_uploads(&self) -> &SlowUploads {
        &self.slow_uploads
    }

    /// The route that it is named after.
    pub fn label(&self) -> &str {
        &self.gauges.route
    }

    /// The route that it is named after, and what can be seen of its pace now. Brings its gauges up to date.
    pub fn show(&self) -> (&str, Snapshot) {
        let seen = self.keeper.lock().controller.snapshot(clock::now());
        self.gauges.show(&seen);
        (&self.gauges.route, seen)
    }
}

impl Permit {
    fn new(door: &Arc<Keeper>, attempt: Attempt) -> Self {
        Self {
            door: Arc::clone(door),
            attempt: Some(attempt),
        }
    }

    /// The attempt's outcome is known, while its answer's body may still be on its way.
    pub fn learn(&mut self, now: Instant, seen: &Seen<'_>) {
        let Some(attempt) = self.attempt.as_mut().filter(|_| self.door.is_learning()) else {
            return;
        };
        let mut state = self.door.lock();
        state.learn(now, attempt, seen);
        self.door.settle(state, now);
    }

    /// The turn ends; dropped, it ends as well.
    pub fn release(mut self, now: Instant) {
        self.end(now);
    }

    fn end(&mut self, now: Instant) {
        if let Some(attempt) = self.attempt.take() {
            let mut state = self.door.lock();
            state.controller.release(now, attempt);
            self.door.settle(state, now);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.attempt.is_some() {
            self.end(clock::now());
        }
    }
}

impl Waiting {
    /// Waits for the turn. The controller ends the wait at `pace.max_wait` and at the request's deadline.
    ///
    /// # Errors
    /// When the turn does not come in time.
    pub async fn turn(mut self) -> Result<Permit, Refused> {
        let patience = self.asked.since + self.max_wait;
        let deadline = self
            .asked
            .answer_by
            .map_or(self.asked.start_by, |end| end.min(self.asked.start_by));
        let net = deadline.min(patience) + NET;
        let told = tokio::time::timeout_at(net.into(), &mut self.turn).await;
        let told = match told {
            Ok(Ok(told)) => {
                self.is_over = true;
                told
            }
            Ok(Err(_)) | Err(_) => Err(Refused {
                retry_after: RETRY_AFTER,
                is_deadline: true,
            }),
        };
        told.map_err(|refused| Refused {
            is_deadline: refused.is_deadline && deadline <= patience,
            ..refused
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let now = clock::now();
        let mut state = self.door.lock();
        // If a decision has named it already, its turn is in the channel, or on the way there, and goes back when that is
        // dropped.
        if state.controller.leave(now, self.id) {
            state.waiters.remove(&self.id);
        }
        self.door.settle(state, now);
    }
}

impl Refused {
    /// The process ends before a turn comes; another one may serve the request soon.
    pub fn by_the_drain() -> Self {
        Self::by_the_crowd(RETRY_AFTER)
    }

    fn by_the_crowd(retry_after: Duration) -> Self {
        Self {
            retry_after,
            is_deadline: false,
        }
    }
}

fn sound(params: Params) -> Params {
    Params {
        // Without any wait allowed, who comes still has its one moment.
        max_wait: params.max_wait.max(WAIT_MIN),
        ..params
    }
}

/// Who may go at once goes, even where nobody is to wait.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// What a client is told when the process holds too many: a token bucket refills within about a second.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The controller ends every wait. Should it ever forget one, this much later it ends all the same.
const NET: Duration = Duration::from_secs(1);

/// Bounds of what a throttled client is told, seconds: whole seconds is all that the header can say.
const COME_BACK_MIN: f64 = 1.0;
const COME_BACK_MAX: f64 = 30.0;
