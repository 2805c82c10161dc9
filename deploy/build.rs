//! What `redrive --version` says beside the version: the commit that it was built from. And how the program is laid out.
//!
//! The commit is `REDRIVE_COMMIT` where a build has no repository (an image), what `cargo package` recorded where it is built
//! from a package, and else what git says. A debug build has none, so that a commit does not make all tests compile again.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

const LENGTH: usize = 12;

/// Which functions lie together; a linker's script.
const ORDER: &str = "deploy/order.ld";

fn main() {
    println!("cargo::rerun-if-changed=deploy/build.rs");
    println!("cargo::rerun-if-changed={ORDER}");
    println!("cargo::rerun-if-env-changed=REDRIVE_COMMIT");
    let is_debug = env::var("PROFILE").as_deref() == Ok("debug");
    if !is_debug && is_linked_as_tried() {
        let directory = env::var("CARGO_MANIFEST_DIR").expect("cargo says the directory");
        println!("cargo::rustc-link-arg-bin=redrive=-T{directory}/{ORDER}");
    }
    let built_from = if is_debug {
        "debug build".to_owned()
    } else {
        commit().map_or_else(
            || "commit unknown".to_owned(),
            |mut commit| {
                commit.truncate(LENGTH);
                commit
            },
        )
    };
    let version = env::var("CARGO_PKG_VERSION").expect("cargo says the version");
    // Not `REDRIVE_...`: cargo sets it for what it runs and tests, too, and there such a variable would be a key without meaning.
    println!("cargo::rustc-env=VERSION_AND_COMMIT={version} ({built_from})");
}

/// Whether it is the one target on which the order was tried, and nobody chose a linker, which may know no such script: gold and mold
/// do not. `ORDER_FUNCTIONS=off` leaves it out where that cannot be seen from here (not `REDRIVE_...`, which redrive would take for a key).
/// RSS of an idle sidecar is 5.4 MB with it and 7.8 without; elsewhere that is all that is missing.
fn is_linked_as_tried() -> bool {
    println!("cargo::rerun-if-env-changed=ORDER_FUNCTIONS");
    println!("cargo::rerun-if-env-changed=MOLD_PATH");
    let is = |key: &str, wanted: &str| env::var(key).as_deref() == Ok(wanted);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut flags = flags.split('\x1f');
    is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && !is("ORDER_FUNCTIONS", "off")
        && env::var_os("MOLD_PATH").is_none()
        && env::var_os("RUSTC_LINKER").is_none()
        && !flags.any(|flag| flag.contains("link") && !flag.starts_with("--remap-path-prefix"))
}

fn commit() -> Option<String> {
    let commit = env::var("REDRIVE_COMMIT")
        .ok()
        .or_else(packaged)
        .or_else(checked_out)?;
    let is_commit = commit.len() >= LENGTH && commit.bytes().all(|b| b.is_ascii_hexdigit());
    is_commit.then_some(commit)
}

/// What `cargo package` put beside the manifest.
fn packaged() -> Option<String> {
    let recorded = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = recorded.split_once("\"sha1\"")?;
    rest.split('"').nth(1).map(str::to_owned)
}

/// What this directory's repository stands at; a package unpacked below another repository is not that repository's.
fn checked_out() -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    // A commit, a checkout and a merge each write a line there.
    println!(
        "cargo::rerun-if-changed={}",
        git(&["rev-parse", "--git-path", "logs/HEAD"])?
    );
    git(&["rev-parse", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}
