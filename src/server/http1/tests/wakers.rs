//! Whoever reads an upload and whoever writes its answer are two tasks on one connection: each is woken for its own.

use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;

/// A stream that takes whatever is written and lets it go when it is flushed and there is room, as TLS does. Of each side it wakes only
/// who waited last, as all streams do.
#[derive(Clone)]
struct Line(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    said: Vec<u8>,
    reader: Option<Waker>,
    /// How much more is taken before somebody waits.
    room: usize,
    has_room: bool,
    writer: Option<Waker>,
}

impl Line {
    /// One that takes so much before somebody waits.
    fn with_room(room: usize) -> Self {
        let state = State {
            room,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The client says this.
    fn says(&self, bytes: &[u8]) {
        let mut state = self.0.lock().unwrap();
        state.said.extend_from_slice(bytes);
        state.reader.take().unwrap().wake();
    }

    /// The client takes all that was written.
    fn takes(&self) {
        let mut state = self.0.lock().unwrap();
        (state.room, state.has_room) = (usize::MAX, true);
        state.writer.take().unwrap().wake();
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock().unwrap();
        if state.said.is_empty() {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        buf.put_slice(&std::mem::take(&mut state.said));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock().unwrap();
        if state.room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = buf.len().min(state.room);
        state.room -= taken;
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock().unwrap();
        if state.has_room {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A task that only notes that it was woken.
#[derive(Default)]
struct Task(AtomicBool);

impl Task {
    fn poll<T>(self: &Arc<Self>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let waker = Waker::from(Arc::clone(self));
        poll(&mut Context::from_waker(&waker))
    }

    /// Whether it was woken since the last time.
    fn is_woken(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn who_reads_the_upload_and_who_writes_the_answer_are_woken_each_for_its_own() {
    let (sender, mut bodies) = tokio::sync::mpsc::unbounded_channel();
    let answers_at_once = move |request: Request<Upload>| -> Answer {
        sender.send(request.into_body()).unwrap();
        answers(Request::new(Upload::nothing()))
    };
    let line = Line::with_room(usize::MAX);
    let mut rig = Rig::over(answers_at_once, false, |_| Box::new(line.clone())).await;
    let (carrier, reader) = (Arc::<Task>::default(), Arc::<Task>::default());
    assert!(
        carrier
            .poll(|cx| rig.carried.as_mut().poll(cx))
            .is_pending()
    );
    line.says(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n");
    assert!(carrier.is_woken());

    assert!(
        carrier
            .poll(|cx| rig.carried.as_mut().poll(cx))
            .is_pending()
    );
    let mut body = bodies.try_recv().unwrap();
    let mut reads = || reader.poll(|cx| Pin::new(&mut body).poll_frame(cx));
    assert!(reads().is_pending());
    line.takes();
    assert_eq!((carrier.is_woken(), reader.is_woken()), (true, false));

    assert!(
        carrier
            .poll(|cx| rig.carried.as_mut().poll(cx))
            .is_pending()
    );
    line.says(b"body");
    assert_eq!((carrier.is_woken(), reader.is_woken()), (false, true));
    let read = reads().map(|frame| frame.unwrap().unwrap().into_data().unwrap());
    assert_eq!(read, Poll::Ready(Bytes::from_static(b"body")));
    assert!(
        carrier.is_woken(),
        "the body is over, and the next request may come"
    );
}

#[tokio::test]
async fn who_waits_to_say_a_go_ahead_reads_on_when_the_answer_comes_first() {
    // Nothing of the go-ahead fits in, or a part of it.
    for room in [0, 10] {
        let (sender, mut bodies) = tokio::sync::mpsc::unbounded_channel();
        let may_answer = Arc::new(Notify::new());
        let may = Arc::clone(&may_answer);
        let answers_later = move |request: Request<Upload>| -> Answer {
            let may = Arc::clone(&may);
            sender.send(request.into_body()).unwrap();
            Box::pin(async move {
                may.notified().await;
                whole("answer")
            })
        };
        let line = Line::with_room(room);
        let mut rig = Rig::over(answers_later, false, |_| Box::new(line.clone())).await;
        let (carrier, reader) = (Arc::<Task>::default(), Arc::<Task>::default());
        let mut carries = || carrier.poll(|cx| rig.carried.as_mut().poll(cx));
        assert!(carries().is_pending());
        line.says(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
        assert!(carries().is_pending());
        let mut body = bodies.try_recv().unwrap();
        let mut reads = || reader.poll(|cx| Pin::new(&mut body).poll_frame(cx));
        assert!(reads().is_pending());

        may_answer.notify_one();
        assert!(carries().is_pending());
        assert!(reader.is_woken() && reads().is_pending(), "{room}");
        carrier.is_woken();
        line.takes();
        assert!(carrier.is_woken() && carries().is_pending(), "{room}");
        if reader.is_woken() {
            assert!(reads().is_pending());
        }
        line.says(b"body");

        assert!(reader.is_woken(), "{room}");
        let read = reads().map(|frame| frame.unwrap().unwrap().into_data().unwrap());
        assert_eq!(read, Poll::Ready(Bytes::from_static(b"body")));
    }
}
