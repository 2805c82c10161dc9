//! A gateway on a free port, a client that sees every byte, and a load of many clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use redrive::gateway::{Counts, Front, Gateway, Params, Seen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longer than any test takes: a test that waits for this has found a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(25);
/// An execution that outlasts every test.
pub(crate) const FOREVER: Duration = Duration::from_secs(29);

pub(crate) const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) counts: Arc<Counts>,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) task: JoinSet<()>,
}

pub(crate) async fn start(params: Params) -> Running {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let gateway = Gateway::bind(Params { listen, ..params })
        .await
        .expect("a gateway on a free port");
    let (stop, stopped) = oneshot::channel();
    let (addr, counts) = (gateway.local_addr(), gateway.counts());
    let mut task = JoinSet::new();
    task.spawn(gateway.run(async {
        stopped.await.ok();
    }));
    Running {
        addr,
        counts,
        stop,
        task,
    }
}

impl Running {
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.addr).await
    }

    /// Asks over the wire until the counts are as wanted; every question is a round trip, none is a sleep.
    pub(crate) async fn until(&self, wanted: impl Fn(Seen) -> bool) {
        let mut client = self.client().await;
        let asking = async {
            while !wanted(self.counts.snapshot()) {
                client.ask("GET /-/counts HTTP/1.1\r\n\r\n").await;
            }
        };
        timeout(PATIENCE, asking)
            .await
            .expect("counts that never come");
    }
}

pub(crate) struct Client(TcpStream);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self(TcpStream::connect(addr).await.expect("a connection"))
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.0.write_all(bytes.as_ref()))
            .await
            .expect("a gateway that reads")
            .expect("an open connection");
    }

    /// Reads one answer and not a byte more.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.parse().expect("a length"));
        let mut body = vec![0; length];
        timeout(PATIENCE, self.0.read_exact(&mut body))
            .await
            .expect("a body in time")
            .expect("a whole body");
        let body = String::from_utf8(body).expect("a body of text");
        Answer { head, body }
    }

    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(PATIENCE, self.0.read_u8()).await;
            head.push(byte.expect("a head in time").expect("a whole head"));
        }
        String::from_utf8(head).expect("a head of text")
    }

    pub(crate) async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    /// The gateway closed its side cleanly and sent nothing more.
    pub(crate) async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut rest))
            .await
            .expect("an end in time")
            .expect("an end without a reset");
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

impl Answer {
    pub(crate) fn status(&self) -> &str {
        &self.head["HTTP/1.1 ".len()..][..3]
    }

    pub(crate) fn says_close(&self) -> bool {
        self.head
            .to_ascii_lowercase()
            .contains("\r\nconnection: close\r\n")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("a body of JSON")
    }

    /// The answer with dates and ids replaced, after a look at their shape.
    pub(crate) fn masked(&self) -> String {
        let mut out = String::new();
        for line in self.head.split_inclusive("\r\n") {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            let value = value.trim_end();
            let shape = match name.to_ascii_lowercase().as_str() {
                "date" => httpdate::parse_http_date(value).is_ok(),
                "x-amzn-requestid" => value.len() == 36 && value.matches('-').count() == 4,
                "x-amz-apigw-id" | "apigw-requestid" => value.len() == 16 && value.ends_with('='),
                _ => {
                    out.push_str(line);
                    continue;
                }
            };
            assert!(shape, "{line}");
            out.extend([name, ": *\r\n"]);
        }
        out + &self.body
    }
}

pub(crate) fn closed_by_rate(front: Front) -> Params {
    Params {
        front,
        rate: Some(0),
        ..Params::default()
    }
}

pub(crate) fn closed_by_concurrency(front: Front) -> Params {
    Params {
        front,
        concurrency: Some(0),
        ..Params::default()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) ok: u64,
    pub(crate) refused: u64,
}

/// So many clients side by side, each with so many requests on one connection.
pub(crate) async fn load(addr: SocketAddr, clients: usize, requests: usize) -> Tally {
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        tasks.spawn(async move {
            let mut client = Client::connect(addr).await;
            let mut ok = 0;
            for _ in 0..requests {
                let answer = client.ask(GET).await;
                ok += u64::from(answer.status() == "200");
            }
            ok
        });
    }
    let ok = tasks.join_all().await.into_iter().sum();
    let all = u64::try_from(clients * requests).expect("a small load");
    Tally {
        ok,
        refused: all - ok,
    }
}
