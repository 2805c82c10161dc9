//! Every attempt reads the same bytes, or none.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;

use super::*;

fn memory(max_body: usize, max_total: usize) -> Arc<Memory> {
    Memory::new(Params {
        max_body,
        max_total,
    })
}

fn sized(bytes: &'static [u8]) -> RequestBody {
    Full::new(Bytes::from_static(bytes))
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn streamed() -> (Sender<Bytes, BoxError>, RequestBody) {
    let (sender, channel) = Channel::<Bytes, BoxError>::new(16);
    (sender, channel.boxed_unsync())
}

/// What goes up as chunks.
async fn frames_of(mut body: RequestBody) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.push(frame.unwrap().into_data().unwrap());
    }
    frames
}

async fn read(body: RequestBody) -> Bytes {
    body.collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn every_attempt_reads_the_same_bytes() {
    let replay = Replay::new(sized(b"one body"), true, &memory(100, 100));

    let (first, second) = (read(replay.reader()).await, read(replay.reader()).await);

    assert_eq!(first, "one body");
    assert_eq!(second, first);
    assert_eq!(replay.can_repeat(), Ok(()));
}

#[tokio::test]
async fn a_body_of_known_length_is_given_its_room_at_once() {
    let (mut client, body) = streamed();
    let body = http_body_util::combinators::UnsyncBoxBody::new(Of(20_000, body));
    let replay = Replay::new(body, true, &memory(100_000, 100_000));
    let mut reader = replay.reader();

    for _ in 0..2 {
        client.send_data(vec![0; 10_000].into()).await.unwrap();
        reader.frame().await.unwrap().unwrap();
        let state = replay.0.as_ref().unwrap().lock();
        assert_eq!(state.tail.capacity(), 20_000);
    }
}

/// A body of which the length is known.
struct Of(u64, RequestBody);

impl Body for Of {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        std::pin::Pin::new(&mut self.1).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

#[tokio::test]
async fn a_later_attempt_reads_the_copy_and_goes_on_with_the_live_stream() {
    let (mut client, body) = streamed();
    let replay = Replay::new(body, true, &memory(100, 100));

    client
        .send_data(Bytes::from_static(b"early "))
        .await
        .unwrap();
    let mut first = replay.reader();
    let early = first.frame().await.unwrap().unwrap().into_data().unwrap();
    let second = replay.reader();
    client.send_data(Bytes::from_static(b"late")).await.unwrap();
    drop(client);

    assert_eq!(early, "early ");
    assert_eq!(read(second).await, "early late");
    assert!(
        first.frame().await.unwrap().is_err(),
        "the first attempt's reader is over"
    );
}

#[tokio::test(start_paused = true)]
async fn a_superseded_reader_that_waits_is_woken_and_ends() {
    let (client, body) = streamed();
    let replay = Arc::new(Replay::new(body, true, &memory(100, 100)));
    let mut first = replay.reader();
    let waiting = tokio::task::LocalSet::new();

    let ended = waiting.run_until(async {
        let reading =
            tokio::task::spawn_local(async move { first.frame().await.unwrap().is_err() });
        tokio::task::yield_now().await;
        let _second = replay.reader();
        tokio::time::timeout(Duration::from_secs(1), reading).await
    });

    assert!(ended.await.expect("the reader is woken").unwrap());
    drop(client);
}

#[tokio::test]
async fn trailers_are_repeated() {
    let (mut client, body) = streamed();
    let replay = Replay::new(body, true, &memory(100, 100));
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", HeaderValue::from_static("abc"));

    client.send_data(Bytes::from_static(b"body")).await.unwrap();
    client
        .send(Frame::trailers(trailers.clone()))
        .await
        .unwrap();
    drop(client);

    for _ in 0..2 {
        let collected = replay.reader().collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "body");
    }
}

#[tokio::test]
async fn a_body_at_the_limit_is_kept_and_one_byte_more_is_not() {
    let at_limit = Replay::new(sized(b"12345678"), true, &memory(8, 100));
    let above = Replay::new(sized(b"123456789"), true, &memory(8, 100));

    assert_eq!(read(at_limit.reader()).await, "12345678");
    assert_eq!(
        read(above.reader()).await,
        "123456789",
        "the running attempt goes on"
    );

    assert_eq!(at_limit.can_repeat(), Ok(()));
    assert_eq!(above.can_repeat(), Err(Reason::BodyTooLarge));
}

#[tokio::test]
async fn a_streamed_body_past_the_limit_gives_its_memory_back_and_goes_on() {
    let memory = memory(8, 100);
    let (mut client, body) = streamed();
    let replay = Replay::new(body, true, &memory);
    let mut reader = replay.reader();

    client
        .send_data(Bytes::from_static(b"12345678"))
        .await
        .unwrap();
    reader.frame().await.unwrap().unwrap();
    let kept_at_limit = memory.used();
    client.send_data(Bytes::from_static(b"9")).await.unwrap();
    let last = reader.frame().await.unwrap().unwrap().into_data().unwrap();

    assert_eq!((kept_at_limit, memory.used()), (8 + FRAME_COST, 0));
    assert_eq!(last, "9");
    assert_eq!(replay.can_repeat(), Err(Reason::BodyTooLarge));
    assert!(
        replay.reader().frame().await.unwrap().is_err(),
        "what is not whole is never sent again"
    );
}

#[tokio::test]
async fn the_process_never_keeps_more_than_its_limit() {
    let memory = memory(8, 12);

    let first = Replay::new(sized(b"12345678"), true, &memory);
    let second = Replay::new(sized(b"12345678"), true, &memory);
    read(second.reader()).await;

    assert_eq!(second.can_repeat(), Err(Reason::Memory));
    assert_eq!(memory.used(), 8);
    drop(first);
    assert_eq!(memory.used(), 0, "what a request kept goes with it");
}

#[tokio::test]
async fn a_body_that_no_reader_touched_can_be_sent_however_large() {
    let replay = Replay::new(sized(b"123456789"), true, &memory(8, 100));

    drop(replay.reader());

    assert_eq!(replay.can_repeat(), Ok(()));
    assert_eq!(read(replay.reader()).await, "123456789");
}

#[tokio::test]
async fn nothing_is_kept_of_a_body_that_may_not_be_sent_again() {
    let memory = memory(100, 100);
    let replay = Replay::new(sized(b"once"), false, &memory);

    assert_eq!(memory.used(), 0);
    assert_eq!(read(replay.reader()).await, "once");
    assert!(replay.reader().frame().await.unwrap().is_err());
}

#[tokio::test]
async fn a_forgotten_copy_is_freed_once_the_running_attempt_is_past_it() {
    let memory = memory(100, 100);
    let (mut client, body) = streamed();
    let replay = Replay::new(body, true, &memory);
    client.send_data(Bytes::from_static(b"copy")).await.unwrap();
    replay.reader().frame().await.unwrap().unwrap();
    let mut second = replay.reader();

    replay.forget();
    let copied = second.frame().await.unwrap().unwrap().into_data().unwrap();
    client.send_data(Bytes::from_static(b"live")).await.unwrap();
    let live = second.frame().await.unwrap().unwrap().into_data().unwrap();

    assert_eq!(
        (copied.as_ref(), live.as_ref()),
        (b"copy".as_ref(), b"live".as_ref())
    );
    assert_eq!(memory.used(), 0);
}

#[tokio::test]
async fn a_body_that_fails_says_so_to_every_reader() {
    let (client, body) = streamed();
    let replay = Replay::new(body, true, &memory(100, 100));

    client.abort("bad chunk".into());
    let first = replay.reader().collect().await;
    let second = replay.reader().collect().await;

    assert!(first.is_err() && second.is_err());
    assert_eq!(replay.failure().unwrap().to_string(), "bad chunk");
}

proptest! {
    #[test]
    fn a_repeated_body_is_equal_to_the_byte_wherever_the_first_attempt_ended(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..10),
        read_before in 0..10usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut client, body) = streamed();
            let replay = Replay::new(body, true, &memory(10_000, 10_000));
            for frame in &frames {
                client.send_data(Bytes::from(frame.clone())).await.unwrap();
            }
            drop(client);

            let mut first = replay.reader();
            for _ in 0..read_before {
                let _end_or_frame = first.frame().await;
            }

            assert_eq!(frames_of(replay.reader()).await, frames);
            assert_eq!(frames_of(replay.reader()).await, frames);
        });
    }
}
