//! The shell around the pace: asks the [`Controller`] for turns, waits for them, and tells it what came of them.
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
mod lessons;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio_util::task::TaskTracker;

use self::crowd::Place;
use self::lessons::Lessons;
use super::metrics::PaceGauges;
use crate::clock;
use crate::pace::{Admission, Attempt, Controller, Decision, Mode, Params, Waiter, WaiterId};

pub use self::crowd::Crowd;
pub use self::lessons::Seen;

/// The door to one upstream, or to one route that has its own.
pub struct Door(Arc<Inner>);

/// One attempt may be in flight.
pub struct Permit {
    door: Arc<Inner>,
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
    door: Arc<Inner>,
    id: WaiterId,
    turn: oneshot::Receiver<Result<Permit, Refused>>,
    /// Set once the turn came, or will not come.
    is_over: bool,
    asked: Waiter,
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

struct Inner {
    state: Mutex<State>,
    /// Wakes the driver.
    alarm: Arc<Notify>,
    params: Params,
    crowd: Arc<Crowd>,
    gauges: PaceGauges,
    tasks: TaskTracker,
}

struct State {
    controller: Controller,
    lessons: Lessons,
    rng: fastrand::Rng,
    waiters: HashMap<WaiterId, oneshot::Sender<Result<Permit, Refused>>>,
    /// When the driver looks next by itself.
    driver_at: Option<Instant>,
    was_unresponsive: bool,
}

/// Somebody to be woken, once the lock is free.
type Decided = (oneshot::Sender<Result<Permit, Refused>>, Told);

enum Told {
    Go(Attempt),
    Shed(Refused),
}

impl Door {
    /// A door with everything free; what it learns is shown in `gauges`. Needs a runtime for its driver.
    pub fn new(params: Params, crowd: Arc<Crowd>, gauges: PaceGauges, now: Instant) -> Self {
        let lenient = Params {
            // Without any wait allowed, who comes still has its one moment.
            max_wait: params.max_wait.max(WAIT_MIN),
            ..params
        };
        let alarm = Arc::new(Notify::new());
        let inner = Arc::new(Inner {
            state: Mutex::new(State {
                controller: Controller::new(lenient, now),
                lessons: Lessons::new(),
                rng: fastrand::Rng::new(),
                waiters: HashMap::new(),
                driver_at: None,
                was_unresponsive: false,
            }),
            alarm: Arc::clone(&alarm),
            params: lenient,
            crowd,
            gauges,
            tasks: TaskTracker::new(),
        });
        inner.tasks.spawn(drive(Arc::downgrade(&inner), alarm));
        Self(inner)
    }

    /// Asks for an attempt's turn.
    ///
    /// # Errors
    /// When waiting would be in vain, or too many wait.
    pub fn ask(&self, waiter: Waiter) -> Result<Asked, Refused> {
        let door = &self.0;
        let now = clock::now();
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
        if !self.0.is_learning() {
            return None;
        }
        let mut state = self.0.lock();
        let State {
            controller, rng, ..
        } = &mut *state;
        Some(controller.rest(retry_number, rng))
    }

    /// When a client that was throttled should come back, as far as that is learned.
    pub fn come_back_after(&self) -> Option<Duration> {
        let controller = &mut self.0.lock().controller;
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
        let Some(_place) = self.0.crowd.join() else {
            return false;
        };
        tokio::time::sleep(wait).await;
        true
    }

    /// Whether the pace is learned.
    pub fn is_learning(&self) -> bool {
        self.0.is_learning()
    }

    /// Brings the gauges up to date.
    pub fn show(&self) {
        let now = clock::now();
        let mut state = self.0.lock();
        let rate = state.controller.learned_per_second(now);
        let controller = &state.controller;
        let gauges = &self.0.gauges;
        gauges.window.set(controller.window());
        gauges
            .gate_closed
            .set(i64::from(controller.is_gate_closed()));
        gauges
            .unresponsive
            .set(i64::from(controller.is_unresponsive()));
        gauges.learned_per_second.set(rate.unwrap_or(0.0));
    }
}

impl Permit {
    fn new(door: &Arc<Inner>, attempt: Attempt) -> Self {
        Self {
            door: Arc::clone(door),
            attempt: Some(attempt),
        }
    }

