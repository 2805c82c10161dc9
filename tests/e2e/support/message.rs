//! Reads one HTTP/1.1 message from a socket, byte by byte as it stands: the tests judge bytes, not meanings.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// One message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The start line and headers, with the empty line.
    pub(crate) head: String,
    /// The body, de-chunked.
    pub(crate) body: Vec<u8>,
    /// What stood after the last chunk.
    pub(crate) trailers: String,
}

impl Message {
    /// The first value of a header, by its case-insensitive name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    /// Every value of a header.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1);
        let fields = lines.filter_map(|line| line.split_once(':'));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }
}

/// Reads a head, up to and with its empty line; `None` at a clean end of the stream.
pub(crate) async fn read_head<R: AsyncRead + Unpin>(stream: &mut R) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return if head.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        head.push(byte[0]);
        assert!(head.len() < 1 << 20, "a head without an end");
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

/// Reads the body that belongs to the head. `to_end`: without any framing it goes on to the end of the stream.
pub(crate) async fn read_body<R: AsyncRead + Unpin>(
    stream: &mut R,
    message: &mut Message,
    to_end: bool,
) -> io::Result<()> {
    if message
        .header("transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    {
        loop {
            let line = read_line(stream).await?;
            let size = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            if size == 0 {
                break;
            }
            let start = message.body.len();
            message.body.resize(start + size, 0);
            stream.read_exact(&mut message.body[start..]).await?;
            assert_eq!(read_line(stream).await?, "", "a chunk ends with CRLF");
        }
        loop {
            let line = read_line(stream).await?;
            if line.is_empty() {
                return Ok(());
            }
            message.trailers.push_str(&line);
            message.trailers.push('\n');
        }
    }
    match message
        .header("content-length")
        .map(|length| length.parse::<usize>())
    {
        Some(length) => {
            message.body.resize(length.map_err(io::Error::other)?, 0);
            stream.read_exact(&mut message.body).await?;
        }
        None if to_end => {
            stream.read_to_end(&mut message.body).await?;
        }
        None => {}
    }
    Ok(())
}

async fn read_line<R: AsyncRead + Unpin>(stream: &mut R) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await?);
    }
    line.truncate(line.len() - 2);
    Ok(String::from_utf8_lossy(&line).into_owned())
}
