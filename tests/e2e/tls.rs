//! HTTPS to the upstream: whom it trusts, which name it expects, who it says it is.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::answers::{answer, throttled};
use crate::support::{Answer, Authority, Client, Files, Issued, Origin, Peer, Sidecar};

/// An HTTPS upstream that throttles every first request of a connection and answers the next ones.
struct Https {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// The name that each handshake asked for.
    names: Arc<Mutex<Vec<Option<String>>>>,
    _tasks: JoinSet<()>,
}

impl Https {
    /// Shows a certificate for `name`, and asks for one of `clients`, if there is such an authority.
    async fn new(authority: &Authority, name: &str, clients: Option<&Authority>) -> Self {
        Self::showing(&authority.issue(name), clients).await
    }

    /// Shows this certificate.
    async fn showing(issued: &Issued, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let roots = Arc::new(clients.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let config = builder
            .with_single_cert(issued.chain(), issued.secret())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let names = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&names);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, asked) = (acceptor.clone(), Arc::clone(&asked));
                served.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let name = stream.get_ref().1.server_name().map(str::to_owned);
                    asked.lock().unwrap().push(name);
                    let mut peer = Peer { stream };
                    let mut answered = 0;
                    while let Some(length) = body_length(&mut peer).await {
                        let answer = match answered {
                            0 => throttled(),
                            _ => answer("200 OK", &[], &length.to_string()),
                        };
                        peer.write(answer).await;
                        answered += 1;
                    }
                });
            }
        });
        Self {
            addr,
            connections,
            names,
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

/// The length of the next request's body; `None` when the other side has left.
async fn body_length<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<S>) -> Option<usize> {
    let mut request = peer.next_head().await?;
    peer.body_of(&mut request).await.ok()?;
    Some(request.body.len())
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

/// Nothing was sent, and the answer says why in words.
#[track_caller]
fn is_distrusted(answer: &Answer, error: &str, because: &str) {
    assert_eq!(
        (
            answer.status,
            answer.header("proxy-status"),
            answer.header("redrive-ran")
        ),
        (
            502,
            Some(format!("redrive; error={error}").as_str()),
            Some("no")
        ),
        "{}",
        answer.head
    );
    let detail = format!("\"detail\":\"the upstream gave no answer: {because}\"");
    assert!(answer.text().contains(&detail), "{}", answer.text());
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
    // The second has the name of the one that is trusted, and another key.
    for unknown in [Authority::new(), Authority::named("trusted")] {
        let files = Files::new();
        let upstream = Https::new(&unknown, "127.0.0.1", None).await;
        let ca = files.write("ca.pem", &Authority::named("trusted").pem());

        let (sidecar, answer) = upstream
            .put("127.0.0.1", &format!("ca_file = \"{ca}\"\n"))
            .await;

        let because = "its certificate comes from an authority that is not trusted";
        is_distrusted(&answer, "tls_certificate_error", because);
        let family = "redrive_attempts_total";
        assert_eq!(sidecar.total(family, &[r#"class="unsent""#]).await, 3.0);
        assert_eq!(sidecar.total(family, &[]).await, 3.0);
    }
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

    let because = "its certificate is for another name";
    is_distrusted(&answer, "tls_certificate_error", because);
}

#[tokio::test]
async fn an_upstream_whose_certificate_is_out_of_date_is_sent_nothing() {
    for (years, because) in [
        ((2000, 2001), "its certificate has expired"),
        ((3000, 3001), "its certificate is not valid yet"),
    ] {
        let files = Files::new();
        let authority = Authority::new();
        let upstream = Https::showing(&authority.issue_for("127.0.0.1", years), None).await;
        let ca = files.write("ca.pem", &authority.pem());

        let (_sidecar, answer) = upstream
            .put("127.0.0.1", &format!("ca_file = \"{ca}\"\n"))
            .await;

        is_distrusted(&answer, "tls_certificate_error", because);
    }
}

#[tokio::test]
async fn an_authority_that_is_written_into_the_file_is_trusted_from_then_on() {
    let files = Files::new();
    let authority = Authority::new();
    let upstream = Https::new(&authority, "127.0.0.1", None).await;
    let ca = files.write("ca.pem", &Authority::new().pem());
    let (sidecar, before) = upstream
        .put("127.0.0.1", &format!("ca_file = \"{ca}\"\n"))
        .await;

    files.write("ca.pem", &authority.pem());
    sidecar.reload_tls().await;
    let after = Client::request(sidecar.addr, "PUT", "/", &[], &[b'x'; 1_000_000]).await;

    assert_eq!(before.status, 502);
    is_served(&after);
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
    let names = upstream.names.lock().unwrap().clone();
    assert_eq!(names, [Some("api.example".to_owned())]);
}

#[tokio::test]
async fn an_upstream_that_asks_who_we_are_is_shown_our_certificate() {
    let files = Files::new();
    let (authority, clients) = (Authority::new(), Authority::new());
    let upstream = Https::new(&authority, "127.0.0.1", Some(&clients)).await;
    let ca = files.write("ca.pem", &authority.pem());
    let issued = clients.issue("sidecar.example");
    let certificate = files.write("client.pem", &issued.pem());
    let key = files.write("client.key", &issued.key_pem());

    let (sidecar, answer) = upstream
        .put(
            "127.0.0.1",
            &format!(
                "ca_file = \"{ca}\"\nclient_cert = \"{certificate}\"\nclient_key = \"{key}\"\n"
            ),
        )
        .await;

    is_served(&answer);
    let expires = sidecar.metric("redrive_tls_expiry_timestamp_seconds").await;
    assert_eq!(expires, 64_060_588_800.0, "the first day of the year 4000");
}

#[tokio::test]
async fn an_upstream_that_wants_a_certificate_and_gets_none_is_told_apart_from_one_that_hangs_up() {
    let files = Files::new();
    let authority = Authority::new();
    let upstream = Https::new(&authority, "127.0.0.1", Some(&Authority::new())).await;
    let ca = files.write("ca.pem", &authority.pem());

    let (_sidecar, answer) = upstream
        .put("127.0.0.1", &format!("ca_file = \"{ca}\"\n"))
        .await;

    assert_eq!(
        (answer.status, answer.header("proxy-status")),
        (502, Some("redrive; error=tls_alert_received"))
    );
}

#[tokio::test]
async fn an_upstream_that_speaks_no_tls_is_sent_nothing() {
    let files = Files::new();
    let ca = files.write("ca.pem", &Authority::new().pem());
    let origin = Origin::new();
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

    let answer = client.answer_to("POST").await;
    is_distrusted(&answer, "tls_protocol_error", "the TLS handshake failed");
    let received = String::from_utf8_lossy(&received);
    assert!(!received.contains("secret") && !received.contains("POST"));
}
