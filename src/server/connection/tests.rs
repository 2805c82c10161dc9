//! Connections over memory, as they are watched: the clock stands still until nothing else is left to do.

use std::future::{pending, poll_fn, ready};
use std::net::{Ipv4Addr, TcpListener};
use std::pin::Pin;
use std::task::Poll;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::http2::PREFACE;
use super::super::{Params, Terms};
use super::*;

type Answer = Pin<Box<dyn Future<Output = Response<UnsyncBoxBody<Bytes, BoxError>>> + Send>>;

/// A connection that is carried, and what ends it.
struct Rig {
    carried: Pin<Box<dyn Future<Output = ()>>>,
    ending: Ending,
    /// Keeps its TCP, over which nothing goes, from looking left.
    _peer: std::net::TcpStream,
}

impl Rig {
    /// Carries what comes out of `io`.
    fn new(
        io: Stream,
        activity: Arc<Activity>,
        service: impl Fn(Request<Upload>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (tcp, _) = listener.accept().unwrap();
        tcp.set_nonblocking(true).unwrap();
        let tcp = SharedTcp::new(TcpStream::from_std(tcp).unwrap());
        let gauge = IntGauge::new("open", "Open.").unwrap();
        let (terms, ending) = (Terms::new(&Params::of_tests()).now(), Ending::default());
        let http1 = Box::new(Http1 {
            wire: Held::new(io, tcp.clone(), Arc::clone(&activity)),
            service,
            activity: Arc::clone(&activity),
            manner: Arc::clone(&terms),
            refused: Arc::new(|| ()),
            agreed_http2: None,
            looks_for_end: false,
            place: Places::new(&gauge).take(1).unwrap(),
        });
        let watch = Watch {
            tcp,
            terms,
            ending: ending.clone(),
            activity,
            told: Told::default(),
        };
        Self {
            carried: Box::pin(watch.carry(http1)),
            ending,
            _peer: peer,
        }
    }

    /// One whose client has a line with so much room each way.
    fn plain(
        room: usize,
        service: impl Fn(Request<Upload>) -> Answer + Send + Sync + 'static,
    ) -> (Self, DuplexStream) {
        let (client, ours) = duplex(room);
        let activity = Arc::new(Activity::new());
        let io = Taken::new(ours, Arc::clone(&activity));
        (Self::new(Box::new(io), activity, service), client)
    }

    /// Carries it as far as it comes; it must not be over then.
    async fn goes_on(&mut self) {
        let is_pending = poll_fn(|cx| self.carried.as_mut().poll(cx).is_pending().into()).await;
        assert!(is_pending, "it has ended");
    }
}

fn whole(body: Bytes) -> Response<UnsyncBoxBody<Bytes, BoxError>> {
    let body = Full::new(body);
    Response::new(body.map_err(|never| match never {}).boxed_unsync())
}

/// The type of the next frame of HTTP/2; `None` at the end.
async fn next_frame(client: &mut DuplexStream) -> Option<u8> {
    let mut head = [0; 9];
    client.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    client.read_exact(&mut payload).await.ok()?;
    Some(head[3])
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_of_http_2s_first_words_is_told_when_they_are_out() {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: u8 = 7;
    let (mut rig, mut client) = Rig::plain(4096, |_| Box::pin(pending()));
    let (begun, rest) = PREFACE.split_at(20);
    client.write_all(begun).await.unwrap();
    rig.goes_on().await;

    rig.ending.stop.cancel();
    rig.goes_on().await;
    client.write_all(&[rest, SETTINGS].concat()).await.unwrap();
    let told = async {
        while let Some(frame) = next_frame(&mut client).await {
            if frame == GOAWAY {
                return true;
            }
        }
        false
    };

    let told = tokio::select! {
        told = told => told,
        () = &mut rig.carried => false,
        // Sooner than it would be told of its idleness.
        () = tokio::time::sleep(Duration::from_secs(1)) => false,
    };
    assert!(told);
}

/// An answer, and a go-ahead to a request that its client asks before it takes anything, on a line that has room for the one and a
/// part of the other.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_of_a_go_ahead_is_not_waited_for() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    const ASKED: &str = "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let reads = |request: Request<Upload>| -> Answer {
        Box::pin(async {
            let _body_or_end = request.into_body().collect().await;
            whole(Bytes::new())
        })
    };
    let turns_away = |request: Request<Upload>| -> Answer {
        Box::pin(async {
            let mut body = request.into_body();
            poll_fn(|cx| {
                let _said_to_go_ahead = Pin::new(&mut body).poll_frame(cx);
                Poll::Ready(())
            })
            .await;
            whole(Bytes::new())
        })
    };
    for service in [reads as fn(_) -> _, turns_away] {
        let (rig, mut client) = Rig::plain(ANSWER.len() + 10, service);
        let patience = Params::of_tests().body_idle;
        let asked = async {
            client.write_all(ASKED.as_bytes()).await.unwrap();
            pending::<()>().await;
        };

        let ended = async {
            tokio::select! {
                () = rig.carried => {}
                () = asked => {}
            }
        };
        let ended = tokio::time::timeout(2 * patience, ended).await;

        assert!(ended.is_ok());
    }
}

