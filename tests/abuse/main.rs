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
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::victim::{MEBIBYTE, Origin, Victim, descriptors};

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

/// What a connection may cost that does nothing, what the kernel holds for it aside.
const IDLE_CONNECTION_BYTES_MAX: usize = 6 << 10;

/// What an upload on its way may cost with its two connections, beside what is kept of it.
const UPLOAD_BYTES_MAX: usize = 96 << 10;

#[test]
fn ten_thousand_idle_connections_cost_little_and_keep_nobody_out() {
    let most = descriptors();
    // Each takes one descriptor here and one there, and the last place is for the clean request.
    let count = 9_999.min(most.saturating_sub(800));
    if count < 9_999 {
        println!("only {count} connections: the hard limit is {most} descriptors");
    }
    let origin = Origin::answering(GOOD);
    let victim = Victim::with_ulimit("-Sn 1024", &origin);
    assert_eq!(victim.get(), 200);
    victim.sinks_to("redrive_client_connections", 0);
    let before = victim.memory();

    let idle = crowd(&victim, count);

    assert_eq!(victim.get(), 200);
    let each = victim.memory().saturating_sub(before) / count;
    println!("{count} idle connections, {each} bytes each");
    assert!(each <= IDLE_CONNECTION_BYTES_MAX, "{each} bytes each");
    drop(idle);
    victim.sinks_to("redrive_client_connections", 1);
}

#[test]
fn where_descriptors_are_few_who_is_too_many_is_told_and_everybody_else_is_served() {
    let origin = Origin::answering(GOOD);
    let victim = Victim::with_ulimit("-n 1024", &origin);
    let mut early = victim.connect();
    assert!(request(&mut early).starts_with("HTTP/1.1 200"));

    let crowd: Vec<TcpStream> = (0..1_100).map(|_| victim.connect()).collect();

    assert_eq!(victim.get(), 503);
    let told = crowd.iter().filter(|client| has_been_told(client)).count();
    println!("{told} of 1,100 were turned away");
    assert!(told > 0 && told < 1_100, "{told} were turned away");
    assert_eq!(victim.livez(), 200);
    assert!(request(&mut early).starts_with("HTTP/1.1 200"));
    drop(crowd);
    victim.sinks_to("redrive_client_connections", 1);
    assert_eq!(victim.get(), 200);
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
fn bodies_that_trickle_keep_nobody_out_however_many_there_are() {
    const TRICKLERS: usize = 600;
    let origin = Origin::answering(GOOD);
    // More than there are turns, with a limit on attempts that none of the uploads keeps.
    let victim = Victim::before(&origin, &[("REDRIVE_DEADLINE__ATTEMPT", "2s")]);
    let before = victim.forget_peak();
    let tricklers: Vec<Mutex<TcpStream>> = (0..TRICKLERS)
        .map(|_| Mutex::new(trickler(&victim)))
        .collect();
    let is_over = AtomicBool::new(false);

    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for trickler in &tricklers {
                    // Many are turned away.
                    let _sent = trickler.lock().unwrap().write_all(b"x");
                }
                thread::sleep(Duration::from_millis(200));
            }
        });
        // A guard, so that a failure ends the thread above, too.
        let _over = Over(&is_over);
        victim.reaches("redrive_in_flight_requests", 512);
        // As many as may be slow stay, and no more.
        victim.sinks_to("redrive_in_flight_requests", 256);
        for _ in 0..20 {
            assert_eq!(victim.get(), 200);
        }
        assert!(victim.gauge("redrive_in_flight_requests") > 200);
        let grown = victim.peak().saturating_sub(before);
        println!("{TRICKLERS} tricklers: {} KiB more", grown >> 10);
        assert!(grown < TRICKLERS * UPLOAD_BYTES_MAX, "{grown} bytes");
    });

    let told = tricklers.iter().filter(|trickler| {
        let trickler = trickler.lock().unwrap();
        has_been_told(&trickler)
    });
    println!("{} of {TRICKLERS} were turned away", told.count());
    drop(tricklers);
    victim.sinks_to("redrive_in_flight_requests", 0);
}

