//! The program under abuse, what it costs, and a small origin behind it. Blocking sockets: the harm is in the bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub(crate) const MEBIBYTE: usize = 1 << 20;

/// A started redrive; killed with its handle.
pub(crate) struct Victim {
    child: Child,
    addr: SocketAddr,
    admin: SocketAddr,
}

/// An upstream that answers everybody the same; its threads end with the process.
pub(crate) struct Origin {
    addr: SocketAddr,
    heads: Arc<AtomicUsize>,
}

/// As many descriptors as this process and those it starts may have, after asking for all.
pub(crate) fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, all).unwrap();
    limit
        .maximum
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX)
}

impl Victim {
    /// redrive with its defaults and these variables.
    pub(crate) fn before(origin: &Origin, env: &[(&str, &str)]) -> Self {
        Self::start(Command::new(env!("CARGO_BIN_EXE_redrive")), origin, env)
    }

    /// redrive with its defaults, started by a shell that has set its limit of descriptors: `-S` the soft one, which may be
    /// raised, `-H` the hard one, or both.
    pub(crate) fn with_ulimit(arguments: &str, origin: &Origin) -> Self {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!(
            "ulimit {arguments} && exec '{}'",
            env!("CARGO_BIN_EXE_redrive")
        ));
        Self::start(shell, origin, &[])
    }

    fn start(mut command: Command, origin: &Origin, env: &[(&str, &str)]) -> Self {
        let mut child = command
            .env("REDRIVE_UPSTREAM", format!("http://{}", origin.addr))
            .env("REDRIVE_LISTEN", "127.0.0.1:0")
            .env("REDRIVE_ADMIN", "127.0.0.1:0")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready: serde_json::Value = lines
            .by_ref()
            .map(|line| line.unwrap())
            .find(|line| line.contains("redrive is ready"))
            .map(|line| serde_json::from_str(&line).unwrap())
            .expect("it says where it listens");
        // Somebody has to read on, or the log's pipe is full one day.
        thread::spawn(move || lines.for_each(drop));
        let told = |field: &str| ready[field].as_str().unwrap().parse().unwrap();
        Self {
            addr: told("listen"),
            admin: told("admin"),
            child,
        }
    }

    /// A connection, taken in at once: one that found no room in the backlog would be tried again after a second.
    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect_timeout(&self.addr, Duration::from_millis(900)).unwrap()
    }

    /// The status of a clean request on a connection of its own.
    pub(crate) fn get(&self) -> u16 {
        status(&exchange(self.addr, "/"))
    }

    /// What the probe of liveness is told.
    pub(crate) fn livez(&self) -> u16 {
        status(&exchange(self.admin, "/livez"))
    }

    /// The memory that the process has of its own, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.status("RssAnon:")
    }

    /// Lets the peak begin anew, and returns what it is now, in bytes.
    pub(crate) fn forget_peak(&self) -> usize {
        std::fs::write(self.proc("clear_refs"), "5").unwrap();
        self.peak()
    }

    /// The most memory that the process has had at once since then, the pages of its program included, in bytes.
    pub(crate) fn peak(&self) -> usize {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> usize {
        let status = std::fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
        kilobytes.parse::<usize>().unwrap() << 10
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    /// Waits until a gauge is this high.
    pub(crate) fn reaches(&self, gauge: &str, least: usize) {
        until(gauge, || self.gauge(gauge), |value| value >= least);
    }

    /// Waits until a gauge is this low.
    pub(crate) fn sinks_to(&self, gauge: &str, most: usize) {
        until(gauge, || self.gauge(gauge), |value| value <= most);
    }

    /// Waits until the process has so many file descriptors.
    pub(crate) fn takes_descriptors(&self, least: usize) {
        let open = || std::fs::read_dir(self.proc("fd")).unwrap().count();
        until("descriptors", open, |open| open >= least);
    }

    /// What a gauge without labels shows.
    pub(crate) fn gauge(&self, gauge: &str) -> usize {
        let page = exchange(self.admin, "/metrics");
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(gauge)?.strip_prefix(' '));
        value.unwrap().parse().unwrap()
    }
}

fn until(what: &str, count: impl Fn() -> usize, is_enough: impl Fn(usize) -> bool) {
    let mut value = 0;
    for _ in 0..1000 {
        value = count();
        if is_enough(value) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{what}: {value}");
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Origin {
    /// Reads a request wholly, if it has a length, and answers these bytes.
    pub(crate) fn answering(answer: &'static [u8]) -> Self {
        Self::serving(move |stream, _| stream.write_all(answer))
    }

    /// Answers nobody who asks for this path, and everybody else.
    pub(crate) fn silent_on(path: &'static str, answer: &'static [u8]) -> Self {
        Self::serving(move |stream, start| {
            if start.split(' ').nth(1) == Some(path) {
                return stream.read(&mut [0]).map(drop);
            }
            stream.write_all(answer)
        })
    }

    /// Answers so many bytes.
    pub(crate) fn streaming(length: usize) -> Self {
        Self::serving(move |stream, _| {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            )?;
            let part = vec![b'x'; MEBIBYTE];
            (0..length / MEBIBYTE).try_for_each(|_| stream.write_all(&part))
        })
    }

    /// How many heads came.
    pub(crate) fn heads(&self) -> usize {
        self.heads.load(Ordering::SeqCst)
    }

    fn serving(
        answer: impl Fn(&mut TcpStream, &str) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (heads, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let counter = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (counter, answer) = (Arc::clone(&counter), Arc::clone(&answer));
                // A connection that breaks ends its thread, and nothing else.
                thread::spawn(move || serve(stream?, &counter, &*answer));
            }
        });
        Self { addr, heads }
    }
}

fn serve(
    mut stream: TcpStream,
    heads: &AtomicUsize,
    answer: &dyn Fn(&mut TcpStream, &str) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut length, mut start) = (0, None);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(told) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = told.trim().parse().unwrap();
            }
            start.get_or_insert(line);
        }
        heads.fetch_add(1, Ordering::SeqCst);
        let read = std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        if read < length {
            return Ok(());
        }
        answer(&mut stream, &start.unwrap_or_default())?;
    }
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// One request on a connection of its own, and the answer as text.
fn exchange(addr: SocketAddr, path: &str) -> String {
    let mut client = TcpStream::connect(addr).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(
        client,
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}
