//! Clients that mean harm, against the started program: what they cost it, and that everybody else is served meanwhile.
//!
//! Memory is the process's own, as the kernel tells it, so these run one program each and look from outside. All is bounded in
//! count and time, and stays on loopback.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so and where"
)]

#[path = "../battery/script.rs"]
#[expect(dead_code, reason = "shared with the battery")]
mod script;
#[path = "../h2/wire.rs"]
#[expect(dead_code, reason = "shared with the tests of HTTP/2")]
mod wire;

mod http2;
mod victim;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::victim::{MEBIBYTE, Origin, Victim, descriptors};

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

/// What a connection may cost that does nothing, what the kernel holds for it aside.
const IDLE_CONNECTION_BYTES_MAX: usize = 6 << 10;

#[test]
fn ten_thousand_idle_connections_cost_little_and_keep_nobody_out() {
    // Each takes one descriptor here and one there. Where fewer are allowed, fewer are tried.
    let count = 10_000.min(descriptors() - 500);
    let origin = Origin::answering(GOOD);
    let victim = Victim::before(&origin, &[("REDRIVE_CLIENT__MAX_CONNECTIONS", "20000")]);
    assert_eq!(victim.get(), 200);
    let before = victim.memory();

    let mut idle: Vec<TcpStream> = Vec::new();
    while idle.len() < count {
        // In parts that the backlog holds, however busy the machine is.
        let part = (count - idle.len()).min(2_000);
        idle.extend((0..part).map(|_| victim.connect()));
        victim.reaches("redrive_client_connections", idle.len());
    }

    assert_eq!(victim.get(), 200);
    let each = victim.memory().saturating_sub(before) / count;
    println!("{count} idle connections, {each} bytes each");
    assert!(each <= IDLE_CONNECTION_BYTES_MAX, "{each} bytes each");
    drop(idle);
    victim.sinks_to("redrive_client_connections", 1);
}

#[test]
fn heads_that_never_end_are_let_go_and_keep_nobody_out() {
    let origin = Origin::answering(GOOD);
    let victim = Victim::before(&origin, &[("REDRIVE_CLIENT__HEADER_TIMEOUT", "1s")]);
    let slow: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut slow = victim.connect();
            slow.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
                .unwrap();
            slow
        })
        .collect();
    victim.reaches("redrive_client_connections", 500);

    assert_eq!(victim.get(), 200);
    victim.sinks_to("redrive_client_connections", 1);

    assert_eq!(victim.get(), 200);
    assert_eq!(origin.heads(), 2, "no half of a head went up");
    drop(slow);
}

#[test]
fn a_body_that_never_ends_is_given_up_and_its_turn_with_it() {
    let origin = Origin::answering(GOOD);
    let victim = Victim::before(
        &origin,
        &[
            ("REDRIVE_CLIENT__BODY_IDLE", "1s"),
            ("REDRIVE_CONNECTIONS__MAX", "8"),
        ],
    );
    let slow: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut slow = victim.connect();
            slow.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
                .unwrap();
            slow
        })
        .collect();
    victim.reaches("redrive_in_flight_requests", 8);

    // All eight turns are taken: this one waits for the first that is given up.
    assert_eq!(victim.get(), 200);
    victim.sinks_to("redrive_in_flight_requests", 0);
    drop(slow);
}

#[test]
fn heads_that_are_too_large_are_refused_before_they_cost_memory() {
    let origin = Origin::answering(GOOD);
    let victim = Victim::before(&origin, &[]);
    assert_eq!(victim.get(), 200);
    let before = victim.memory();
    let bomb = [
        b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec(),
        b"X-Bomb: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(20_000),
    ]
    .concat();

    for _ in 0..100 {
        let mut client = victim.connect();
        // It may close before it was told everything, which is the point.
        let _told = client.write_all(&bomb);
        let mut start = [0; 12];
        if client.read_exact(&mut start).is_ok() {
            assert_eq!(&start, b"HTTP/1.1 431");
        }
    }

    assert_eq!(victim.get(), 200);
    let grown = victim.memory().saturating_sub(before);
    assert!(grown < 16 * MEBIBYTE, "{grown} bytes");
    assert_eq!(origin.heads(), 2);
}

#[test]
fn a_gigabyte_streams_through_in_flat_memory() {
    const LENGTH: usize = 1 << 30;
    let origin = Origin::streaming(LENGTH);
    let victim = Victim::before(&origin, &[]);
    let before = victim.memory();
    let mut client = victim.connect();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();

    let (mut read, mut most, mut buffer) = (0, 0, vec![0; MEBIBYTE]);
    loop {
        let bytes = client.read(&mut buffer).unwrap();
        if bytes == 0 {
            break;
        }
        read += bytes;
        most = most.max(victim.memory());
    }

    assert!(read > LENGTH, "head and body, {read} bytes");
    let grown = most.saturating_sub(before);
    assert!(grown < 32 * MEBIBYTE, "{grown} bytes");
}

#[test]
fn an_upload_that_is_larger_than_what_is_kept_streams_through_in_flat_memory() {
    const LENGTH: usize = 256 << 20;
    let origin = Origin::answering(GOOD);
    let victim = Victim::before(&origin, &[]);
    let before = victim.memory();
    let mut client = victim.connect();
    write!(
        client,
        "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {LENGTH}\r\n\r\n"
    )
    .unwrap();

    let (part, mut most) = (vec![b'x'; MEBIBYTE], 0);
    for _ in 0..LENGTH / MEBIBYTE {
        client.write_all(&part).unwrap();
        most = most.max(victim.memory());
    }

    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let grown = most.saturating_sub(before);
    // `replay.max_body` is 10 MiB, kept until it is known to be too little.
    assert!(grown < 48 * MEBIBYTE, "{grown} bytes");
}

#[test]
fn without_descriptors_nobody_new_is_taken_and_with_some_again_everybody_is() {
    let origin = Origin::answering(GOOD);
    let victim = Victim::with_descriptors(64, &origin);
    assert_eq!(victim.get(), 200);

    let crowd: Vec<TcpStream> = (0..200).map(|_| victim.connect()).collect();
    let mut last = victim.connect();
    last.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    last.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let unanswered = last.read(&mut [0; 1]);
    assert!(unanswered.is_err(), "it waits to be accepted");

    for client in &crowd {
        client.shutdown(Shutdown::Both).unwrap();
    }
    drop(crowd);

    last.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(victim.get(), 200);
}
