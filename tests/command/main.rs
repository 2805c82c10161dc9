//! The program as its users start it: arguments and environment in; exit code, log and signals out.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows a test by its attribute; what stands beside the tests here is theirs"
)]

mod log;
mod process;
mod reload;
mod systemd;
mod tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use self::process::{Running, finished};

/// An upstream that throttles its first request and serves every later one, on a connection each.
fn throttling_once() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let throttle = "HTTP/1.1 429 Too Many Requests\r\nx-amzn-ErrorType: TooManyRequestsException\r\n\
                x-amzn-RequestId: 5bb9b5f5-0000-4000-8000-000000000000\r\nContent-Type: application/json\r\n\
                Content-Length: 31\r\nConnection: close\r\n\r\n{\"message\":\"Too Many Requests\"}";
            let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            stream
                .write_all(if index == 0 { throttle } else { good }.as_bytes())
                .unwrap();
        }
    });
    addr
}

fn get(addr: &str, path: &str) -> String {
    get_with(addr, path, "")
}

/// With more header lines.
fn get_with(addr: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: a\r\n{headers}Connection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn proxy(upstream: SocketAddr, more: &[(&str, &str)]) -> (Running, String, String) {
    let upstream = format!("http://{upstream}");
    let mut env = vec![
        ("REDRIVE_UPSTREAM", upstream.as_str()),
        ("REDRIVE_LISTEN", "127.0.0.1:0"),
        ("REDRIVE_ADMIN", "127.0.0.1:0"),
        ("REDRIVE_RETRY__BACKOFF__THROTTLE_BASE", "20ms"),
    ];
    env.extend(more);
    let mut running = Running::start(&[], &env);
    let ready = running.line_with("redrive is ready");
    let ready: Value = serde_json::from_str(&ready).unwrap_or_else(|_| panic!("no JSON: {ready}"));
    let addr = |key: &str| ready[key].as_str().unwrap().to_owned();
    (running, addr("listen"), addr("admin"))
}

#[test]
fn it_is_healthy_while_it_serves_and_not_when_it_is_gone() {
    let (mut running, _, admin) = proxy(throttling_once(), &[]);

    let while_it_serves = finished(&["health", "--admin", &admin], &[]);
    running.signal(Signal::TERM);
    running.ended();
    let afterwards = finished(&["health", "--admin", &admin], &[]);

    assert_eq!(while_it_serves.code, Some(0), "{}", while_it_serves.stderr);
    assert_eq!(afterwards.code, Some(1));
    assert_eq!(
        afterwards.stderr.lines().count(),
        1,
        "{}",
        afterwards.stderr
    );
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut running, client, _) = proxy(
        held.local_addr().unwrap(),
        &[("REDRIVE_SHUTDOWN__GRACE", "1h")],
    );
    let mut stuck = TcpStream::connect(&client).unwrap();
    stuck
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let _in_flight = held.accept().unwrap();

    running.signal(Signal::TERM);
    running.line_with("draining");
    running.signal(Signal::INT);

    assert_eq!(running.ended().0, Some(0));
}

#[test]
fn a_configuration_fault_is_shown_with_its_place_and_exits_with_78() {
    let ended = finished(
        &[],
        &[(
            "REDRIVE_CONFIG_TOML",
            "upstream = \"http://a\"\nlissten = \"127.0.0.1:1\"\n",
        )],
    );

    assert_eq!(ended.code, Some(78));
    assert!(
        ended.stderr.contains("REDRIVE_CONFIG_TOML:2:1"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("^^^^^^^ did you mean `listen`?"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_address_that_is_taken_is_named_and_exits_with_69() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();

    let ended = finished(
        &[
            "run",
            "--upstream",
            "http://127.0.0.1:1",
            "--listen",
            &addr,
            "--admin",
            "127.0.0.1:0",
        ],
        &[],
    );

    assert_eq!(ended.code, Some(69));
    assert!(ended.stderr.contains(&addr), "{}", ended.stderr);
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    let ended = finished(&["redirve"], &[]);

    assert_eq!(ended.code, Some(2));
}

#[test]
fn the_gateway_serves_its_limits_and_tells_at_the_end_what_it_saw() {
    let mut running = Running::start(
        &[
            "gateway",
            "--listen",
            "127.0.0.1:0",
            "--rate",
            "1",
            "--burst",
            "1",
        ],
        &[],
    );
    let ready = running.line_with("http://");
    let addr = ready
        .split("http://")
        .nth(1)
        .unwrap()
        .split([':', ' ', '/'])
        .take(2)
        .collect::<Vec<_>>()
        .join(":");

    let (served, throttled) = (get(&addr, "/"), get(&addr, "/"));
    running.signal(Signal::TERM);
    let (code, told) = running.ended();

    assert!(served.starts_with("HTTP/1.1 200 "), "{served}");
    assert!(
        throttled.ends_with("{\"message\":\"Too Many Requests\"}"),
        "{throttled}"
    );
    assert_eq!(code, Some(0));
    let seen = |words: &str| {
        told.iter()
            .any(|line| line.starts_with(words) && line.ends_with(" 1"))
    };
    assert!(seen("served") && seen("throttled by rate"), "{told:?}");
}

/// So long that only a bug takes it.
const ANSWER_MAX: Duration = Duration::from_secs(20);
