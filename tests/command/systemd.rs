//! What a service manager is told over its socket, and that nobody needs one.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::Running;

/// A service manager's socket, gone with this value.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new(test: &str) -> Self {
        let name = format!("redrive-{test}-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let path = path.to_str().unwrap().to_owned();
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(WORD_MAX)).unwrap();
        Self { socket, path }
    }

    /// The next message, as its lines.
    fn told(&self) -> Vec<String> {
        let mut message = [0; 1024];
        let length = self.socket.recv(&mut message).expect("a message comes");
        let text = str::from_utf8(&message[..length]).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // A file in the temporary directory; nothing follows from its staying there.
        std::fs::remove_file(&self.path).ok();
    }
}

fn start(manager: &str) -> Running {
    let env = [
        ("REDRIVE_UPSTREAM", "http://api.example"),
        ("REDRIVE_LISTEN", "127.0.0.1:0"),
        ("REDRIVE_ADMIN", "127.0.0.1:0"),
        ("NOTIFY_SOCKET", manager),
    ];
    Running::start(&[], &env)
}

#[test]
fn systemd_is_told_when_it_serves_reads_its_files_again_and_ends() {
    let manager = Manager::new("life");
    let mut running = start(&manager.path);

    assert_eq!(manager.told(), ["READY=1"]);

    running.signal(Signal::HUP);
    let reloading = manager.told();
    assert_eq!(reloading[0], "RELOADING=1");
    let since = reloading[1].strip_prefix("MONOTONIC_USEC=");
    let since = since.and_then(|digits| digits.parse::<u64>().ok());
    assert!(since.is_some(), "{reloading:?}");
    assert_eq!(manager.told(), ["READY=1"]);

    running.signal(Signal::TERM);
    assert_eq!(manager.told(), ["STOPPING=1"]);
    assert_eq!(running.ended().0, Some(0));
}

#[test]
fn a_service_manager_that_is_not_there_stops_nothing() {
    let mut running = start("/nonexistent/notify.sock");

    running.line_with("systemd cannot be told how this process is doing");
    running.signal(Signal::TERM);

    assert_eq!(running.ended().0, Some(0));
}

/// The longest that a message may take to come.
const WORD_MAX: Duration = Duration::from_secs(30);
