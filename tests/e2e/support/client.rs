//! A client of raw bytes, as legacy ones are.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::message::{Message, read_body, read_head};

/// One connection of a client.
pub(crate) struct Client {
    /// The socket, for tests that send in pieces or leave early.
    pub(crate) stream: TcpStream,
}

/// An answer as the client saw it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The head as it came.
    pub(crate) head: String,
    /// The body, de-chunked.
    pub(crate) body: Vec<u8>,
    message: Message,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(addr).await.unwrap(),
        }
    }

    /// One GET on a connection of its own.
    pub(crate) async fn get(addr: SocketAddr, path: &str) -> Answer {
        Self::request(addr, "GET", path, &[], b"").await
    }

    /// One POST on a connection of its own.
    pub(crate) async fn post(addr: SocketAddr, path: &str, body: &[u8]) -> Answer {
        Self::request(addr, "POST", path, &[], body).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn request(
        addr: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut client = Self::connect(addr).await;
        client.send(method, path, headers, body).await;
        client.answer_to(method).await
    }

    /// Sends a whole request; its body is sized. `Host` is there unless the headers hold one.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            head.push_str("Host: sidecar.test\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.raw(head.as_bytes()).await;
        self.raw(body).await;
    }

    /// Sends a whole POST whose body comes in chunks of this size.
    pub(crate) async fn send_chunked(&mut self, path: &str, body: &[u8], chunk: usize) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: sidecar.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        self.raw(head.as_bytes()).await;
        for piece in body.chunks(chunk) {
            self.raw(format!("{:x}\r\n", piece.len()).as_bytes()).await;
            self.raw(piece).await;
            self.raw(b"\r\n").await;
        }
        self.raw(b"0\r\n\r\n").await;
    }

    /// Sends these bytes.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        // An answer may come, and the connection close, before everything is sent: the answer is what counts.
        let _sent_or_closed = self.stream.write_all(bytes).await;
    }

    /// Reads the next answer's head alone.
    pub(crate) async fn head(&mut self) -> String {
        tokio::time::timeout(Duration::from_secs(30), read_head(&mut self.stream))
            .await
            .expect("a head in time")
            .unwrap()
            .expect("a head before the end")
    }

    /// Reads the answer to a request with this method.
    pub(crate) async fn answer_to(&mut self, method: &str) -> Answer {
        tokio::time::timeout(Duration::from_secs(30), self.read_answer(method))
            .await
            .expect("an answer in time")
    }

    async fn read_answer(&mut self, method: &str) -> Answer {
        let head = read_head(&mut self.stream)
            .await
            .unwrap()
            .expect("an answer before the connection ends");
        let status = head[9..12].parse().unwrap();
        let mut message = Message {
            head,
            body: Vec::new(),
            trailers: String::new(),
        };
        let bodyless = method == "HEAD" || status == 204 || status == 304 || status < 200;
        if !bodyless {
            read_body(&mut self.stream, &mut message, true)
                .await
                .unwrap();
        }
        Answer {
            status,
            head: message.head.clone(),
            body: message.body.clone(),
            message,
        }
    }
}

impl Answer {
    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.message.header(name)
    }

    /// What redrive says of it: attempts, reason, and whether the function may have run; `-` where it says nothing.
    pub(crate) fn explained(&self) -> (&str, &str, &str) {
        let told = |name| self.header(name).unwrap_or("-");
        (
            told("redrive-attempts"),
            told("redrive-reason"),
            told("redrive-ran"),
        )
    }

    /// How long the request waited in redrive, as it says; seconds.
    pub(crate) fn waited(&self) -> f64 {
        self.header("redrive-waited").unwrap().parse().unwrap()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
