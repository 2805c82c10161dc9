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
    /// All of it as it stood on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let head = format!("{}\r\n\r\n", self.head.join("\r\n"));
        let head = head.chars().map(|byte| byte as u8);
        head.chain(self.body.iter().copied()).collect()
    }

    /// The body with its chunks joined, as it is the same wherever they end.
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
    /// What had come of requests when their connections were reset.
    begun: Vec<Vec<u8>>,
    /// What came on connections that ended within a request.
    cut: Vec<Vec<u8>>,
}

impl Origin {
    /// Listens, and answers whatever is whole.
    pub(crate) async fn new(replier: Replier) -> Self {
        Self::listen(replier, false).await
    }

    /// Listens, and resets the connection of every first attempt as soon as its head has come.
    pub(crate) async fn resetting(replier: Replier) -> Self {
        Self::listen(replier, true).await
    }

    async fn listen(replier: Replier, resets: bool) -> Self {
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
                let connection = Connection {
                    stream,
                    index,
                    record: Arc::clone(&shared),
                    bytes: Arc::clone(&sender),
                    resets,
                };
                connections.spawn(connection.serve(Arc::clone(&replier)));
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

    /// How many whole requests there are so far.
    pub(crate) fn count(&self) -> usize {
        self.record.lock().unwrap().whole.len()
    }

    /// What had come of first attempts when their connections were reset.
    pub(crate) fn begun(&self) -> Vec<Vec<u8>> {
        self.record.lock().unwrap().begun.clone()
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

struct Connection {
    stream: TcpStream,
    index: usize,
    record: Arc<Mutex<Record>>,
    bytes: Arc<watch::Sender<usize>>,
    resets: bool,
}

impl Connection {
    async fn serve(mut self, replier: Replier) {
        let mut buffer = Vec::new();
        loop {
            if self.resets && is_first_attempt(&buffer) {
                self.record.lock().unwrap().begun.push(buffer);
                self.stream.set_zero_linger().unwrap();
                return;
            }
            while let Some((seen, length)) = parse(&buffer) {
                buffer.drain(..length);
                let reply = {
                    let mut record = self.record.lock().unwrap();
                    let index = record.whole.len();
                    record.whole.push(seen.clone());
                    replier(index, self.index, &seen)
                };
                let (answer, closes) = reply;
                if self.stream.write_all(&answer).await.is_err() || closes {
                    let _gone = self.stream.shutdown().await;
                    return;
                }
            }
            let read = self.stream.read_buf(&mut buffer).await.unwrap_or(0);
            self.bytes.send_modify(|bytes| *bytes += read);
            if read == 0 {
                if !buffer.is_empty() {
                    self.record.lock().unwrap().cut.push(buffer);
                }
                return;
            }
        }
    }
}

/// Whether these bytes begin with the whole head of a first attempt.
fn is_first_attempt(bytes: &[u8]) -> bool {
    let head = find(bytes, b"\r\n\r\n").map(|end| bytes[..end + 2].to_ascii_lowercase());
    head.is_some_and(|head| find(&head, b"\r\nredrive-attempt: 1\r\n").is_some())
}

/// The first whole request and how many bytes it has. Panics at anything that has no business on the wire: lines end with CRLF,
/// a request line has three words, names are tokens (RFC 9110 section 5.6.2), lengths are digits.
fn parse(bytes: &[u8]) -> Option<(Seen, usize)> {
    let end = find(bytes, b"\r\n\r\n")?;
    // As Latin-1, so that no byte is lost.
    let text: String = bytes[..end].iter().copied().map(char::from).collect();
    let head: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
    for line in &head {
        let is_clean = |sign: char| sign >= ' ' && sign != '\x7f' || sign == '\t';
        assert!(line.chars().all(is_clean), "control bytes: {line:?}");
    }
    let words: Vec<&str> = head[0].split(' ').collect();
    let is_request = words.len() == 3 && is_token(words[0]) && words[2] == "HTTP/1.1";
    assert!(is_request && words[1].starts_with('/'), "{:?}", head[0]);
    let fields = head[1..].iter().map(|line| {
        let field = line.split_once(": ");
        field.filter(|(name, _)| is_token(name)).expect(line)
    });
    let fields: Vec<(&str, &str)> = fields.collect();
    let values = |name: &str| -> Vec<&str> {
        let named = fields
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| *value).collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    assert_eq!(values("host").len(), 1, "one Host: {head:?}");
    assert!(lengths.len() + codings.len() <= 1, "one framing: {head:?}");
    let rest = &bytes[end + 4..];
    let body = if let Some(length) = lengths.first() {
        let length_read = length.parse::<usize>().unwrap();
        assert_eq!(
            length_read.to_string(),
            *length,
            "a length as it is written"
        );
        rest.get(..length_read)?
    } else if let Some(coding) = codings.first() {
        assert_eq!(*coding, "chunked");
        &rest[..chunked(rest)?]
    } else {
        &[]
    };
    let length = end + 4 + body.len();
    let body = body.to_vec();
    drop(fields);
    Some((Seen { head, body }, length))
}

fn is_token(text: &str) -> bool {
    let is_part = |sign: char| sign.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(sign);
    !text.is_empty() && text.chars().all(is_part)
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
        let field = &bytes[at..at + line];
        at += line + 2;
        if field.is_empty() {
            return Some(at);
        }
        let field = std::str::from_utf8(field).unwrap();
        let is_field = |(name, value): (&str, &str)| {
            is_token(name) && !value.contains(|sign: char| sign.is_control())
        };
        assert!(field.split_once(": ").is_some_and(is_field), "{field:?}");
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