/// A client that has sent the head of an upload.
fn trickler(victim: &Victim) -> TcpStream {
    let mut client = victim.connect();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        .unwrap();
    client
}

/// Says so when it goes.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn heads_that_are_too_large_are_refused_before_they_cost_memory() {
    let origin = Origin::answering(GOOD);
    let victim = Victim::before(&origin, &[]);
    assert_eq!(victim.get(), 200);
    let before = victim.forget_peak();
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
    let grown = victim.peak().saturating_sub(before);
    assert!(grown < 16 * MEBIBYTE, "{grown} bytes");
    assert_eq!(origin.heads(), 2);
}

#[test]
fn a_gigabyte_streams_through_in_flat_memory() {
    const LENGTH: usize = 1 << 30;
    let origin = Origin::streaming(LENGTH);
    let victim = Victim::before(&origin, &[]);
    let before = victim.forget_peak();
    let mut client = victim.connect();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();

    let (mut read, mut buffer) = (0, vec![0; MEBIBYTE]);
    loop {
        let bytes = client.read(&mut buffer).unwrap();
        if bytes == 0 {
            break;
        }
        read += bytes;
    }

    assert!(read > LENGTH, "head and body, {read} bytes");
    let grown = victim.peak().saturating_sub(before);
    assert!(grown < 32 * MEBIBYTE, "{grown} bytes");
}

#[test]
fn an_upload_that_is_larger_than_what_is_kept_streams_through_in_flat_memory() {
    const LENGTH: usize = 256 << 20;
    let origin = Origin::answering(GOOD);
    let victim = Victim::before(&origin, &[]);
    let before = victim.forget_peak();
    let mut client = victim.connect();
    write!(
        client,
        "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {LENGTH}\r\n\r\n"
    )
    .unwrap();

    let part = vec![b'x'; MEBIBYTE];
    for _ in 0..LENGTH / MEBIBYTE {
        client.write_all(&part).unwrap();
    }

    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let grown = victim.peak().saturating_sub(before);
    // `replay.max_body` is 10 MiB, kept until it is known to be too little.
    assert!(grown < 48 * MEBIBYTE, "{grown} bytes");
}

#[test]
fn without_descriptors_nobody_new_is_taken_and_with_some_again_everybody_is() {
    let origin = Origin::silent_on("/silent", GOOD);
    let victim = Victim::with_ulimit("-n 64", &origin);
    // One client, more of whose requests are in flight than there are descriptors.
    let mut greedy = http2::asking(&victim, 100, "/silent");
    victim.takes_descriptors(64);
    let mut last = victim.connect();
    last.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    last.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let unanswered = last.read(&mut [0; 1]);
    assert!(unanswered.is_err(), "it waits to be accepted");
    let (status, detail) = http2::first_answer(&mut greedy);
    assert_eq!(status, 503, "{detail}");
    assert!(detail.contains("no file descriptor left"), "{detail}");

    drop(greedy);

    // It may have come a moment before the place of the other was free.
    let answer = rest(&mut last);
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    victim.sinks_to("redrive_client_connections", 0);
    assert_eq!(victim.get(), 200);
}

/// So many connections that do nothing, all of them taken in.
fn crowd(victim: &Victim, count: usize) -> Vec<TcpStream> {
    let mut crowd: Vec<TcpStream> = Vec::new();
    while crowd.len() < count {
        // In parts that the backlog holds, however busy the machine is.
        let part = (count - crowd.len()).min(2_000);
        crowd.extend((0..part).map(|_| victim.connect()));
        victim.reaches("redrive_client_connections", crowd.len());
    }
    crowd
}

/// The answer to a request on a connection that stays.
fn request(client: &mut TcpStream) -> String {
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"good") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

/// What comes until the connection ends.
fn rest(client: &mut TcpStream) -> String {
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

/// Whether a client that has sent nothing was told that it is one too many.
fn has_been_told(mut client: &TcpStream) -> bool {
    client.set_nonblocking(true).unwrap();
    let mut start = [0; 12];
    client.read(&mut start).is_ok() && &start == b"HTTP/1.1 503"
}
