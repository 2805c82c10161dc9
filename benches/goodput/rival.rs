//! What stands between the clients and the upstream: nothing, redrive, or a proxy that others would put there.
//!
//! redrive is the built binary with nothing set but the upstream and free ports, in a process of its own like the rest, so
//! that it shares neither runtime nor allocator with the load. The others retry as their manuals suggest, three times and with
//! limits wide enough to be no part of the result; their configurations are below, and are written to a directory that is
//! removed at the end.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::Fault;
use super::process::{Process, free_addr};

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
}

/// A proxy that runs.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    /// Ends with it; none where clients go directly.
    _process: Option<Process>,
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
        };
        let flag = match self {
            Self::Nginx | Self::Haproxy => "-v",
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
    pub(crate) fn start(self, upstream: SocketAddr, dir: &Path) -> Result<Proxy, Fault> {
        let addr = free_addr()?;
        let command = match self {
            Self::Direct => {
                return Ok(Proxy {
                    addr: upstream,
                    _process: None,
                });
            }
            Self::Redrive => redrive(upstream, addr, free_addr()?),
            Self::Nginx => {
                let file = written(dir, "nginx.conf", &nginx(upstream, addr, dir))?;
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
                let text = haproxy(upstream, addr, statuses);
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
                let text = envoy(upstream, addr, limits).to_string();
                let mut command = Command::new("envoy");
                command.args(["--use-dynamic-base-id", "--concurrency", "2", "-l", "error"]);
                command.arg("-c").arg(written(dir, "envoy.json", &text)?);
                command
            }
        };
        let log = dir.join(format!("{}.log", self.name()));
        let process = Process::start(command, addr, &log)?;
        Ok(Proxy {
            addr,
            _process: Some(process),
        })
    }
}

/// redrive on its defaults.
pub(crate) fn redrive(upstream: SocketAddr, addr: SocketAddr, admin: SocketAddr) -> Command {
    let mut command = Command::new(REDRIVE);
    // The environment is the operator's, for their own redrive.
    command.env_clear().arg("run");
    command.args(["--upstream", &format!("http://{upstream}")]);
    command.args(["--listen", &addr.to_string(), "--admin", &admin.to_string()]);
    command
}

fn written(dir: &Path, name: &str, text: &str) -> Result<PathBuf, Fault> {
    let file = dir.join(name);
    fs::write(&file, text)?;
    Ok(file)
}

/// The same server three times, since nginx goes on to the next one; and none is put aside for having failed. One process, so that
/// ending it ends all of it.
fn nginx(upstream: SocketAddr, addr: SocketAddr, dir: &Path) -> String {
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};", dir.display()))
        .join("\n  ");
    format!(
        "daemon off;
master_process off;
pid {dir}/nginx.pid;
worker_rlimit_nofile {NO_LIMIT};
events {{ worker_connections {NO_LIMIT}; }}
http {{
  access_log off;
  {temp}
  keepalive_requests 1000000;
  upstream api {{
    server {upstream} max_fails=0;
    server {upstream} max_fails=0;
    server {upstream} max_fails=0;
    keepalive 512;
  }}
  server {{
    listen {addr} backlog=4096;
    location / {{
      proxy_pass http://api;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_next_upstream error timeout http_500 http_502 http_503 http_429 non_idempotent;
      proxy_next_upstream_tries 3;
    }}
  }}
}}
",
        dir = dir.display()
    )
}

/// Whether the HAProxy that is installed takes 429 among what it retries on: 2.6 does not.
fn haproxy_knows_429() -> io::Result<bool> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let mut check = Command::new("haproxy")
        .args(["-c", "-f", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = check.stdin.take() {
        stdin.write_all(haproxy(nowhere, nowhere, "429").as_bytes())?;
    }
    Ok(check.wait()?.success())
}

fn haproxy(upstream: SocketAddr, addr: SocketAddr, statuses: &str) -> String {
    format!(
        "global
  maxconn {NO_LIMIT}
defaults
  mode http
  timeout connect 3s
  timeout client 60s
  timeout server 35s
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response response-timeout {statuses}
frontend clients
  bind {addr} backlog 4096
  default_backend api
backend api
  server one {upstream}
  server two {upstream}
  server three {upstream}
"
    )
}

fn envoy(upstream: SocketAddr, addr: SocketAddr, retry_limits: Value) -> Value {
    let socket = |addr: SocketAddr| json!({ "socket_address": { "address": addr.ip().to_string(), "port_value": addr.port() } });
    let mut limits = retry_limits;
    for what in ["max_connections", "max_pending_requests", "max_requests"] {
        limits[what] = json!(NO_LIMIT);
    }
    let route = json!({
        "cluster": "api",
        "timeout": "35s",
        "retry_policy": {
            "retry_on": "retriable-status-codes,connect-failure,reset",
            "retriable_status_codes": [429, 500, 502, 503],
            "num_retries": 3,
        },
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "goodput",
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
        }],
        "route_config": { "virtual_hosts": [{
            "name": "api",
            "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": route }],
        }] },
    });
    json!({ "static_resources": {
        "listeners": [{
            "address": socket(addr),
            "filter_chains": [{ "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": manager,
            }] }],
        }],
        "clusters": [{
            "name": "api",
            "type": "STATIC",
            "connect_timeout": "3s",
            "circuit_breakers": { "thresholds": [limits] },
            "load_assignment": { "cluster_name": "api", "endpoints": [{
                "lb_endpoints": [{ "endpoint": { "address": socket(upstream) } }],
            }] },
        }],
    } })
}

const REDRIVE: &str = env!("CARGO_BIN_EXE_redrive");
/// More connections and requests than the load has at once.
const NO_LIMIT: usize = 2 * super::load::CONNECTIONS_MAX;
