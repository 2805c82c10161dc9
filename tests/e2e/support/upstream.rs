//! A scripted upstream on raw sockets: it records every request to the byte and answers what the script says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::message::{Message, read_body, read_head};

/// One request as the upstream saw it.
pub(crate) type Seen = Message;

/// What the upstream does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Reads the whole request and answers these bytes; the connection stays.
    Bytes(Vec<u8>),
    /// The same, and closes right behind the answer without having said so.
    ThenClose(Vec<u8>),
    /// Answers as soon as the head is there, then goes on reading the body; the connection stays.
    Early(Vec<u8>),
    /// Answers as soon as the head and this many body bytes are there, and closes.
    EarlyThenClose(usize, Vec<u8>),
    /// Reads the whole request and closes without an answer.
    Cut,
    /// Reads the whole request and resets the connection.
    Reset,
    /// Reads the whole request and never answers.
    Hang,
    /// Reads the whole request, waits, and answers.
    After(Duration, Vec<u8>),
}

/// Says what to do with the n-th request, counted from 0.
pub(crate) type Script = Arc<dyn Fn(usize, &Seen) -> Reply + Send + Sync>;

/// A running upstream; ends with its handle.
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    count: watch::Receiver<usize>,
    load: Arc<Load>,
    tasks: JoinSet<()>,
}

/// How busy it is, and was.
#[derive(Default)]
struct Load {
    accepted: AtomicUsize,
    in_flight: AtomicUsize,
    most: AtomicUsize,
}

/// One request from its head to its answer.
struct Flight(Arc<Recorder>);

struct Recorder {
    load: Arc<Load>,
    seen: Arc<Mutex<Vec<Seen>>>,
    count: watch::Sender<usize>,
    script: Script,
}

impl Upstream {
    /// Answers the requests in this order, and the last reply for ever after.
    pub(crate) async fn answering(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<Reply> = replies.into_iter().collect();
        Self::scripted(move |index, _| replies[index.min(replies.len() - 1)].clone()).await
    }

    /// Answers as the script says.
    pub(crate) async fn scripted(
        script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (sender, count) = watch::channel(0);
        let load = Arc::new(Load::default());
        let recorder = Arc::new(Recorder {
            load: Arc::clone(&load),
            seen: Arc::clone(&seen),
            count: sender,
            script: Arc::new(script),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                recorder.load.accepted.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream, Arc::clone(&recorder)));
            }
        });
        Self {
            addr,
            seen,
            count,
            load,
            tasks,
        }
    }

    /// Every request so far, in the order in which their heads came.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests came so far.
    pub(crate) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Goes away: from now on connections are refused, for as long as what this returns holds the port.
    pub(crate) async fn leaves(mut self) -> TcpSocket {
        self.tasks.shutdown().await;
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind(self.addr).unwrap();
        port
    }

    /// How many connections were made to it.
    pub(crate) fn accepted(&self) -> usize {
        self.load.accepted.load(Ordering::SeqCst)
    }

    /// How many requests were in flight at once at most.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.load.most.load(Ordering::SeqCst)
    }

    /// Waits until this many requests have come.
    pub(crate) async fn saw(&self, count: usize) {
        let mut counts = self.count.clone();
        tokio::time::timeout(
            Duration::from_secs(20),
            counts.wait_for(|seen| *seen >= count),
        )
        .await
        .unwrap_or_else(|_| panic!("the upstream saw {} of {count} requests", self.count()))
        .unwrap();
    }
}

impl Flight {
    fn new(recorder: Arc<Recorder>) -> Self {
        let load = &recorder.load;
        let in_flight = load.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        load.most.fetch_max(in_flight, Ordering::SeqCst);
        Self(recorder)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.load.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One connection. Errors end it: the other side left, which is what some tests are about.
async fn serve(mut stream: TcpStream, recorder: Arc<Recorder>) {
    while let Ok(Some(head)) = read_head(&mut stream).await {
        let mut request = Message {
            head,
            body: Vec::new(),
            trailers: String::new(),
        };
        let index = {
            let mut seen = recorder.seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        recorder.count.send_modify(|count| *count += 1);
        let flight = Flight::new(Arc::clone(&recorder));
        let reply = (recorder.script)(index, &request);
        if let Reply::Early(bytes) = &reply
            && stream.write_all(bytes).await.is_err()
        {
            return;
        }
        if let Reply::EarlyThenClose(body, bytes) = &reply {
            let mut start = vec![0; *body];
            let told = async {
                stream.read_exact(&mut start).await?;
                stream.write_all(bytes).await?;
                stream.shutdown().await?;
                // Reading on keeps the kernel from resetting the connection over the answer.
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
            };
            let _left_or_done = told.await;
            return;
        }
        if read_body(&mut stream, &mut request, false).await.is_err() {
            return;
        }
        recorder.seen.lock().unwrap()[index] = request;
        let written = match reply {
            Reply::Bytes(bytes) => {
                drop(flight);
                stream.write_all(&bytes).await
            }
            Reply::After(wait, bytes) => {
                tokio::time::sleep(wait).await;
                drop(flight);
                stream.write_all(&bytes).await
            }
            Reply::ThenClose(bytes) => {
                let _gone = stream.write_all(&bytes).await;
                return;
            }
            Reply::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Reply::Hang => {
                let _until_they_leave = stream.read_u8().await;
                return;
            }
            Reply::Cut => return,
            Reply::Early(_) | Reply::EarlyThenClose(..) => Ok(()),
        };
        if written.is_err() {
            return;
        }
    }
}
