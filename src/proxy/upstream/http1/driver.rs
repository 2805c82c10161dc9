//! Who drives an HTTP/1.1 connection: the task of the request that has it, or a task of its own.
//!
//! A connection is a future, and somebody has to poll it. The request's task does, for as long as it waits for something
//! that comes over the connection: another task would have to be woken for what is sent, and wake the request for what comes. An
//! unused connection is polled by nobody; whether it is still there is looked at when it is taken.
//!
//! Only what goes on by itself has a task of its own: an upload that is still on its way when its answer begins, since the
//! client may take nothing of that for a while; and a connection that leaves HTTP. Such a connection keeps its task, whoever has it later.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::Connection;
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::proxy::body::{BoxError, RequestBody};
use crate::proxy::upstream::wire::{Transport, Wire};

type IO = TokioIo<Wire<Transport>>;

/// What drives a connection, and closes it when it is dropped.
pub(super) struct Driver {
    by: By,
    relay: Arc<Relay>,
    waker: Waker,
    /// Held by each upload, too, until it has ended.
    uploads: Arc<()>,
}

enum By {
    /// Whoever has the connection.
    Holder(Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>),
    /// A task of its own.
    Apart(#[expect(dead_code, reason = "held for what its end ends")] Task),
    /// Nobody: the connection has ended.
    Nobody,
}

/// A task that ends when this is dropped.
struct Task(AbortHandle);

/// Wakes the task of the request that has the connection, once that has returned to wait.
///
/// hyper, the socket and TLS keep one waker for all of a connection's requests: they need not take another with each, and what is
/// sent on an unused connection does not wake the request that had it before. Taking a frame tells the connection that there
/// is room for the next one, which would wake the very task that takes it: 2,500 instructions a request.
#[derive(Default)]
struct Relay(Mutex<Woken>);

#[derive(Default)]
struct Woken {
    task: Option<Waker>,
    /// Whether it was to be woken while nobody waited.
    is_due: bool,
}

/// A request's body on its way, and the sign that it is.
pub(super) struct Upload {
    body: RequestBody,
    _is_under_way: Arc<()>,
}

impl Driver {
    /// Whoever has the connection drives it.
    pub(super) fn new(connection: Connection<IO, Upload>) -> Self {
        let relay = Arc::new(Relay::default());
        Self {
            by: By::Holder(Box::pin(connection.with_upgrades())),
            waker: Waker::from(Arc::clone(&relay)),
            relay,
            uploads: Arc::new(()),
        }
    }

    /// Polls for what comes over the connection, which is driven first unless a task does that.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let connection = match &mut self.by {
            By::Holder(connection) => connection,
            By::Apart(_) => return poll(cx),
            By::Nobody => return poll(cx),
        };
        self.relay.listen();
        let mut relayed = Context::from_waker(&self.waker);
        if let Poll::Ready(ended) = connection.as_mut().poll(&mut relayed) {
            // Dropped, it gives back a request that it has not begun with.
            self.by = By::Nobody;
            tell(ended);
        }
        let polled = poll(&mut relayed);
        if polled.is_pending() {
            self.relay.pass_on_to(cx.waker());
        }
        polled
    }

    /// Leaves it to a task to drive the connection from now on.
    pub(super) fn run_apart(&mut self, tasks: &TaskTracker) {
        self.by = match std::mem::replace(&mut self.by, By::Nobody) {
            By::Holder(connection) => {
                let task = tasks.spawn(async move { tell(connection.await) });
                By::Apart(Task(task.abort_handle()))
            }
            by => by,
        }
    }

    /// A request's body that is about to be sent.
    pub(super) fn upload(&self, body: RequestBody) -> Upload {
        Upload {
            body,
            _is_under_way: Arc::clone(&self.uploads),
        }
    }

    /// Whether a request's body is still on its way.
    pub(super) fn has_upload(&self) -> bool {
        Arc::strong_count(&self.uploads) > 1
    }
}

fn tell(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "upstream connection ended"
        );
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Relay {
    /// The connection is about to be driven: whatever wakes from now on is due.
    fn listen(&self) {
        *self.lock() = Woken::default();
    }

    /// The task waits from now on.
    fn pass_on_to(&self, task: &Waker) {
        let mut woken = self.lock();
        if woken.is_due {
            drop(woken);
            task.wake_by_ref();
        } else {
            woken.task = Some(task.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Woken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut woken = self.lock();
        woken.is_due = true;
        let task = woken.task.take();
        drop(woken);
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// What to poll with where nobody needs to be woken.
pub(super) fn silent() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl Upload {
    /// The request that it was.
    pub(super) fn taken_back(request: Request<Self>) -> Request<RequestBody> {
        request.map(|upload| upload.body)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// How often a task was woken.
    #[derive(Default)]
    struct Sleeper(AtomicU32);

    impl Wake for Sleeper {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn relay() -> (Arc<Relay>, Waker, Arc<Sleeper>) {
        let (relay, task) = (Arc::<Relay>::default(), Arc::<Sleeper>::default());
        (Arc::clone(&relay), Waker::from(relay), task)
    }

    fn woken(task: &Sleeper) -> u32 {
        task.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_task_that_waits_is_woken_once() {
        let (relay, waker, task) = relay();

        relay.listen();
        relay.pass_on_to(&Waker::from(Arc::clone(&task)));
        waker.wake_by_ref();
        waker.wake_by_ref();

        assert_eq!(woken(&task), 1);
    }

    #[test]
    fn what_comes_while_the_connection_is_driven_is_not_lost() {
        let (relay, waker, task) = relay();

        relay.listen();
        waker.wake_by_ref();
        relay.pass_on_to(&Waker::from(Arc::clone(&task)));

        assert_eq!(woken(&task), 1);
    }

    #[test]
    fn nobody_is_woken_for_what_is_looked_at_anyway() {
        let (relay, waker, task) = relay();

        waker.wake_by_ref();
        relay.listen();
        relay.pass_on_to(&Waker::from(Arc::clone(&task)));

        assert_eq!(woken(&task), 0);
    }
}
