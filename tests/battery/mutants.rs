//! Every good request of the battery again, damaged at random: whatever it has become, it is refused or forwarded in good form.
//!
//! The upstream panics at anything that has no business on the wire, which the client would see as a 502; so a 5xx other
//! than the two that are refusals is a fault. Each 200 is the answer to one request that the upstream read. Seeded, so that a run can be repeated.

use std::fmt::Write;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;

use crate::origin::{Origin, Seen};
use crate::requests::good_requests;
use crate::support::{Peer, Sidecar};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_request_is_refused_or_forwarded_in_good_form() {
    let ok = |_, _, _: &Seen| {
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(),
            false,
        )
    };
    let origin = Origin::new(Arc::new(ok)).await;
    // So that a request cut short is answered, or found to be none, at once.
    let toml = "[client]\nhalf_close = true\nheader_bytes = \"8KiB\"\n";
    let sidecar = Sidecar::before(origin.addr, toml).await;
    let mut rng = fastrand::Rng::with_seed(SEED);
    let good = good_requests();
    let (mut faults, mut forwarded, mut refused) = (String::new(), 0, 0);

    for _ in 0..MUTANTS_EACH {
        for request in good.iter().filter(|it| it.len() < BYTES_MAX) {
            let mutant = damage(request, &mut rng);
            let before = origin.count();
            let mut client = Peer::connect(sidecar.addr).await;
            let _sent_or_refused = client.stream.write_all(&mutant).await;
            let _half_closed = client.stream.shutdown().await;
            let answers = client.rest().await;
            let answers = String::from_utf8_lossy(&answers).replace("HTTP/1.0 ", "HTTP/1.1 ");
            let good = answers.matches("HTTP/1.1 200 ").count();
            if origin.count() - before != good {
                writeln!(faults, "not {good} requests: {}", mutant.escape_ascii()).unwrap();
            }
            let has = |status: &&str| answers.contains(&format!("HTTP/1.1 {status} "));
            forwarded += usize::from(has(&"200"));
            refused += usize::from(has(&"400"));
            for status in ["500", "502", "503", "504"].iter().filter(|it| has(it)) {
                writeln!(faults, "{status}: {}", mutant.escape_ascii()).unwrap();
            }
        }
    }

    let few = good.len() * MUTANTS_EACH / 10;
    assert!(forwarded > few && refused > few, "{forwarded} {refused}");
    assert!(faults.is_empty(), "seed {SEED:#x}:\n{faults}");
    let retries = sidecar.total("redrive_retries_total", &[]).await;
    assert_eq!(retries, 0.0, "a bad request is no reason to try again");
}

/// One to three small changes.
fn damage(request: &[u8], rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = request.to_vec();
    for _ in 0..rng.usize(1..=3) {
        let at = rng.usize(0..bytes.len().max(1));
        let until = (at + rng.usize(0..8)).min(bytes.len());
        match rng.usize(0..5) {
            0 if at < bytes.len() => bytes[at] = rng.u8(..),
            1 => drop(bytes.drain(at..until)),
            2 => {
                let again = bytes[at..until].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let word = WORDS[rng.usize(0..WORDS.len())];
                bytes.splice(at..at, word.bytes());
            }
        }
    }
    bytes
}

/// What framing is made of.
const WORDS: [&str; 16] = [
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    "\0",
    ":",
    ";",
    "#",
    "0\r\n\r\n",
    "\r\n\r\n",
    "Content-Length: 4\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\x0b",
];

const SEED: u64 = 0x0bad_c0de;

/// Enough to meet what the cases have left out, in a few seconds.
const MUTANTS_EACH: usize = 50;

/// Of a long head one byte is as good as another.
const BYTES_MAX: usize = 4096;
