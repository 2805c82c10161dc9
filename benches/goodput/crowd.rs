//! What ten thousand waiting requests weigh, and what it costs when all of their clients leave at once.
//!
//! Twice: the door alone in this process, and redrive as a whole with a socket for each client. Only one attempt may be in
//! flight, and the upstream does not answer it, so that everybody else waits; the waits are made long enough to be looked at.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use prometheus::{IntGauge, Registry};
use redrive::clock;
use redrive::pace::{Mode, Params, Waiter};
use redrive::proxy::admit::{Asked, Crowd, Door};
use redrive::proxy::metrics::PaceFamilies;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Fault;
use super::origin::{Kind, Upstream};
use super::process::{Process, cpu, free_addr, memory};
use super::promise::at_most;
use super::report::Report;
use super::rival::{Place, redrive};

pub(crate) const NAME: &str = "waiting";
pub(crate) const ABOUT: &str = "10,000 requests wait, then all of their clients leave at once";

/// Measures both, with so many files to open.
pub(crate) async fn measure(files: u64, dir: &Path, report: &mut Report) -> Result<(), Fault> {
    report.open(NAME, ABOUT);
    door(report).await?;
    if files < FILES_MIN {
        report.say(&format!(
            "  the whole is skipped: {files} files may be open, and it takes {FILES_MIN}"
        ));
        return Ok(());
    }
    whole(dir, report).await
}

/// The door alone.
async fn door(report: &mut Report) -> Result<(), Fault> {
    let gauges = PaceFamilies::register(&Registry::new())?.of("default");
    let crowd = Crowd::new(WAITING, IntGauge::new("waiting", "How many wait.")?);
    let params = Params {
        mode: Mode::Adaptive,
        max_wait: LONG,
        max_waiting: WAITING,
        patient: false,
        limit: None,
        max_in_flight: 1,
    };
    let now = clock::now();
    let door = Door::new(params, crowd, gauges, now);
    let waiter = Waiter {
        since: now,
        start_by: now + LONG,
        answer_by: None,
        is_retry: false,
    };
    let Ok(Asked::Go(_only)) = door.ask(clock::now(), waiter) else {
        return Err("the first one has to wait".into());
    };

    let before = memory("self")?;
    let mut waiting = Vec::with_capacity(WAITING);
    for _ in 0..WAITING {
        match door.ask(clock::now(), waiter) {
            Ok(Asked::Wait(place)) => waiting.push(place),
            Ok(Asked::Go(_)) | Err(_) => return Err("one of the crowd does not wait".into()),
        }
    }
    let weight = memory("self")?.saturating_sub(before);
    let before = cpu("self")?;
    drop(waiting);
    let leaving = cpu("self")?.saturating_sub(before);

    report.say(&format!(
        "  the door alone: {} bytes for each waiting request",
        weight / WAITING as u64
    ));
    report.targets(
        NAME,
        &[at_most(
            "CPU of leaving, the door alone, ms",
            leaving.as_secs_f64() * 1e3,
            100.0,
        )],
    );
    Ok(())
}

/// redrive as a whole, with a client's connection for each.
async fn whole(dir: &Path, report: &Report) -> Result<(), Fault> {
    let upstream = Upstream::start(Kind::Origin {
        rate: None,
        service_time: LONG,
    })
    .await?;
    let (addr, admin) = (free_addr()?, free_addr()?);
    let mut command = redrive(Place::plain(upstream.addr, 2), addr, admin);
    command.env("REDRIVE_PACE__MAX_IN_FLIGHT", "1");
    command.env("REDRIVE_PACE__MAX_WAIT", "1h");
    command.env("REDRIVE_DEADLINE__TOTAL", "1h");
    command.env("REDRIVE_DEADLINE__ATTEMPT", "1h");
    // The one in flight, and the connection that asked whether it listens.
    command.env("REDRIVE_CLIENT__MAX_CONNECTIONS", (WAITING + 2).to_string());
    let log = dir.join("waiting.log");
    let process = Process::start(command, addr, &log)?;

    let before = process.memory()?;
    let mut clients = Vec::with_capacity(WAITING + 1);
    for number in 0..=WAITING {
        let mut client = TcpStream::connect(addr).await?;
        client
            .write_all(
                format!("GET /v1/orders/{number} HTTP/1.1\r\nhost: {addr}\r\n\r\n").as_bytes(),
            )
            .await?;
        clients.push(client);
    }
    until_waiting(admin, WAITING).await.map_err(|fault| {
        let said = fs::read_to_string(&log).unwrap_or_default();
        format!("{fault}; {said}")
    })?;
    let weight = process.memory()?.saturating_sub(before);
    let before = process.cpu()?;
    drop(clients);
    until_waiting(admin, 0).await?;
    let leaving = process.cpu()?.saturating_sub(before);

    report.say(&format!(
        "  redrive as a whole: {} bytes for each, its client's connection included",
        weight / WAITING as u64
    ));
    report.say(&format!("  redrive as a whole: {:.0} ms of CPU until all have left, closing the connections included", leaving.as_secs_f64() * 1e3));
    Ok(())
}

/// Waits until so many requests wait.
async fn until_waiting(admin: SocketAddr, due: usize) -> Result<(), Fault> {
    let line = format!("\nredrive_waiting_requests {due}\n");
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
        let mut page = String::new();
        let mut stream = TcpStream::connect(admin).await?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: redrive\r\nconnection: close\r\n\r\n")
            .await?;
        stream.read_to_string(&mut page).await?;
        if page.contains(&line) {
            return Ok(());
        }
    }
    Err(format!("never were exactly {due} requests waiting").into())
}

/// As many as wait at most by default.
const WAITING: usize = 10_000;
/// Both ends of each connection are files of a process, this one or redrive; and some for everything else.
const FILES_MIN: u64 = 10_500;
/// Long enough that nobody is turned away because ten thousand before it would take longer.
const LONG: Duration = Duration::from_secs(3_600);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS_MAX: u32 = 300;
