//! How many instructions a request takes, counted by valgrind: the same on a busy machine as on a quiet one.
//!
//! ```sh
//! cargo bench --bench instructions             # counts, and compares with baseline.txt: exit code 1 where more than 5 % differ
//! cargo bench --bench instructions -- --write  # counts, and writes baseline.txt
//! cargo bench --bench instructions -- play request 1000  # plays a case, for a profiler to look at
//! ```
//!
//! Every case is played twice in a process of its own, once more often than the other time; the difference is what the more often
//! costs, without the start. Of `request` and `post` the client and the origin, which are as plain as can be, are a part:
//! [`origin`] and [`load`] are those of the bench `compare`. What the kernel does is not counted.

#[path = "../compare/load.rs"]
#[allow(dead_code, reason = "clients at a pace are not needed here")]
mod load;
#[path = "../compare/origin.rs"]
#[allow(dead_code, reason = "nobody asks for its certificate here")]
mod origin;
#[path = "../compare/scenario.rs"]
#[allow(dead_code, reason = "a scenario is named and paced elsewhere")]
mod scenario;

mod decisions;
mod stack;

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use clap::{Parser, Subcommand};

/// Whatever keeps the bench from counting: it says so and ends.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// How many instructions a request takes.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Args {
    #[command(subcommand)]
    command: Option<Play>,
    /// Write what is counted down as what is expected
    #[arg(long)]
    write: bool,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Play {
    /// Plays one case so often, and counts nothing
    Play { case: String, times: u32 },
}

/// A case by its name.
type Case = (&'static str, fn(u32) -> Result<(), Fault>);

const CASES: [Case; 4] = [
    ("decisions", decisions::decisions),
    ("head", decisions::head),
    ("request", stack::request),
    ("post", stack::post),
];

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Some(Play::Play { case, times }) => play(&case, times).map(|()| true),
        None => count(args.write),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(fault) => {
            eprintln!("instructions: {fault}");
            ExitCode::from(2)
        }
    }
}

fn play(case: &str, times: u32) -> Result<(), Fault> {
    let mut cases = CASES.iter();
    let (_, play) = cases
        .find(|(name, _)| *name == case)
        .ok_or_else(|| format!("no case is named `{case}`"))?;
    play(times)
}

/// Counts every case. Says whether all are as expected.
fn count(writes: bool) -> Result<bool, Fault> {
    let expected = baseline()?;
    let mut counted = String::from(BASELINE_HEAD);
    let mut is_good = true;
    for (case, _) in CASES {
        let few = instructions(case, FEW)?;
        let more = instructions(case, FEW + MORE)?;
        let each = more.saturating_sub(few) / u64::from(MORE);
        counted.push_str(&format!("{case} {each}\n"));
        let Some(&due) = expected.get(case).filter(|_| !writes) else {
            println!("{case:<12}{each:>10} instructions");
            continue;
        };
        let is_within = each.abs_diff(due) * 100 <= due * TOLERANCE_PERCENT;
        is_good &= is_within;
        let verdict = if is_within {
            "as expected"
        } else if each < due {
            "LESS: --write it down"
        } else {
            "MORE"
        };
        println!("{case:<12}{each:>10} instructions, {due} expected: {verdict}");
    }
    if writes {
        fs::write(BASELINE, counted)?;
    }
    Ok(is_good)
}

/// How many instructions it takes to play a case so often, start and end included.
fn instructions(case: &str, times: u32) -> Result<u64, Fault> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["play", case, &times.to_string()])
        .env("RUST_LOG", "off")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    match count {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("{case} was not counted: {said}").into()),
    }
}

fn baseline() -> Result<BTreeMap<String, u64>, Fault> {
    let text = fs::read_to_string(BASELINE)?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let cases = lines.filter_map(|line| {
        let (case, count) = line.split_once(' ')?;
        Some((case.to_owned(), count.parse().ok()?))
    });
    Ok(cases.collect())
}

/// Where what is expected stands.
const BASELINE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/benches/instructions/baseline.txt"
);
const BASELINE_HEAD: &str =
    "# Instructions of one more turn of each case; cargo bench --bench instructions -- --write\n";
/// So often that every buffer has grown and every path was taken once.
const FEW: u32 = 200;
const MORE: u32 = 1_000;
/// How far a count may be from what is expected: another compiler's version or another allocator's mood is less.
const TOLERANCE_PERCENT: u64 = 5;
