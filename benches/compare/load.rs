//! The clients: kept connections that ask and read as cheaply as possible, since what is measured is the proxy.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use redrive::clock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Fault;
use super::scenario::Scenario;

/// What came of a load.
pub(crate) struct Load {
    pub(crate) requests: usize,
    length: Duration,
    /// How long each request took, in order; of a load at a pace only.
    took: Vec<Duration>,
}

impl Load {
    /// Every client sends its next request when it has its answer.
    pub(crate) async fn flat_out(
        server: SocketAddr,
        scenario: &Scenario,
        length: Duration,
    ) -> Result<Self, Fault> {
        let clients = connect(server, scenario.clients).await?;
        let started = clock::now();
        let ends = started + length;
        let mut running = JoinSet::new();
        for mut client in clients {
            let request = scenario.request();
            running.spawn(async move {
                let mut requests = 0;
                while clock::now() < ends {
                    client.ask(&request).await?;
                    requests += 1;
                }
                Ok::<usize, Fault>(requests)
            });
        }
        let mut requests = 0;
        while let Some(done) = running.join_next().await {
            requests += done??;
        }
        Ok(Self {
            requests,
            length: clock::now() - started,
            took: Vec::new(),
        })
    }

    /// So many requests a second, evenly spread. Times count from the moment when a request is really sent, without the
    /// timer's lateness.
    pub(crate) async fn paced(
        server: SocketAddr,
        scenario: &Scenario,
        per_second: u32,
        length: Duration,
    ) -> Result<Self, Fault> {
        let clients = connect(server, scenario.clients).await?;
        let started = clock::now();
        let each = Duration::from_secs(1) / per_second;
        let step = each * u32::try_from(scenario.clients)?;
        let mut running = JoinSet::new();
        for (number, mut client) in clients.into_iter().enumerate() {
            let request = scenario.request();
            let first = each * u32::try_from(number)?;
            running.spawn(async move {
                let mut took = Vec::new();
                let mut due = first;
                while due < length {
                    tokio::time::sleep_until((started + due).into()).await;
                    let sent: Instant = clock::now();
                    client.ask(&request).await?;
                    took.push(clock::now() - sent);
                    due += step;
                }
                Ok::<_, Fault>(took)
            });
        }
        let mut took = Vec::new();
        while let Some(done) = running.join_next().await {
            took.extend(done??);
        }
        took.sort_unstable();
        Ok(Self {
            requests: took.len(),
            length,
            took,
        })
    }

    pub(crate) fn per_second(&self) -> f64 {
        let requests = u32::try_from(self.requests).unwrap_or(u32::MAX);
        f64::from(requests) / self.length.as_secs_f64()
    }

    /// How long the request took below which this share of all of them lies.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list"
    )]
    pub(crate) fn took(&self, share: f64) -> Duration {
        let index = (self.took.len() as f64 * share) as usize;
        let index = index.min(self.took.len().saturating_sub(1));
        self.took.get(index).copied().unwrap_or_default()
    }
}

/// Clients that asked once each, and stay connected.
pub(crate) async fn idle(
    server: SocketAddr,
    scenario: &Scenario,
    count: usize,
) -> Result<Vec<TcpStream>, Fault> {
    let request = scenario.request();
    let mut idle = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = Client::open(server).await?;
        client.ask(&request).await?;
        idle.push(client.stream);
    }
    Ok(idle)
}

/// Clients that have asked once each, and have no answer yet.
pub(crate) async fn waiting(
    server: SocketAddr,
    scenario: &Scenario,
    count: usize,
) -> Result<Vec<TcpStream>, Fault> {
    let request = scenario.request();
    let mut waiting = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = Client::open(server).await?;
        client.stream.write_all(&request).await?;
        waiting.push(client.stream);
    }
    Ok(waiting)
}

async fn connect(server: SocketAddr, count: usize) -> Result<Vec<Client>, Fault> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(Client::open(server).await?);
    }
    Ok(clients)
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    message: Message,
}

impl Client {
    pub(crate) async fn open(server: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            message: Message::new(),
        })
    }

    /// Sends a request and reads its answer to the end.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<(), Fault> {
        self.stream.write_all(request).await?;
        let is_there = self.message.read(&mut self.stream).await?;
        if !is_there || !self.message.is_good() {
            return Err(format!("no good answer: {}", self.message.first_line()).into());
        }
        Ok(())
    }
}

/// Reads one message after the other, a request or an answer, each with a length or without a body.
pub(crate) struct Message {
    buffer: Vec<u8>,
    head: usize,
    /// What its body has.
    length: usize,
}

impl Message {
    pub(crate) fn new() -> Self {
        Self {
            buffer: Vec::with_capacity(BUFFER_BYTES),
            head: 0,
            length: 0,
        }
    }

    /// Reads the next message; false where there is none.
    pub(crate) async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Result<bool, Fault> {
        self.buffer.clear();
        let rest = loop {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(false);
            }
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                self.head = end + 4;
                self.length = length(&self.buffer[..self.head])?;
                break (self.head + self.length).saturating_sub(self.buffer.len());
            }
        };
        let mut rest = rest;
        while rest > 0 {
            // What a body holds is nobody's business.
            self.buffer.truncate(self.head);
            let read = stream.read_buf(&mut self.buffer).await?;
            if read == 0 {
                return Err("the message broke off".into());
            }
            rest = rest.saturating_sub(read);
        }
        Ok(true)
    }

    /// Whether it is the upstream's: a proxy that has nobody to ask may be content with an empty answer.
    fn is_good(&self) -> bool {
        self.buffer.starts_with(b"HTTP/1.1 200 ") && self.length > 0
    }

    fn first_line(&self) -> String {
        let line = self.buffer.split(|byte| *byte == b'\r').next();
        String::from_utf8_lossy(line.unwrap_or_default()).into_owned()
    }
}

/// The length that a head announces; 0 without.
fn length(head: &[u8]) -> Result<usize, Fault> {
    let head = std::str::from_utf8(head)?;
    let field = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    Ok(field.map_or(Ok(0), |value| value.trim().parse())?)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

const BUFFER_BYTES: usize = 64 << 10;

/// What the proxies' limits have to leave room for: the configurations that are shared with the other bench ask for it.
pub(crate) const CONNECTIONS_MAX: usize = 4_000;
