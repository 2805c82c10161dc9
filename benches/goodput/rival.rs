//! What stands between the clients and the upstream: nothing, redrive, or a proxy that others would put there.
//!
//! redrive is the built binary with nothing set but the upstream and free ports, in a process of its own like the rest, so
//! that it shares neither runtime nor allocator with the load. The others retry as their manuals suggest, three times and with
//! limits wide enough to be no part of the result; their configurations are in `setup`, and are written to a directory that is
//! removed at the end.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::Fault;
use super::process::{Process, free_addr};
use super::setup::{NO_LIMIT, caddy, envoy, haproxy, haproxy_knows_429, nginx};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
    Direct,
    Redrive,
    Nginx,
    Haproxy,
    /// With a retry budget of 20 %.
    Envoy,
    /// With no limit on retries but three a request.
    EnvoyOpen,
    /// Without retries.
    #[allow(dead_code, reason = "only the bench of costs has it")]
    Caddy,
}

/// What a proxy is to stand before, and on what.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) upstream: SocketAddr,
    /// The certificate of an upstream that speaks TLS.
    pub(crate) certificate: Option<&'a Path>,
    /// How many threads it has, where it does not find that out by itself.
    pub(crate) threads: usize,
}

/// A proxy that runs.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    /// Ends with it; none where clients go directly.
    #[allow(dead_code, reason = "only the bench of costs weighs it")]
    pub(crate) process: Option<Process>,
}

impl Rival {
    pub(crate) const ALL: [Self; 6] = [
        Self::Direct,
        Self::Redrive,
        Self::Nginx,
        Self::Haproxy,
        Self::Envoy,
        Self::EnvoyOpen,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Redrive => "redrive",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::EnvoyOpen => "envoy-open",
            Self::Caddy => "caddy",
        }
    }

    /// What it says of its version; `None` where it is not installed.
    pub(crate) fn version(self) -> Option<String> {
        let mut command = match self {
            Self::Direct => return Some(String::new()),
            Self::Redrive => Command::new(REDRIVE),
            Self::Nginx => Command::new("nginx"),
            Self::Haproxy => Command::new("haproxy"),
            Self::Envoy | Self::EnvoyOpen => Command::new("envoy"),
            Self::Caddy => Command::new("caddy"),
        };
        let flag = match self {
            Self::Nginx | Self::Haproxy => "-v",
            Self::Caddy => "version",
            _ => "--version",
        };
        let said = command.arg(flag).output().ok()?;
        let said = [said.stdout, said.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let line = said.lines().find(|line| !line.trim().is_empty())?;
        let mut version = line.trim().to_owned();
        if self == Self::Haproxy && matches!(haproxy_knows_429(), Ok(false)) {
            version.push_str("; cannot retry on 429");
        }
        Some(version)
    }

    /// Starts it before the upstream.
    pub(crate) fn start(self, place: Place<'_>, dir: &Path) -> Result<Proxy, Fault> {
        let addr = free_addr()?;
        let command = match self {
            Self::Direct => {
                return Ok(Proxy {
                    addr: place.upstream,
                    process: None,
                });
            }
            Self::Redrive => redrive(place, addr, free_addr()?),
            Self::Nginx => {
                let file = written(dir, "nginx.conf", &nginx(place, addr, dir))?;
                let mut command = Command::new("nginx");
                command.arg("-p").arg(dir).arg("-c").arg(file);
                command.arg("-e").arg(dir.join("nginx.error"));
                command
            }
            Self::Haproxy => {
                let mut command = Command::new("haproxy");
                let statuses = if haproxy_knows_429()? {
                    "429 500 502 503"
                } else {
                    "500 502 503"
                };
                let text = haproxy(place, addr, statuses);
                command
                    .arg("-db")
                    .arg("-f")
                    .arg(written(dir, "haproxy.cfg", &text)?);
                command
            }
            Self::Envoy | Self::EnvoyOpen => {
                let limits = if self == Self::Envoy {
                    json!({ "retry_budget": { "budget_percent": { "value": 20.0 } } })
                } else {
                    json!({ "max_retries": NO_LIMIT })
                };
                let text = envoy(place, addr, limits).to_string();
                let mut command = Command::new("envoy");
                command.args(["--use-dynamic-base-id", "-l", "error"]);
                command.args(["--concurrency", &place.threads.to_string()]);
                command.arg("-c").arg(written(dir, "envoy.json", &text)?);
                command
            }
            Self::Caddy => {
                let mut command = Command::new("caddy");
                let file = written(dir, "Caddyfile", &caddy(place, addr))?;
                command.args(["run", "--adapter", "caddyfile", "--config"]);
                command.arg(file);
                command
            }
        };
        let log = dir.join(format!("{}.log", self.name()));
        let process = Process::start(command, addr, &log)?;
        Ok(Proxy {
            addr,
            process: Some(process),
        })
    }
}

impl Place<'_> {
    /// Before an upstream without TLS.
    pub(crate) fn plain(upstream: SocketAddr, threads: usize) -> Self {
        Self {
            upstream,
            certificate: None,
            threads,
        }
    }

    pub(crate) fn scheme(self) -> &'static str {
        if self.certificate.is_some() {
            "https"
        } else {
            "http"
        }
    }
}

/// redrive on its defaults.
pub(crate) fn redrive(place: Place<'_>, addr: SocketAddr, admin: SocketAddr) -> Command {
    let mut command = Command::new(REDRIVE);
    // The environment is the operator's, for their own redrive.
    command.env_clear().arg("run");
    let upstream = format!("{}://{}", place.scheme(), place.upstream);
    command.args(["--upstream", &upstream]);
    command.args(["--listen", &addr.to_string(), "--admin", &admin.to_string()]);
    if let Some(certificate) = place.certificate {
        command.env("REDRIVE_TLS__UPSTREAM__CA_FILE", certificate);
    }
    command
}

fn written(dir: &Path, name: &str, text: &str) -> Result<PathBuf, Fault> {
    let file = dir.join(name);
    fs::write(&file, text)?;
    Ok(file)
}

const REDRIVE: &str = env!("CARGO_BIN_EXE_redrive");
