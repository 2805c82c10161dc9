//! What systemd is told of this process's life (`Type=notify`, sd_notify(3)): that it serves, reloads, and ends.
//!
//! Nobody is told anything where `NOTIFY_SOCKET` is not set, and nothing depends on the answer: there is none. A message is one
//! short datagram, sent where it happens.

use sd_notify::NotifyState;

/// The listeners are bound, and whoever connects is served.
pub(super) fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// The drain has begun.
pub(super) fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells that `reload` runs, and then that it is over: `systemctl reload` returns only then.
pub(super) async fn tell_around<T>(reload: impl Future<Output = T>) -> T {
    match NotifyState::monotonic_usec_now() {
        // The time tells the answer to this reload from one that came late to an earlier one.
        Ok(since) => tell(&[NotifyState::Reloading, since]),
        Err(error) => tracing::warn!(%error, "the monotonic clock cannot be read"),
    }
    let result = reload.await;
    tell_ready();
    result
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told how this process is doing");
    }
}
