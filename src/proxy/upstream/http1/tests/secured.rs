//! The same over TLS: what is believed of an end, what counts as sent, and who is told.

use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const NAME: &str = "a.example";

/// What a peer has to show, and how it takes connections.
fn identity() -> (rcgen::Certificate, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into());
    (made.cert, TlsAcceptor::from(Arc::new(config.unwrap())))
}

fn trusting(certificate: CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A connection over TLS, its peer, and our end of the socket under it.
async fn secured() -> (Connection, TlsStream<TcpStream>, std::net::TcpStream) {
    let (certificate, acceptor) = identity();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(addr), listener.accept());
    let ours = ours.unwrap().into_std().unwrap();
    let under = ours.try_clone().unwrap();
    let ours = SharedTcp::new(TcpStream::from_std(ours).unwrap());
    let connector = trusting(certificate.der().clone());
    let (ours, theirs) = tokio::join!(
        connector.connect(ServerName::try_from(NAME).unwrap(), ours),
        acceptor.accept(theirs.unwrap().0),
    );
    let transport = Transport::Tls(Box::new(ours.unwrap()));
    let connection = Connection::open(transport, HeaderCase::default(), held());
    (connection, theirs.unwrap(), under)
}

#[tokio::test]
async fn nothing_is_sent_by_a_write_that_fails_only_where_nobody_stands_before_the_socket() {
    let (secured, _peer, under_tls) = secured().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    plain.set_nonblocking(true).unwrap();
    let under_plain = plain.try_clone().unwrap();
    let plain = Transport::Plain(SharedTcp::new(TcpStream::from_std(plain).unwrap()));
    let plain = Connection::open(plain, HeaderCase::default(), held());

    for (mut connection, under, sent) in [
        (plain, under_plain, Sent::Nothing),
        (secured, under_tls, Sent::Perhaps),
    ] {
        let cancelled = cancelled();
        let mut tally = Tally::new(&cancelled);
        under.shutdown(Shutdown::Write).unwrap();

        let ((head, body), tasks) = (get().into_parts(), TaskTracker::new());
        let sending = connection.send(Head::from(&head), body, &mut tally, &tasks);
        let unanswered = sending.await;

        assert!(unanswered.is_err_and(|it| it.untouched.is_none()));
        assert_eq!(tally.sent(), sent);
    }
}

#[tokio::test]
async fn whoever_waits_for_an_answer_looks_again_when_its_upload_is_refused() {
    let (mut connection, mut peer, under) = secured().await;
    let ((request, body), tasks) = (post(), TaskTracker::new());
    let answering = async {
        comes(&mut peer, POST_HEAD).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n";
        peer.write_all(head).await.unwrap();
    };
    let (answered, ()) = tokio::join!(send(&mut connection, request, &tasks), answering);
    assert!(answered.is_ok());
    let apart = connection.take_apart().unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut byte = [0];
    let mut reading = std::pin::pin!(connection.socket.read(&mut byte));
    assert!(
        reading
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );

    under.shutdown(Shutdown::Write).unwrap();
    refused(body).await;

    assert!(!apart.written().await);
    assert!(
        woken.0.load(Ordering::Relaxed) > 0,
        "its waker is not with the socket any more"
    );
    peer.write_all(b"body").await.unwrap();
    assert_eq!(reading.await.unwrap(), 1);
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_what_tls_calls_the_end() {
    let (certificate, acceptor) = identity();
    let file = std::env::temp_dir().join(format!("redrive-{}-secured.pem", std::process::id()));
    std::fs::write(&file, certificate.pem()).unwrap();
    let params = TlsParams {
        ca_file: Some(file.clone()),
        server_name: Some(NAME.to_owned()),
        ..TlsParams::default()
    };
    for says_so in [true, false] {
        let (upstream, listener) = upstream_over(http::uri::Scheme::HTTPS, params.clone()).await;
        let answering = async {
            let (peer, _) = listener.accept().await.unwrap();
            let mut peer = acceptor.accept(peer).await.unwrap();
            comes(&mut peer, "GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
            peer.write_all(ENDLESS).await.unwrap();
            peer.flush().await.unwrap();
            if says_so {
                peer.shutdown().await.unwrap();
            } else {
                peer.get_mut().0.shutdown().await.unwrap();
            }
            peer
        };

        let (answer, _peer) = tokio::join!(sent(&upstream), answering);

        let came = answer.ok().unwrap().into_body().collect().await;
        assert_eq!(came.is_ok(), says_so, "{came:?}");
    }
    std::fs::remove_file(file).unwrap();
}
