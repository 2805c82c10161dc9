//! Processes that the bench starts and ends itself, and what the kernel says of them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Fault;

/// A server in a process of its own; killed and reaped when it is dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts it and waits until it accepts connections at `addr`. What it says is in `log`.
    pub(crate) fn start(mut command: Command, addr: SocketAddr, log: &Path) -> Result<Self, Fault> {
        let out = fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        let mut process = Self { child };
        for _ in 0..READY_LOOKS_MAX {
            if TcpStream::connect(addr).is_ok() {
                return Ok(process);
            }
            if process.child.try_wait()?.is_some() {
                break;
            }
            thread::sleep(LOOK_EVERY);
        }
        let said = fs::read_to_string(log)?;
        Err(format!("{command:?} does not listen on {addr}: {said}").into())
    }

    /// Memory that it really occupies, bytes.
    pub(crate) fn memory(&self) -> Result<u64, Fault> {
        memory(&self.child.id().to_string())
    }

    /// Time that its threads have spent on a processor.
    pub(crate) fn cpu(&self) -> Result<Duration, Fault> {
        cpu(&self.child.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The memory that a process occupies, bytes; `pid` may be `self`.
pub(crate) fn memory(pid: &str) -> Result<u64, Fault> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = statm.split(' ').nth(1).ok_or("statm has no second field")?;
    let pages: u64 = pages.parse()?;
    Ok(pages * u64::try_from(rustix::param::page_size())?)
}

/// The time that a process's living threads have spent on a processor, to the nanosecond; `/proc/PID/stat` would count in hundredths
/// of a second.
pub(crate) fn cpu(pid: &str) -> Result<Duration, Fault> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
        let on_cpu = schedstat.split(' ').next().ok_or("schedstat is empty")?;
        nanos += on_cpu.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// A port of loopback that was free a moment ago.
pub(crate) fn free_addr() -> Result<SocketAddr, Fault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

/// Lets this process and its children open as many files as they are allowed to; says how many.
pub(crate) fn raise_file_limit() -> Result<u64, Fault> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Ten seconds: Envoy takes one or two.
const READY_LOOKS_MAX: u32 = 1_000;
