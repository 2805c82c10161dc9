//! HTTP/2 frames as they are on the wire (RFC 9113 section 4): made, sent and read without judging them, since what a test
//! sends is wrong on purpose.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its type.
    pub(crate) kind: u8,
    /// Its flags.
    pub(crate) flags: u8,
    /// Its stream; 0 is the connection.
    pub(crate) stream: u32,
    /// What is in it.
    pub(crate) payload: Vec<u8>,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

/// The stream ends with this frame (DATA and HEADERS).
pub(crate) const END_STREAM: u8 = 1;

/// The head ends with this frame (HEADERS).
pub(crate) const END_HEADERS: u8 = 4;

/// What a client sends before its first frame.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Frame {
    /// A frame.
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    /// Settings, each an identifier and a value.
    pub(crate) fn settings(settings: &[(u16, u32)]) -> Self {
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        Self::new(SETTINGS, 0, 0, payload)
    }

    /// A farewell.
    pub(crate) fn goaway(last: u32, reason: u32) -> Self {
        let payload = [last.to_be_bytes(), reason.to_be_bytes()].concat();
        Self::new(GOAWAY, 0, 0, payload)
    }

    /// The end of a stream before its time.
    pub(crate) fn reset(stream: u32, reason: u32) -> Self {
        Self::new(RST_STREAM, 0, stream, reason.to_be_bytes())
    }

    /// As it is on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// The error code at `offset` of the payload: 0 in RST_STREAM, 4 in GOAWAY.
    pub(crate) fn code(&self, offset: usize) -> u32 {
        u32::from_be_bytes(self.payload[offset..offset + 4].try_into().unwrap())
    }
}

/// The next frame; `None` at the end of the stream, clean or not.
pub(crate) async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> Option<Frame> {
    read_frame(stream).await.ok()
}

async fn read_frame<R: AsyncRead + Unpin>(stream: &mut R) -> io::Result<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let mut payload = vec![0; length.try_into().map_err(io::Error::other)?];
    stream.read_exact(&mut payload).await?;
    Ok(Frame::new(head[3], head[4], id & 0x7fff_ffff, payload))
}
