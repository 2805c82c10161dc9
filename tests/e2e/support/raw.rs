//! A socket that a test drives itself, step by step: for what no script can say, such as who sends which byte first.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::message::{Message, read_body, read_head};

/// A port that is taken and refuses connections until it listens.
pub(crate) struct Reserved {
    socket: TcpSocket,
    /// Where it will listen.
    pub(crate) addr: SocketAddr,
}

/// An upstream whose connections the test accepts and serves itself.
pub(crate) struct Origin {
    listener: TcpListener,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
}

/// One side of a connection.
pub(crate) struct Peer<S = TcpStream> {
    /// The stream, for what is not said here.
    pub(crate) stream: S,
}

impl Reserved {
    /// Takes a port.
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // So that somebody who is told this very port may listen there in its place; nobody is given it by chance.
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = socket.local_addr().unwrap();
        Self { socket, addr }
    }

    /// From now on it accepts.
    pub(crate) fn listen(self) -> Origin {
        Origin {
            listener: self.socket.listen(1024).unwrap(),
            addr: self.addr,
        }
    }
}

impl Origin {
    /// Listens.
    pub(crate) fn new() -> Self {
        Reserved::new().listen()
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = in_time("a connection", self.listener.accept())
            .await
            .unwrap();
        Peer { stream }
    }

    /// Whether a connection waits to be accepted.
    pub(crate) async fn is_asked(&self) -> bool {
        tokio::select! {
            biased;
            _ = self.listener.accept() => true,
            () = tokio::task::yield_now() => false,
        }
    }
}

impl Peer {
    /// Connects.
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = in_time("connecting", TcpStream::connect(addr))
            .await
            .unwrap();
        Self { stream }
    }

    /// Resets the connection, losing what was sent and not read.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// The next head, without a body.
    pub(crate) async fn head(&mut self) -> Message {
        self.next_head().await.expect("a head before the end")
    }

    /// The next head, if there is one before the stream ends or breaks.
    pub(crate) async fn next_head(&mut self) -> Option<Message> {
        let head = in_time("a head", read_head(&mut self.stream))
            .await
            .ok()??;
        Some(Message {
            head,
            body: Vec::new(),
            trailers: String::new(),
        })
    }

    /// The next whole message; one without framing has no body.
    pub(crate) async fn message(&mut self) -> Message {
        let mut message = self.head().await;
        self.body_of(&mut message).await.unwrap();
        message
    }

    /// Reads the body of a message whose head was read.
    pub(crate) async fn body_of(&mut self, message: &mut Message) -> std::io::Result<()> {
        in_time("a body", read_body(&mut self.stream, message, false)).await
    }

    /// Exactly so many bytes.
    pub(crate) async fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        in_time("bytes", self.stream.read_exact(&mut bytes))
            .await
            .unwrap();
        bytes
    }

    /// Everything up to the end of the stream, however it ends.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let reading = self.stream.read_to_end(&mut bytes);
        let _ended_or_reset = in_time("the end of the connection", reading).await;
        bytes
    }

    /// Sends these bytes.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        in_time("sending", self.stream.write_all(bytes.as_ref()))
            .await
            .unwrap();
    }
}

/// What should happen, or a panic that says what did not.
pub(crate) async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come in time"))
}

/// So long that only a bug takes it.
const LIMIT: Duration = Duration::from_secs(20);
