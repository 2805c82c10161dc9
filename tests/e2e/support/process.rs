//! redrive as its own process, so that its log can be read, too.

use std::net::SocketAddr;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::client::Client;
use super::raw::in_time;

/// A running redrive; killed with its handle.
pub(crate) struct Process {
    /// Where clients are served.
    pub(crate) addr: SocketAddr,
    /// Where the operator is served.
    pub(crate) admin: SocketAddr,
    before: Vec<Value>,
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// redrive before this upstream, with short waits and nothing paced, and what the TOML says on top.
    pub(crate) async fn before(upstream: SocketAddr, toml: &str) -> Self {
        Self::with(upstream, toml, &[]).await
    }

    /// The same, in this environment.
    pub(crate) async fn with(upstream: SocketAddr, toml: &str, env: &[(&str, String)]) -> Self {
        let toml = format!("upstream = \"http://{upstream}\"\n{toml}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_redrive"))
            .env_clear()
            .envs([
                ("REDRIVE_CONFIG_TOML", toml.as_str()),
                ("REDRIVE_LISTEN", "127.0.0.1:0"),
                ("REDRIVE_ADMIN", "127.0.0.1:0"),
                ("REDRIVE_RETRY__BACKOFF__THROTTLE_BASE", "20ms"),
                ("REDRIVE_RETRY__BACKOFF__BASE", "10ms"),
                ("REDRIVE_PACE__MODE", "off"),
            ])
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut before = Vec::new();
        let ready = loop {
            let next = event(&mut log, "its readiness", |_| true).await;
            if next["message"] == "redrive is ready" {
                break next;
            }
            before.push(next);
        };
        let addr = |key: &str| ready[key].as_str().unwrap().parse().unwrap();
        Self {
            addr: addr("listen"),
            admin: addr("admin"),
            before,
            child,
            log,
        }
    }

    /// What it told before it was ready.
    pub(crate) fn before_ready(&self) -> &[Value] {
        &self.before
    }

    /// Reads the log to its end, which comes with the process's own.
    #[cfg(feature = "otlp")]
    pub(crate) async fn rest_of_log(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        in_time("the process's end", async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                events.push(serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}")));
            }
        })
        .await;
        events
    }

    /// Reads the log on to the next event of this kind; `what` names it when it does not come.
    pub(crate) async fn event(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        event(&mut self.log, what, is_it).await
    }

    /// The sum over all series of a family that carry this label.
    pub(crate) async fn total(&self, family: &str, label: &str) -> f64 {
        let page = Client::get(self.admin, "/metrics").await.text();
        let series = page
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(name, _)| name.split('{').next() == Some(family) && name.contains(label));
        series.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
    }

    /// Waits until the sum is this much.
    pub(crate) async fn reaches(&self, family: &str, label: &str, value: f64) {
        in_time(family, async {
            while self.total(family, label).await < value {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Tells it to drain.
    pub(crate) fn terminate(&self) {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }
}

async fn event(
    log: &mut Lines<BufReader<ChildStdout>>,
    what: &str,
    is_it: impl Fn(&Value) -> bool,
) -> Value {
    in_time(&format!("{what} in the log"), async {
        loop {
            let line = log.next_line().await.unwrap().expect("the log goes on");
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if is_it(&event) {
                return event;
            }
        }
    })
    .await
}
