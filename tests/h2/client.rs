//! A client that sends what it is told, right or wrong, and reads frames.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Peer, in_time};
use crate::wire::{ACK, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE};
use crate::wire::{RST_STREAM, SETTINGS, request};

/// One connection.
pub(crate) struct Client {
    peer: Peer,
    unread: Vec<u8>,
}

/// How a server says that something was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// RST_STREAM of this stream.
    Stream(u32, String),
    /// GOAWAY, and the end of the connection.
    Connection(String),
    /// The end of the connection, without a word.
    Closed,
    /// It did not.
    None,
}

impl Client {
    /// A connection on which nothing was said.
    pub(crate) async fn raw(addr: SocketAddr) -> Self {
        Self {
            peer: Peer::connect(addr).await,
            unread: Vec::new(),
        }
    }

    /// A connection on which both sides have told their settings. The server is to keep no table, so that every status can
    /// be read by itself.
    pub(crate) async fn connect(addr: SocketAddr, settings: &[u8]) -> Self {
        let mut client = Self::raw(addr).await;
        let settings = [b"\0\x01\0\0\0\0", settings].concat();
        let settings = Frame::new(SETTINGS, 0, 0, settings).bytes();
        client.send(&[PREFACE, &settings].concat()).await;
        client.until("SETTINGS", |it| it.kind == SETTINGS).await;
        let ack = Frame::new(SETTINGS, ACK, 0, []).bytes();
        client.send(&ack).await;
        client.until("SETTINGS ACK", |it| it.kind == SETTINGS).await;
        client
    }

    /// Sends these bytes. The server may have closed by then, which is for what it says to tell.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let sent = self.peer.stream.write_all(bytes);
        let _sent_or_closed = in_time("sending", sent).await;
    }

    /// Sends a request without a body.
    pub(crate) async fn get(&mut self, stream: u32, path: &str) {
        let flags = END_STREAM | END_HEADERS;
        let head = Frame::new(HEADERS, flags, stream, request("GET", path));
        self.send(&head.bytes()).await;
    }

    /// The next frame, unless the connection ends before.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = Frame::parse(&self.unread) {
                self.unread.drain(..length);
                return Some(frame);
            }
            let read = self.peer.stream.read_buf(&mut self.unread);
            if in_time("a frame", read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The first frame that fits; the others before it are passed over, but for a GOAWAY.
    pub(crate) async fn until(&mut self, what: &str, fits: impl Fn(&Frame) -> bool) -> Frame {
        let mut passed = Vec::new();
        while let Some(frame) = self.next().await {
            if fits(&frame) {
                return frame;
            }
            assert_ne!(frame.kind, GOAWAY, "{what}: {frame:?} behind {passed:?}");
            passed.push(frame);
        }
        panic!("the connection ended before {what}, behind {passed:?}");
    }

    /// The status of a stream's answer, when all of it has come.
    pub(crate) async fn answer(&mut self, stream: u32) -> u16 {
        let head = format!("an answer on stream {stream}");
        let head = self
            .until(&head, |it| it.stream == stream && it.kind == HEADERS)
            .await;
        if !head.has(END_STREAM) {
            self.until("the end of an answer", |it| {
                assert!(
                    it.stream != stream || it.kind != RST_STREAM,
                    "stream {stream} was reset: {}",
                    it.code()
                );
                it.stream == stream && it.has(END_STREAM)
            })
            .await;
        }
        head.status()
    }

    /// What the server finds wrong with what was sent. It has found nothing when it has answered two PINGs in turn, since what
    /// it has to say of a stream goes out before it reads the second.
    pub(crate) async fn fault(&mut self) -> Fault {
        for opaque in *b"12" {
            let ping = Frame::new(PING, 0, 0, [opaque; 8]);
            self.send(&ping.bytes()).await;
            loop {
                let Some(frame) = self.next().await else {
                    return Fault::Closed;
                };
                match frame.kind {
                    PING if frame.has(ACK) && frame.payload == [opaque; 8] => break,
                    RST_STREAM => return Fault::Stream(frame.stream, frame.code()),
                    GOAWAY => {
                        let code = frame.code();
                        while self.next().await.is_some() {}
                        return Fault::Connection(code);
                    }
                    _ => {}
                }
            }
        }
        Fault::None
    }

    /// Everything up to the end, as text.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = std::mem::take(&mut self.unread);
        rest.extend(self.peer.rest().await);
        String::from_utf8_lossy(&rest).into_owned()
    }
}
