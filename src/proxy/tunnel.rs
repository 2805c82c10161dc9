//! Tunnels: connections that left HTTP by an upgrade, such as WebSockets. Bytes in, the same bytes out, both ways.
//!
//! A tunnel begins when both sides have switched: the upstream's 101 has come, and its head has gone out to the client. Each
//! direction ends by itself and is passed on as the end of that direction only; the tunnel ends with the second. It ends
//! earlier when either connection breaks, when nothing has moved for [`IDLE_MAX`], or when redrive stops; then both
//! connections are closed. What was sent right behind the handshake is part of it, and handed over with the connection.
//!
//! A tunnel is no request: it has no deadline and no turn at the door, and its request was counted when the 101 went out. It
//! keeps its place among the connections of both sides, and a drain waits for it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::upstream::Switched;
use crate::clock;
use crate::handover::Handover;

/// Every open tunnel.
pub struct Tunnels {
    tasks: TaskTracker,
    end: CancellationToken,
    open: IntGauge,
}

/// Counts a tunnel as open.
struct Open(IntGauge);

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both sides closed their direction.
    Closed,
    /// A connection broke.
    Broken,
    /// Nothing moved.
    Idle,
    /// redrive stops.
    Shutdown,
}

/// What a tunnel has carried so far, and when it last did.
#[derive(Debug)]
struct Traffic {
    moved: Mutex<Instant>,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
}

impl Tunnels {
    /// None yet; `open` counts them.
    pub fn new(open: IntGauge) -> Self {
        Self {
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
            open,
        }
    }

    /// Opens a tunnel between two connections that are about to leave HTTP.
    pub fn open(&self, client: Handover, upstream: Switched, route: String) {
        let open = Open::new(self.open.clone());
        let end = self.end.clone();
        self.tasks.spawn(async move {
            let _open = open;
            let client = async { client.taken().await.ok() };
            let switched = switched(client, upstream.into_parts(), &end).await;
            let Some((client, (upstream, _place))) = switched else {
                return;
            };
            let (traffic, began) = (Traffic::new(), clock::now());
            let ended = carry(client, upstream, &traffic, &end).await;
            let lasted = clock::now().saturating_duration_since(began);
            tell(&route, ended, lasted, &traffic);
        });
    }

    /// Closes every tunnel there is.
    pub fn cut_off(&self) {
        self.end.cancel();
    }

    /// Closes every tunnel when what is returned is dropped.
    pub fn end_with(&self) -> DropGuard {
        self.end.clone().drop_guard()
    }
}

/// Both connections once they have left HTTP; `None` as soon as it is known that one of them never does.
async fn switched<C, U>(
    client: impl Future<Output = Option<C>>,
    upstream: impl Future<Output = Option<U>>,
    end: &CancellationToken,
) -> Option<(C, U)> {
    let both = async {
        let client = async { client.await.ok_or(()) };
        let upstream = async { upstream.await.ok_or(()) };
        tokio::try_join!(client, upstream)
    };
    let joined = tokio::select! {
        joined = tokio::time::timeout(SWITCH_MAX, both) => joined,
        () = end.cancelled() => return None,
    };
    match joined {
        Ok(Ok(both)) => Some(both),
        Ok(Err(())) => {
            tracing::debug!("no tunnel: one side left before it had switched");
            None
        }
        Err(_) => {
            tracing::debug!("no tunnel: the client did not take its 101 in time");
            None
        }
    }
}

/// Carries bytes both ways until the tunnel ends, and closes both sides.
async fn carry<C, U>(
    mut client: C,
    mut upstream: U,
    traffic: &Traffic,
    end: &CancellationToken,
) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let ended = {
        let (from_client, to_client) = tokio::io::split(&mut client);
        let (from_upstream, to_upstream) = tokio::io::split(&mut upstream);
        // Joined and not raced: the end of one direction says nothing about the other.
        let both = async {
            tokio::try_join!(
                pass_on(from_client, to_upstream, &traffic.up_bytes, traffic),
                pass_on(from_upstream, to_client, &traffic.down_bytes, traffic),
            )
        };
        tokio::select! {
            done = both => if done.is_ok() { End::Closed } else { End::Broken },
            () = traffic.idle() => End::Idle,
            () = end.cancelled() => End::Shutdown,
        }
    };
    if matches!(ended, End::Idle | End::Shutdown) {
        let closed = async { tokio::join!(client.shutdown(), upstream.shutdown()) };
        // Whoever does not take even that is closed without it.
        let _closed_or_not = tokio::time::timeout(CLOSE_MAX, closed).await;
    }
    ended
}

/// Passes on what comes, to its end, which is passed on too.
async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    bytes: &AtomicU64,
    traffic: &Traffic,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        traffic.moves();
        if read == 0 {
            // That the other side is gone already is for the other direction to find.
            let _gone_already = to.shutdown().await;
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        traffic.moves();
        bytes.fetch_add(read as u64, Ordering::Relaxed);
    }
}

fn tell(route: &str, ended: End, lasted: Duration, traffic: &Traffic) {
    let (up_bytes, down_bytes) = traffic.bytes();
    let (end, lasted_seconds) = (ended.as_str(), lasted.as_secs_f64());
    // How a tunnel ends is mostly the two sides' own affair.
    if matches!(ended, End::Idle | End::Shutdown) {
        tracing::info!(
            route,
            end,
            lasted_seconds,
            up_bytes,
            down_bytes,
            "tunnel closed"
        );
    } else {
        tracing::debug!(
            route,
            end,
            lasted_seconds,
            up_bytes,
            down_bytes,
            "tunnel ended"
        );
    }
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Idle => "idle",
            Self::Shutdown => "shutdown",
        }
    }
}

impl Traffic {
    fn new() -> Self {
        Self {
            moved: Mutex::new(clock::now()),
            up_bytes: AtomicU64::new(0),
            down_bytes: AtomicU64::new(0),
        }
    }

    fn bytes(&self) -> (u64, u64) {
        let bytes = |of: &AtomicU64| of.load(Ordering::Relaxed);
        (bytes(&self.up_bytes), bytes(&self.down_bytes))
    }

    fn moves(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = clock::now();
    }

    /// Waits until nothing has moved either way for too long.
    async fn idle(&self) {
        loop {
            let moved = *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
            let due = moved + IDLE_MAX;
            if due <= clock::now() {
                return;
            }
            tokio::time::sleep_until(due.into()).await;
        }
    }
}

impl Open {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A tunnel in which nothing moves for this long is closed. API Gateway closes an idle WebSocket after 10 minutes, so whoever
/// keeps one open through it sends more often than that.
pub const IDLE_MAX: Duration = Duration::from_mins(10);

/// How long the client may take to read the 101, and both connections to leave HTTP.
const SWITCH_MAX: Duration = Duration::from_secs(10);

/// How long a side may take to be told that its tunnel is closed.
const CLOSE_MAX: Duration = Duration::from_millis(100);

/// What is read at once, and held at most, in each direction.
const BUFFER_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
