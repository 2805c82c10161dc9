//! What thousands of clients weigh in a proxy, idle and waiting, and how long it takes to be there.

use std::io;
use std::path::Path;

use redrive::clock;

use super::origin::Origin;
use super::rival::Rival;
use super::runner::{megabytes, memory};
use super::scenario::Scenario;
use super::{Fault, SETTLE, load, start};

/// What proxies weigh with many connections that nobody uses, and how long they take to be there.
pub(crate) async fn weigh(rivals: &[Rival], files: u64, dir: &Path) -> Result<(), Fault> {
    println!("\n{NAME}: {ABOUT}");
    if files < FILES_MIN {
        println!("  skipped: {files} files may be open, and it takes {FILES_MIN}");
        return Ok(());
    }
    let scenario = &Scenario::ALL[0];
    let origin = Origin::start(scenario, dir).await?;
    let silent = Origin::silent().await?;
    println!(
        "  {:<10}{:>12}{:>12}{:>16}{:>18}{:>18}",
        "", "listens", "RSS idle", "RSS with them", "each", "a waiting request"
    );
    for &rival in rivals {
        // A proxy listens on a port that nobody has used before, so that the first connection is the first.
        let started = clock::now();
        let proxy = start(rival, &origin, dir)?;
        let listens = clock::now() - started;
        tokio::time::sleep(SETTLE).await;
        let before = memory(&proxy)?;
        let clients = load::idle(proxy.addr, scenario, IDLE_CLIENTS).await?;
        let after = memory(&proxy)?;
        drop((clients, proxy));
        println!(
            "  {:<10}{:>9.0} ms{:>9.1} MB{:>13.1} MB{:>12} bytes{:>12} bytes",
            rival.name(),
            listens.as_secs_f64() * 1e3,
            megabytes(before),
            megabytes(after),
            after.saturating_sub(before) / IDLE_CLIENTS as u64,
            waiting(rival, &silent, scenario, dir).await?,
        );
    }
    Ok(())
}

/// What each of many requests weighs whose answer does not come: with its client's connection, and with one to the upstream where it
/// has one.
async fn waiting(
    rival: Rival,
    silent: &Origin,
    scenario: &Scenario,
    dir: &Path,
) -> Result<u64, Fault> {
    let proxy = start(rival, silent, dir)?;
    tokio::time::sleep(SETTLE).await;
    let before = memory(&proxy)?;
    let clients = load::waiting(proxy.addr, scenario, WAITING_CLIENTS).await?;
    tokio::time::sleep(SETTLE).await;
    let after = memory(&proxy)?;
    for client in &clients {
        match client.try_read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return Err("a request was answered that was to wait".into()),
        }
    }
    drop(clients);
    Ok(after.saturating_sub(before) / WAITING_CLIENTS as u64)
}

pub(crate) const NAME: &str = "memory";
pub(crate) const ABOUT: &str =
    "4,000 clients that asked once each and stay connected, and 1,500 that wait for an answer";
const IDLE_CLIENTS: usize = 4_000;
const WAITING_CLIENTS: usize = 1_500;
/// Both ends of each connection are files of a process, this one or the proxy.
const FILES_MIN: u64 = 4_500;
