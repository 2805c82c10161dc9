//! HTTPS to the upstream: whom it trusts, which name it expects, who it says it is.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::answers::{answer, throttled};
use crate::support::{Answer, Client, Peer, Sidecar};

/// A directory of PEM files; goes with its handle.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("redrive-e2e-tls-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn write(&self, name: &str, pem: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, pem).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_dir_all(&self.0);
    }
}

/// An authority that both sides may trust.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key.
    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate, key)
    }
}

/// An HTTPS upstream that throttles every first request of a connection and answers the next ones.
struct Https {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Https {
    /// Shows a certificate for `name`, and asks for one of `clients`, if there is such an authority.
    async fn new(authority: &Authority, name: &str, clients: Option<&Authority>) -> Self {
        let (certificate, key) = authority.issue(name);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.0.der().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let acceptor = acceptor.clone();
                served.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut peer = Peer { stream };
                    let mut request = peer.head().await;
                    peer.body_of(&mut request).await.unwrap();
                    peer.write(throttled()).await;
                    loop {
                        let mut request = peer.head().await;
                        peer.body_of(&mut request).await.unwrap();
                        let length = request.body.len().to_string();
                        peer.write(answer("200 OK", &[], &length)).await;
                    }
                });
            }
        });
        Self {
            addr,
            connections,
            _tasks: tasks,
        }
    }

    /// What a PUT through redrive with these TLS settings gets.
    async fn put(&self, host: &str, tls: &str) -> (Sidecar, Answer) {
        let port = self.addr.port();
        let toml = format!("upstream = \"https://{host}:{port}\"\n[tls.upstream]\n{tls}");
        let sidecar = Sidecar::configured(&toml, &[]).await;
        let body = vec![b'x'; 1_000_000];
        let answer = Client::request(sidecar.addr, "PUT", "/", &[], &body).await;
        (sidecar, answer)
    }
}

/// It came through, was retried, and carried the whole body.
#[track_caller]
fn is_served(answer: &Answer) {
    assert_eq!(
        (
            answer.status,
            answer.text().as_str(),
            answer.header("redrive-attempts")
        ),
        (200, "1000000", Some("2")),
        "{}",
        answer.head
    );
}

#[track_caller]
fn is_distrusted(answer: &Answer) {
    assert_eq!(
        (
            answer.status,
            answer.header("proxy-status"),
            answer.header("redrive-ran")
        ),
        (502, Some("redrive; error=tls_protocol_error"), Some("no")),
        "{}",
        answer.head
    );
}

#[tokio::test]
async fn an_upstream_whose_authority_is_named_is_trusted_and_its_connection_kept() {
    let files = Files::new();
    let authority = Authority::new();
    let upstream = Https::new(&authority, "127.0.0.1", None).await;
    let ca = files.write("ca.pem", &authority.pem());

    let (sidecar, answer) = upstream
        .put("127.0.0.1", &format!("ca_file = \"{ca}\"\n"))
        .await;

    is_served(&answer);
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
    assert_eq!(
        sidecar.total("redrive_upstream_connections", &[]).await,
        1.0
    );
}

#[tokio::test]
async fn an_upstream_of_an_unknown_authority_is_sent_nothing() {
    let files = Files::new();
    let upstream = Https::new(&Authority::new(), "127.0.0.1", None).await;
    let ca = files.write("ca.pem", &Authority::new().pem());

    let (sidecar, answer) = upstream
        .put("127.0.0.1", &format!("ca_file = \"{ca}\"\n"))
        .await;

    is_distrusted(&answer);
    let family = "redrive_attempts_total";
    assert_eq!(sidecar.total(family, &[r#"class="unsent""#]).await, 3.0);
    assert_eq!(sidecar.total(family, &[]).await, 3.0);
}

#[tokio::test]
async fn an_upstream_of_another_name_is_sent_nothing() {
    let files = Files::new();
    let authority = Authority::new();
    let upstream = Https::new(&authority, "api.example", None).await;
    let ca = files.write("ca.pem", &authority.pem());

    let (_sidecar, answer) = upstream
        .put("127.0.0.1", &format!("ca_file = \"{ca}\"\n"))
        .await;

    is_distrusted(&answer);
}

#[tokio::test]
async fn an_upstream_may_have_the_name_that_the_operator_expects() {
    let files = Files::new();
    let authority = Authority::new();
    let upstream = Https::new(&authority, "api.example", None).await;
    let ca = files.write("ca.pem", &authority.pem());

    let (_sidecar, answer) = upstream
        .put(
            "127.0.0.1",
            &format!("ca_file = \"{ca}\"\nserver_name = \"api.example\"\n"),
        )
        .await;

    is_served(&answer);
}

#[tokio::test]
async fn an_upstream_that_asks_who_we_are_is_shown_our_certificate() {
    let files = Files::new();
    let (authority, clients) = (Authority::new(), Authority::new());
    let upstream = Https::new(&authority, "127.0.0.1", Some(&clients)).await;
    let ca = files.write("ca.pem", &authority.pem());
    let (certificate, key) = clients.issue("sidecar.example");
    let certificate = files.write("client.pem", &certificate.pem());
    let key = files.write("client.key", &key.serialize_pem());

    let (_sidecar, answer) = upstream
        .put(
            "127.0.0.1",
            &format!(
                "ca_file = \"{ca}\"\nclient_cert = \"{certificate}\"\nclient_key = \"{key}\"\n"
            ),
        )
        .await;

    is_served(&answer);
}

#[tokio::test]
async fn an_upstream_that_speaks_no_tls_is_sent_nothing() {
    let files = Files::new();
    let ca = files.write("ca.pem", &Authority::new().pem());
    let origin = crate::support::Origin::new();
    let toml = format!(
        "upstream = \"https://{}\"\n[retry]\nmax_attempts = {{ other = 1 }}\n[tls.upstream]\nca_file = \"{ca}\"\n",
        origin.addr
    );
    let sidecar = Sidecar::configured(&toml, &[]).await;
    let mut client = Client::connect(sidecar.addr).await;
    client.send("POST", "/", &[], b"secret").await;

    let mut upstream = origin.accept().await;
    upstream.write("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let received = upstream.rest().await;

    is_distrusted(&client.answer_to("POST").await);
    let received = String::from_utf8_lossy(&received);
    assert!(!received.contains("secret") && !received.contains("POST"));
}