    /// The attempt's outcome is known, while its answer's body may still be on its way.
    pub fn learn(&mut self, seen: &Seen<'_>) {
        let Some(attempt) = self.attempt.as_mut().filter(|_| self.door.is_learning()) else {
            return;
        };
        let now = clock::now();
        let mut state = self.door.lock();
        state.learn(now, attempt, seen);
        self.door.settle(state, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            let now = clock::now();
            let mut state = self.door.lock();
            state.controller.release(now, attempt);
            self.door.settle(state, now);
        }
    }
}

impl Waiting {
    /// Waits for the turn. The controller ends the wait at `pace.max_wait` and at the request's deadline.
    ///
    /// # Errors
    /// When the turn does not come in time.
    pub async fn turn(mut self) -> Result<Permit, Refused> {
        let patience = self.asked.since + self.door.params.max_wait;
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

impl Inner {
    fn is_learning(&self) -> bool {
        self.params.mode == Mode::Adaptive
    }

    /// Held for one event and what follows from it, never across an await.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After an event: decides, frees the lock, wakes those who were named, and the driver if it sleeps too long now.
    fn settle(self: &Arc<Self>, mut state: MutexGuard<'_, State>, now: Instant) {
        let (decided, next) = state.decide(now);
        let is_sooner =
            next.is_some_and(|next| state.driver_at.is_none_or(|driver_at| next < driver_at));
        if is_sooner {
            state.driver_at = next;
        }
        let news = state.news();
        drop(state);
        if is_sooner {
            self.alarm.notify_one();
        }
        self.tell(decided, news);
    }

    /// The driver's look: decides, and says when to look again.
    fn look(self: &Arc<Self>) -> Option<Instant> {
        let mut state = self.lock();
        let (decided, next) = state.decide(clock::now());
        state.driver_at = next;
        let news = state.news();
        drop(state);
        self.tell(decided, news);
        next
    }

    fn tell(self: &Arc<Self>, decided: Vec<Decided>, news: Option<bool>) {
        for (sender, told) in decided {
            let turn = match told {
                Told::Go(attempt) => Ok(Permit::new(self, attempt)),
                Told::Shed(refused) => Err(refused),
            };
            // Who has left meanwhile does not take its turn: dropped, it goes back.
            drop(sender.send(turn));
        }
        match news {
            Some(true) => tracing::warn!(
                route = self.gauges.route,
                "throttles do not get fewer however few attempts are made, so others make them: first attempts go freely"
            ),
            Some(false) => tracing::info!(
                route = self.gauges.route,
                "the learned window has its say again"
            ),
            None => {}
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.alarm.notify_one();
    }
}

impl State {
    fn learn(&mut self, now: Instant, attempt: &mut Attempt, seen: &Seen<'_>) {
        let lesson = self.lessons.draw(now, seen);
        self.controller
            .learn(now, attempt, lesson.feedback, &mut self.rng);
        if let Some(wait) = lesson.hold_back {
            self.controller.hold_back(now, wait);
        }
    }

    /// Decides until there is nothing to decide; says who is to be woken, and when there will be more.
    fn decide(&mut self, now: Instant) -> (Vec<Decided>, Option<Instant>) {
        let mut decided = Vec::new();
        while let Some(decision) = self.controller.decide(now, &mut self.rng) {
            let (waiter, told) = match decision {
                Decision::Go(waiter, attempt) => (waiter, Told::Go(attempt)),
                Decision::Shed {
                    waiter,
                    retry_after,
                } => {
                    let is_cut = self.controller.is_outage() || self.controller.is_overload();
                    let refused = Refused {
                        retry_after,
                        is_deadline: !is_cut,
                    };
                    (waiter, Told::Shed(refused))
                }
            };
            match (self.waiters.remove(&waiter), told) {
                (Some(sender), told) => decided.push((sender, told)),
                (None, Told::Go(attempt)) => self.controller.forget(now, attempt),
                (None, Told::Shed(_)) => {}
            }
        }
        (decided, self.controller.next_wake(now))
    }

    /// Whether the window has become unresponsive, or is so no more.
    fn news(&mut self) -> Option<bool> {
        let is = self.controller.is_unresponsive();
        let was = std::mem::replace(&mut self.was_unresponsive, is);
        (is != was).then_some(is)
    }
}

/// Looks after what is due by time alone, for as long as there is a door.
async fn drive(door: Weak<Inner>, alarm: Arc<Notify>) {
    loop {
        let next = match door.upgrade() {
            Some(door) => door.look(),
            None => return,
        };
        match next {
            Some(next) => {
                let _either = tokio::time::timeout_at(next.into(), alarm.notified()).await;
            }
            None => alarm.notified().await,
        }
    }
}

/// What a client is told when the process holds too many: a token bucket refills within about a second.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Who may go at once goes, even where nobody is to wait.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// The controller ends every wait. Should it ever forget one, this much later it ends all the same.
const NET: Duration = Duration::from_secs(1);

/// Bounds of what a throttled client is told, seconds: whole seconds is all that the header can say.
const COME_BACK_MIN: f64 = 1.0;
const COME_BACK_MAX: f64 = 30.0;
