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

#[tokio::test(start_paused = true)]
async fn a_side_that_never_switches_is_found_out_at_once_and_lets_go_of_the_other() {
    let end = CancellationToken::new();
    let (never, gone) = (std::future::pending::<Option<()>>, async || None::<()>);
    let began = clock::now();

    assert_eq!(switched(gone(), never(), &end).await, None);
    assert_eq!(switched(never(), gone(), &end).await, None);

    assert_eq!(clock::now(), began);
}

#[tokio::test(start_paused = true)]
async fn a_side_that_does_not_switch_in_time_is_not_waited_for() {
    let end = CancellationToken::new();
    let (never, there) = (std::future::pending::<Option<()>>, async || Some(()));
    let began = clock::now();

    assert_eq!(switched(there(), there(), &end).await, Some(((), ())));
    assert_eq!(clock::now(), began);
    assert_eq!(switched(never(), there(), &end).await, None);
    assert_eq!(clock::now(), began + SWITCH_MAX);
    end.cancel();
    assert_eq!(switched(never(), there(), &end).await, None);
    assert_eq!(clock::now(), began + SWITCH_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_side_that_breaks_ends_the_tunnel_for_the_other() {
    for client_breaks in [true, false] {
        let (
            Rig {
                mut client,
                mut upstream,
                ..
            },
            running,
        ) = Rig::new();
        let other = if client_breaks {
            drop(client);
            &mut upstream
        } else {
            drop(upstream);
            &mut client
        };

        // What it sends to who is gone breaks the tunnel.
        other.write_all(b"still here").await.unwrap();
        let mut rest = Vec::new();
        other.read_to_end(&mut rest).await.unwrap();

        assert_eq!(running.await.unwrap(), End::Broken);
    }
}

/// Less than a tunnel holds, so that a pipe is full before the tunnel is.
const PIPE_BYTES: usize = 4096;
