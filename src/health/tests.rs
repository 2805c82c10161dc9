//! A sidecar of a few scripted bytes on the other end.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use super::{Error, admin_address, ask, run};
use crate::config::{self, Flags, Sources};

fn sources(admin: &str) -> Sources<'static> {
    Sources {
        flags: Flags {
            admin: Some(admin.to_owned()),
            ..Flags::default()
        },
        env: std::collections::BTreeMap::new(),
        read: &config::read_file,
    }
}

/// A listener that reads one head and answers with these bytes; gives the request line back.
fn sidecar(answer: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let head: Vec<String> = lines
            .map(Result::unwrap)
            .take_while(|line| !line.is_empty())
            .collect();
        stream.write_all(answer.as_bytes()).unwrap();
        head[0].clone()
    });
    (address, served)
}

#[test]
fn a_sidecar_that_says_200_is_ready() {
    let (address, served) = sidecar("HTTP/1.1 200 OK\r\n\r\nready\n");

    run(sources(&address.to_string())).unwrap();

    assert_eq!(served.join().unwrap(), "GET /readyz HTTP/1.1");
}

#[test]
fn any_other_answer_is_not_ready_and_is_told_in_one_line() {
    for answer in [
        "HTTP/1.1 503 Service Unavailable\r\n\r\n",
        "HTTP/1.1 2000 Odd\r\n\r\n",
        "200",
        "",
    ] {
        let (address, served) = sidecar(answer);

        let error = run(sources(&address.to_string())).unwrap_err();

        // Before the join: a sidecar that nobody asked would wait for ever.
        assert!(
            matches!(error, Error::NotReady { .. }),
            "{answer:?}: {error}"
        );
        served.join().unwrap();
        assert_eq!(error.to_string().lines().count(), 1);
    }
}

#[test]
fn a_sidecar_that_endlessly_talks_is_cut_short() {
    let (address, served) = sidecar(Box::leak("x".repeat(100_000).into_boxed_str()));

    let error = run(sources(&address.to_string())).unwrap_err();

    assert!(matches!(error, Error::NotReady { .. }));
    // Whether the rest of it could still be written is the system's business.
    served.join().ok();
}

#[test]
fn nobody_there_is_not_ready() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);

    let error = run(sources(&address.to_string())).unwrap_err();

    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[test]
fn a_sidecar_that_says_nothing_is_waited_for_no_longer_than_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();

    // The listener never accepts, and the kernel connects all the same: only the limit ends this.
    let error = ask(address, Duration::from_millis(20)).unwrap_err();

    let kind = error.kind();
    assert!(
        matches!(
            kind,
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
        ),
        "{kind:?}"
    );
}

#[test]
fn an_address_that_means_all_is_asked_at_loopback() {
    let address = |admin: &str| admin_address(sources(admin)).unwrap().to_string();

    assert_eq!(address("0.0.0.0:7481"), "127.0.0.1:7481");
    assert_eq!(address("[::]:7481"), "[::1]:7481");
    assert_eq!(address("10.0.0.1:7481"), "10.0.0.1:7481");
}

#[test]
fn a_configuration_that_is_not_valid_is_one_line_too() {
    let error = run(sources("nonsense")).unwrap_err();

    assert!(matches!(error, Error::Config(_)));
    assert_eq!(error.to_string().lines().count(), 1);
}
