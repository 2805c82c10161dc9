//! Credentials, kept fresh by one task: no request asks for any, so however many come, they are fetched once.
//!
//! What was fetched is used until it expires; long before that it is fetched anew, and a fetch that fails leaves the old
//! ones in use while they hold. Without any, a request is told so at once: nothing is sent unsigned, and nobody waits for
//! what may never come. Only before the first fetch has ended do requests wait for it.

use std::error::Error;
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::clock;

/// Who keeps credentials. The task ends with it.
pub(super) struct Keeper {
    state: watch::Receiver<State>,
    _task: JoinSet<()>,
}

/// What there is.
#[derive(Clone, Debug)]
enum State {
    /// Nobody knows yet.
    Fetching,
    /// These.
    Held(Credentials),
    /// None.
    Missing,
}

impl Keeper {
    /// Begins to fetch.
    pub(super) fn start<F, E>(fetch: impl Fn() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Error + Send + 'static,
    {
        let (sender, state) = watch::channel(State::Fetching);
        let mut task = JoinSet::new();
        task.spawn(keep(fetch, sender));
        Self { state, _task: task }
    }

    /// Credentials that hold now; before the first fetch has ended it is waited for, until `by` or [`WAIT_MAX`] at most.
    pub(super) async fn credentials(&self, by: Instant) -> Option<Credentials> {
        let mut state = self.state.clone();
        let by = by.min(clock::now() + WAIT_MAX);
        let known = state.wait_for(|state| !matches!(state, State::Fetching));
        let known = tokio::time::timeout_at(by.into(), known).await.ok()?.ok()?;
        match &*known {
            State::Held(held) if holds(held, clock::wall()) => Some(held.clone()),
            _ => None,
        }
    }
}

/// Fetches for ever.
async fn keep<F, E>(fetch: impl Fn() -> F, state: watch::Sender<State>)
where
    F: Future<Output = Result<Credentials, E>>,
    E: Error + 'static,
{
    let mut failed = 0;
    loop {
        let rest = match timeout(FETCH_MAX, fetch()).await {
            Ok(Ok(credentials)) => {
                let rest = fresh_for(credentials.expiry(), clock::wall());
                if failed > 0 || matches!(*state.borrow(), State::Fetching) {
                    tracing::info!("there are credentials to sign with");
                }
                state.send_replace(State::Held(credentials));
                failed = 0;
                rest
            }
            Ok(Err(error)) => failure(&mut failed, &error, &state),
            Err(late) => failure(&mut failed, &late, &state),
        };
        tokio::time::sleep(rest).await;
    }
}

/// Notes that a fetch failed, and says when to try again.
fn failure(
    failed: &mut u32,
    error: &(dyn Error + 'static),
    state: &watch::Sender<State>,
) -> Duration {
    let is_held = matches!(&*state.borrow(), State::Held(held) if holds(held, clock::wall()));
    let was_missing = matches!(*state.borrow(), State::Missing);
    if !is_held {
        state.send_replace(State::Missing);
    }
    // Told when it begins, and when the old ones are used up; not for every try in between.
    if *failed == 0 || !is_held && !was_missing {
        tracing::error!(
            error,
            is_held,
            "no credentials to sign with could be fetched; without any, nothing is sent"
        );
    }
    let rest = RETRY_MIN.saturating_mul(1 << (*failed).min(RETRY_DOUBLINGS));
    *failed = failed.saturating_add(1);
    rest
}

fn holds(credentials: &Credentials, now: SystemTime) -> bool {
    credentials.expiry().is_none_or(|expiry| expiry > now)
}

/// How long credentials that expire then need not be fetched again.
fn fresh_for(expiry: Option<SystemTime>, now: SystemTime) -> Duration {
    let Some(expiry) = expiry else {
        return LOOK_EVERY;
    };
    let left = expiry.duration_since(now).unwrap_or_default();
    let ahead = AHEAD.min(left / 2);
    (left - ahead).clamp(RETRY_MIN, LOOK_EVERY)
}

/// The longest that a fetch may take, through the whole chain: EC2 alone is asked up to four times.
const FETCH_MAX: Duration = Duration::from_secs(15);

/// The longest that a request waits for the end of the first fetch; then it is answered that there are none.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// So long before they expire, credentials are fetched anew; those that live for less than twice that, at half their life.
/// EC2 has new ones five minutes ahead.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// So often, credentials are fetched anew that hold for longer, or for ever: a profile or a role may be changed under them.
const LOOK_EVERY: Duration = Duration::from_secs(15 * 60);

/// The pause after the first fetch that failed; it doubles with each one more, up to 32 s.
const RETRY_MIN: Duration = Duration::from_secs(1);

/// How often the pause doubles.
const RETRY_DOUBLINGS: u32 = 5;

#[cfg(test)]
mod tests;
