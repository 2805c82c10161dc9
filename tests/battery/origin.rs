//! An upstream that records every byte, and reads requests in the only way in which they may be written.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// One whole request, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The lines of its head, without their ends.
    pub(crate) head: Vec<String>,
    /// Its body as it stood on the wire.
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The body with its chunks joined: where they end is nobody's business.
    pub(crate) fn joined(&self) -> Vec<u8> {
        let is_coded = |line: &String| line.eq_ignore_ascii_case("transfer-encoding: chunked");
        if !self.head.iter().any(is_coded) {
            return self.body.clone();
        }
        let (mut data, mut rest) = (Vec::new(), self.body.as_slice());
        loop {
            let line = find(rest, b"\r\n").unwrap();
            let digits = std::str::from_utf8(&rest[..line]).unwrap();
            let size = usize::from_str_radix(digits, 16).unwrap();
            if size == 0 {
                break;
            }
            data.extend_from_slice(&rest[line + 2..line + 2 + size]);
            rest = &rest[line + 2 + size + 2..];
        }
        if data.is_empty() {
            return rest.to_vec();
        }
        let size = format!("{:x}\r\n", data.len());
        [size.as_bytes(), &data, b"\r\n", rest].concat()
    }
}

/// What an upstream does when a request is whole: these bytes, and whether it then closes.
pub(crate) type Reply = (Vec<u8>, bool);

/// Decides what to answer to the n-th request, counted from 0, that came on the m-th connection.
pub(crate) type Replier = Arc<dyn Fn(usize, usize, &Seen) -> Reply + Send + Sync>;

/// A running upstream; ends with its handle.
pub(crate) struct Origin {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    record: Arc<Mutex<Record>>,
    bytes: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Record {
    connections: usize,
    whole: Vec<Seen>,
    /// What came on connections that ended within a request.
    cut: Vec<Vec<u8>>,
}

impl Origin {
    /// Listens.
    pub(crate) async fn new(replier: Replier) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let record = Arc::new(Mutex::new(Record::default()));
        let (sender, bytes) = watch::channel(0);
        let sender = Arc::new(sender);
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&record);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let index = {
                    let mut record = shared.lock().unwrap();
                    record.connections += 1;
                    record.connections - 1
                };
                let (record, sender) = (Arc::clone(&shared), Arc::clone(&sender));
                connections.spawn(serve(stream, index, record, sender, Arc::clone(&replier)));
            }
        });
        Self {
            addr,
            record,
            bytes,
            _tasks: tasks,
        }
    }

    /// Every whole request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.record.lock().unwrap().whole.clone()
    }

    /// What came of requests that never became whole.
    pub(crate) fn cut(&self) -> Vec<Vec<u8>> {
        self.record.lock().unwrap().cut.clone()
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.record.lock().unwrap().connections
    }

    /// Waits until any byte of a request has come.
    pub(crate) async fn is_sent_to(&self) {
        let mut bytes = self.bytes.clone();
        let some = bytes.wait_for(|bytes| *bytes > 0);
        crate::support::in_time("a byte at the upstream", some)
            .await
            .unwrap();
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    record: Arc<Mutex<Record>>,
    bytes: Arc<watch::Sender<usize>>,
    replier: Replier,
) {
    let mut buffer = Vec::new();
    loop {
        while let Some((seen, length)) = parse(&buffer) {
            buffer.drain(..length);
            let reply = {
                let mut record = record.lock().unwrap();
                let index = record.whole.len();
                record.whole.push(seen.clone());
                replier(index, connection, &seen)
            };
            let (answer, closes) = reply;
            if stream.write_all(&answer).await.is_err() || closes {
                let _gone = stream.shutdown().await;
                return;
            }
        }
        let read = stream.read_buf(&mut buffer).await.unwrap_or(0);
        bytes.send_modify(|bytes| *bytes += read);
        if read == 0 {
            if !buffer.is_empty() {
                record.lock().unwrap().cut.push(buffer);
            }
            return;
        }
    }
}

/// The first whole request and how many bytes it has. Panics at anything that has no business on the wire.
fn parse(bytes: &[u8]) -> Option<(Seen, usize)> {
    let end = find(bytes, b"\r\n\r\n")?;
    let head: Vec<String> = bytes[..end]
        .split(|byte| *byte == b'\n')
        .map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let is_clean = line.iter().all(|byte| *byte >= b' ' || *byte == b'\t');
            assert!(is_clean, "control bytes at the upstream: {line:?}");
            // As Latin-1, so that no byte is lost.
            line.iter().copied().map(char::from).collect()
        })
        .collect();
    let values = |name: &str| -> Vec<String> {
        let fields = head[1..].iter().filter_map(|line| line.split_once(": "));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    assert_eq!(values("host").len(), 1, "one Host: {head:?}");
    assert!(lengths.len() + codings.len() <= 1, "one framing: {head:?}");
    let rest = &bytes[end + 4..];
    let body = if let Some(length) = lengths.first() {
        rest.get(..length.parse::<usize>().unwrap())?
    } else if let Some(coding) = codings.first() {
        assert_eq!(coding, "chunked");
        &rest[..chunked(rest)?]
    } else {
        &[]
    };
    let length = end + 4 + body.len();
    let body = body.to_vec();
    Some((Seen { head, body }, length))
}

/// How long a body in chunks is, written as RFC 9112 wants it and without extensions.
fn chunked(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let digits = std::str::from_utf8(&bytes[at..at + line]).unwrap();
        assert!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let size = usize::from_str_radix(digits, 16).unwrap();
        at += line + 2;
        if size == 0 {
            break;
        }
        let end = bytes.get(at + size..at + size + 2)?;
        assert_eq!(end, b"\r\n", "a chunk ends with CRLF");
        at += size + 2;
    }
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        at += line + 2;
        if line == 0 {
            return Some(at);
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
