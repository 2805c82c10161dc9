//! A wait that shares its task with somebody who is much busier, and is asked only when it has something to say.
//!
//! A task that is woken polls all that it waits for. A client's connection is woken several times a request, and beside it wait a
//! clock, a drain, an end and the client's hang-up, of which one in a thousand ever comes; asking them all took 2,000
//! instructions a request. So they are given a waker of their own, which notes that it was them.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

/// Which of two futures was first.
pub(super) enum First<B, A> {
    /// The busy one.
    Busy(B),
    /// The one that was set aside.
    Aside(A),
}

/// Waits for either of them: `busy`, or a future that is set aside meanwhile.
pub(super) async fn beside<B: Future, A: Future>(
    mut busy: Pin<&mut B>,
    aside: A,
) -> First<B::Output, A::Output> {
    let mut aside = pin!(Aside::new(aside));
    poll_fn(|cx| match busy.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(First::Busy(done)),
        Poll::Pending => aside.as_mut().poll(cx).map(First::Aside),
    })
    .await
}

pin_project! {
    /// A future that is polled at first, and then only when it was woken itself.
    struct Aside<F> {
        #[pin]
        future: F,
        bell: Arc<Bell>,
        // What the bell wakes `future`'s task by, as far as it was told.
        told: Option<Waker>,
    }
}

/// What `future` is woken by.
#[derive(Default)]
struct Bell {
    is_rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl<F: Future> Aside<F> {
    /// Sets `future` aside.
    fn new(future: F) -> Self {
        Self {
            future,
            bell: Arc::default(),
            told: None,
        }
    }
}

impl<F: Future> Future for Aside<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let is_told = |told: &Waker| told.will_wake(cx.waker());
        if this.told.as_ref().is_some_and(is_told) {
            if !this.bell.is_rung.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        } else {
            this.bell.tell(cx.waker());
            *this.told = Some(cx.waker().clone());
        }
        // Before it is asked: if it is woken meanwhile, it will be asked again.
        this.bell.is_rung.store(false, Ordering::SeqCst);
        let own = Waker::from(Arc::clone(this.bell));
        this.future.poll(&mut Context::from_waker(&own))
    }
}

impl Bell {
    fn tell(&self, task: &Waker) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone());
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_rung.store(true, Ordering::SeqCst);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = &*task {
            task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;

    use tokio::sync::Notify;

    use super::*;

    /// Polls it once, and says whether it was ready.
    async fn is_ready(future: &mut (impl Future + Unpin)) -> bool {
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_ready())).await
    }

    #[tokio::test]
    async fn it_is_asked_once_and_then_only_when_it_was_woken() {
        let (asked, news) = (Cell::new(0), Notify::new());
        let mut notified = Box::pin(news.notified());
        let mut aside = Box::pin(Aside::new(poll_fn(|cx| {
            asked.set(asked.get() + 1);
            notified.as_mut().poll(cx)
        })));

        let before = (
            is_ready(&mut aside).await,
            is_ready(&mut aside).await,
            asked.get(),
        );
        news.notify_one();
        let after = (is_ready(&mut aside).await, asked.get());

        assert_eq!(before, (false, false, 1));
        assert_eq!(after, (true, 2));
    }

    #[tokio::test]
    async fn it_wakes_its_task() {
        let news = Arc::new(Notify::new());
        let waits = Arc::clone(&news);
        let task = tokio::task::JoinSet::from_iter([async move {
            Aside::new(waits.notified()).await;
        }]);
        tokio::task::yield_now().await;

        news.notify_one();

        assert_eq!(task.join_all().await.len(), 1);
    }
}
