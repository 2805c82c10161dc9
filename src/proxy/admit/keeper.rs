//! The door's keeper: the controller behind one lock, those who wait, and the driver that wakes when time alone decides.
//!
//! Every event is told under the lock and then settled: decisions until there is none, the lock freed, and only then those woken
//! whom a decision named. The driver sleeps until the controller's next moment, is woken when that comes sooner than thought,
//! and ends with the door.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};
use tokio_util::task::TaskTracker;

use super::crowd::Crowd;
use super::lessons::{Lessons, Seen};
use super::{Permit, Refused};
use crate::clock;
use crate::pace::{Attempt, Controller, Decision, Mode, Params, WaiterId};

/// The controller behind its lock.
pub(super) struct Keeper {
    state: Mutex<State>,
    /// Wakes the driver.
    pub(super) alarm: Arc<Notify>,
    pub(super) crowd: Arc<Crowd>,
    /// Whether the pace is learned.
    learns: AtomicBool,
    tasks: TaskTracker,
}

/// What the lock guards.
pub(super) struct State {
    pub(super) controller: Controller,
    lessons: Lessons,
    pub(super) rng: fastrand::Rng,
    pub(super) waiters: HashMap<WaiterId, oneshot::Sender<Result<Permit, Refused>>>,
    /// When the driver looks next by itself.
    driver_at: Option<Instant>,
    was_unresponsive: bool,
    /// The route that it is named after, for the log.
    name: String,
}

/// Somebody to be woken, once the lock is free.
pub(super) type Decided = (oneshot::Sender<Result<Permit, Refused>>, Told);

/// Whose window has become unresponsive, or is so no more.
pub(super) type News = (String, bool);

/// What it is told.
pub(super) enum Told {
    Go(Attempt),
    Shed(Refused),
}

impl Keeper {
    /// Nothing is learned and nobody waits; the driver starts.
    pub(super) fn start(params: Params, crowd: Arc<Crowd>, name: &str, now: Instant) -> Arc<Self> {
        let alarm = Arc::new(Notify::new());
        let keeper = Arc::new(Self {
            state: Mutex::new(State {
                controller: Controller::new(params, now, clock::since_1970()),
                lessons: Lessons::new(),
                rng: fastrand::Rng::new(),
                waiters: HashMap::new(),
                driver_at: None,
                was_unresponsive: false,
                name: name.to_owned(),
            }),
            alarm: Arc::clone(&alarm),
            crowd,
            learns: AtomicBool::new(params.mode == Mode::Adaptive),
            tasks: TaskTracker::new(),
        });
        keeper.tasks.spawn(drive(Arc::downgrade(&keeper), alarm));
        keeper
    }

    /// Whether the pace is learned.
    pub(super) fn is_learning(&self) -> bool {
        self.learns.load(Ordering::Relaxed)
    }

    /// Follows other parameters, and another name, from now on.
    pub(super) fn follow(self: &Arc<Self>, params: Params, name: &str, now: Instant) {
        self.learns
            .store(params.mode == Mode::Adaptive, Ordering::Relaxed);
        let mut state = self.lock();
        state.controller.set_params(params, now);
        name.clone_into(&mut state.name);
        // There may be more room than before.
        self.settle(state, now);
    }

    /// Held for one event and what follows from it, never across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After an event: decides, frees the lock, wakes those who were named, and the driver if it sleeps too long now.
    pub(super) fn settle(self: &Arc<Self>, mut state: MutexGuard<'_, State>, now: Instant) {
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

    /// Wakes those who were named; the lock must be free, since a turn that nobody takes goes back under it.
    pub(super) fn tell(self: &Arc<Self>, decided: Vec<Decided>, news: Option<News>) {
        for (sender, told) in decided {
            let turn = match told {
                Told::Go(attempt) => Ok(Permit::new(self, attempt)),
                Told::Shed(refused) => Err(refused),
            };
            // Who has left meanwhile does not take its turn: dropped, it goes back.
            drop(sender.send(turn));
        }
        match news {
            Some((route, true)) => tracing::warn!(
                route,
                "throttles do not get fewer however few attempts are made, so others make them: first attempts go freely"
            ),
            Some((route, false)) => tracing::info!(route, "the learned window has its say again"),
            None => {}
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.alarm.notify_one();
    }
}

impl State {
    pub(super) fn learn(&mut self, now: Instant, attempt: &mut Attempt, seen: &Seen<'_>) {
        let lesson = self.lessons.draw(now, seen);
        self.controller
            .learn(now, attempt, lesson.feedback, &mut self.rng);
        if let Some(wait) = lesson.hold_back {
            self.controller.hold_back(now, wait);
        }
    }

    /// Decides until there is nothing to decide; says who is to be woken, and when there will be more.
    pub(super) fn decide(&mut self, now: Instant) -> (Vec<Decided>, Option<Instant>) {
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
    fn news(&mut self) -> Option<News> {
        let is = self.controller.is_unresponsive();
        let was = std::mem::replace(&mut self.was_unresponsive, is);
        (is != was).then(|| (self.name.clone(), is))
    }
}

/// Looks after what is due by time alone, for as long as there is a door.
async fn drive(keeper: Weak<Keeper>, alarm: Arc<Notify>) {
    loop {
        let next = match keeper.upgrade() {
            Some(keeper) => keeper.look(),
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
