//! Who runs where: the proxy has a core of its own, so that what it costs is not what others do to its caches.

use rustix::thread::{CpuSet, sched_setaffinity};

use super::Fault;

/// The proxy's core.
pub(crate) const PROXY: usize = 0;
/// The core of clients and upstream; with one core only, it is shared.
pub(crate) const LOAD: usize = 1;

/// From now on this thread, and what it starts, runs on that core.
pub(crate) fn take(core: usize) -> Result<(), Fault> {
    let cores = std::fs::read_to_string("/proc/stat")?;
    let is_there = cores
        .lines()
        .any(|line| line.starts_with(&format!("cpu{core} ")));
    let mut set = CpuSet::new();
    set.set(if is_there { core } else { PROXY });
    Ok(sched_setaffinity(None, &set)?)
}