/// A line over which what the server says comes a little at a time, each within the limit. Returns the client's end.
fn slow_line() -> (DuplexStream, DuplexStream, impl Future<Output = ()>) {
    const PIECE_BYTES: usize = 64;
    let ((ours, near), (far, client)) = (duplex(PIECE_BYTES), duplex(64 << 10));
    let pumped = async {
        let ((mut said, mut asks), (mut asked, mut hears)) =
            (tokio::io::split(near), tokio::io::split(far));
        let up = async { _ = tokio::io::copy(&mut asked, &mut asks).await };
        let down = async {
            let mut piece = [0; PIECE_BYTES];
            while let Ok(bytes @ 1..) = said.read(&mut piece).await {
                hears.write_all(&piece[..bytes]).await.unwrap();
                tokio::time::sleep(Params::of_tests().body_idle / 2).await;
            }
            _ = hears.shutdown().await;
        };
        tokio::join!(up, down);
    };
    (ours, client, pumped)
}

/// Asks, and takes the whole answer. Says how long its body is.
async fn takes_all(mut client: impl AsyncRead + AsyncWrite + Unpin) -> usize {
    let asked = client.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    asked.await.unwrap();
    client.flush().await.unwrap();
    let mut answer = Vec::new();
    let _whole_or_cut_off = client.read_to_end(&mut answer).await;
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n");
    answer.len() - head.unwrap() - 4
}

const ANSWER_BYTES: usize = 4096;

fn answers(_: Request<Upload>) -> Answer {
    Box::pin(ready(whole(Bytes::from_static(&[b'x'; ANSWER_BYTES]))))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_little_all_the_time_gets_all_of_its_answer() {
    let (ours, client, pumped) = slow_line();
    let activity = Arc::new(Activity::new());
    let io = Taken::new(ours, Arc::clone(&activity));
    let rig = Rig::new(Box::new(io), activity, answers);

    let (taken, (), ()) = tokio::join!(takes_all(client), rig.carried, pumped);

    assert_eq!(taken, ANSWER_BYTES);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_little_all_the_time_gets_all_of_its_answer_over_tls() {
    let (ours, client, pumped) = slow_line();
    let (acceptor, connector) = tls();
    let carried = async {
        let activity = Arc::new(Activity::new());
        let io = Taken::new(ours, Arc::clone(&activity));
        let io = acceptor.accept(io).await.unwrap();
        Rig::new(Box::new(io), activity, answers).carried.await;
    };
    let asked = async {
        let name = ServerName::try_from(NAME).unwrap();
        takes_all(connector.connect(name, client).await.unwrap()).await
    };

    let (taken, (), ()) = tokio::join!(asked, carried, pumped);

    assert_eq!(taken, ANSWER_BYTES);
}

/// Both ends of TLS.
fn tls() -> (TlsAcceptor, TlsConnector) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    (Arc::new(server).into(), Arc::new(client).into())
}

const NAME: &str = "a.example";
