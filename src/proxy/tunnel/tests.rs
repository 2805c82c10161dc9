//! Tunnels between two pipes, in virtual time.

use std::sync::Arc;

use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;

/// A tunnel that runs, and the two ends that its client and its upstream hold.
struct Rig {
    client: DuplexStream,
    upstream: DuplexStream,
    traffic: Arc<Traffic>,
    end: CancellationToken,
    tracker: TaskTracker,
}

impl Rig {
    fn new() -> (Self, JoinHandle<End>) {
        let (client, near) = duplex(PIPE_BYTES);
        let (upstream, far) = duplex(PIPE_BYTES);
        let (traffic, end) = (Arc::new(Traffic::new()), CancellationToken::new());
        let tracker = TaskTracker::new();
        let (seen, ended) = (Arc::clone(&traffic), end.clone());
        let running = tracker.spawn(async move { carry(near, far, &seen, &ended).await });
        let rig = Self {
            client,
            upstream,
            traffic,
            end,
            tracker,
        };
        (rig, running)
    }
}

#[tokio::test(start_paused = true)]
async fn each_direction_ends_by_itself() {
    let (mut rig, running) = Rig::new();

    rig.client.write_all(b"last words").await.unwrap();
    rig.client.shutdown().await.unwrap();
    let mut up = Vec::new();
    rig.upstream.read_to_end(&mut up).await.unwrap();
    rig.upstream.write_all(b"and the answer").await.unwrap();
    rig.upstream.shutdown().await.unwrap();
    let mut down = Vec::new();
    rig.client.read_to_end(&mut down).await.unwrap();

    assert_eq!(
        (up.as_slice(), down.as_slice()),
        (&b"last words"[..], &b"and the answer"[..])
    );
    assert_eq!(running.await.unwrap(), End::Closed);
    assert_eq!(rig.traffic.bytes(), (10, 14));
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_in_which_nothing_moves_is_closed_and_one_byte_either_way_keeps_it() {
    let (mut rig, running) = Rig::new();
    let almost = IDLE_MAX - Duration::from_secs(1);
    let mut byte = [0];

    tokio::time::sleep(almost).await;
    rig.client.write_all(b"x").await.unwrap();
    rig.upstream.read_exact(&mut byte).await.unwrap();
    tokio::time::sleep(almost).await;
    rig.upstream.write_all(b"y").await.unwrap();
    rig.client.read_exact(&mut byte).await.unwrap();
    let moved = clock::now();
    let mut rest = Vec::new();
    rig.client.read_to_end(&mut rest).await.unwrap();

    assert_eq!((byte, rest.len()), (*b"y", 0));
    assert_eq!(running.await.unwrap(), End::Idle);
    assert!(clock::now() - moved >= IDLE_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_side_that_reads_nothing_is_read_from_no_faster() {
    let (mut rig, _running) = Rig::new();

    let flood = vec![0; 64 * PIPE_BYTES];
    let sent = tokio::time::timeout(Duration::from_secs(1), rig.client.write_all(&flood)).await;

    assert!(sent.is_err(), "what nobody reads has to wait");
    assert_eq!(rig.traffic.bytes().0 / BUFFER_BYTES as u64, 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_redrive_closes_both_sides() {
    let (mut rig, running) = Rig::new();

    rig.end.cancel();
    let (mut up, mut down) = (Vec::new(), Vec::new());
    rig.upstream.read_to_end(&mut up).await.unwrap();
    rig.client.read_to_end(&mut down).await.unwrap();

    assert_eq!(running.await.unwrap(), End::Shutdown);
    rig.tracker.close();
    rig.tracker.wait().await;
}

/// Less than a tunnel holds, so that a pipe is full before the tunnel is.
const PIPE_BYTES: usize = 4096;
