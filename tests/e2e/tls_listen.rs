//! HTTPS from the client: who is served, who is turned away and how, and what happens when the files change.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::answers::{answer, ok};
use crate::support::{
    Authority, Client, Files, Issued, Origin, Peer, Reply, Sidecar, Upstream, in_time,
};

const OPEN: &str = "redrive_client_connections";
const REJECTED: &str = "redrive_rejected_connections_total";
const EXPIRY: &str = "redrive_tls_expiry_timestamp_seconds";
const GET: &str = "GET / HTTP/1.1\r\nHost: sidecar.test\r\n\r\n";

/// Everything that a sidecar with TLS towards its clients needs.
struct Setting {
    files: Files,
    authority: Authority,
    upstream: Upstream,
}

impl Setting {
    async fn new() -> Self {
        let setting = Self {
            files: Files::new(),
            authority: Authority::new(),
            upstream: Upstream::answering([ok()]).await,
        };
        setting.show(&setting.authority.issue("sidecar.test"));
        setting
    }

    /// Writes a certificate and its key.
    fn show(&self, issued: &Issued) {
        self.files.write("cert.pem", &issued.pem());
        self.files.write("key.pem", &issued.key_pem());
    }

    /// redrive with these files, and what the TOML says on top of them.
    async fn sidecar(&self, tls: &str, more: &str) -> Sidecar {
        self.sidecar_before(self.upstream.addr, tls, more).await
    }

    /// The same before another upstream.
    async fn sidecar_before(&self, upstream: SocketAddr, tls: &str, more: &str) -> Sidecar {
        let files = self.files.0.display();
        Sidecar::configured(
            &format!(
                "upstream = \"http://{upstream}\"\n{more}\n[tls.listen]\n\
                 cert = \"{files}/cert.pem\"\nkey = \"{files}/key.pem\"\n{tls}"
            ),
            &[],
        )
        .await
    }

    async fn connect(&self, addr: SocketAddr) -> Peer<TlsStream<TcpStream>> {
        let config = self.authority.client(None, &["http/1.1"]);
        secure(addr, config).await.unwrap()
    }
}

/// A handshake with the sidecar.
async fn secure(
    addr: SocketAddr,
    config: ClientConfig,
) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
    let tcp = TcpStream::connect(addr).await?;
    let name = ServerName::try_from("sidecar.test").unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    Ok(Peer {
        stream: in_time("a handshake", connecting).await?,
    })
}

/// The serial number and more of the certificate that was shown.
fn shown(peer: &Peer<TlsStream<TcpStream>>) -> Vec<u8> {
    let chain = peer.stream.get_ref().1.peer_certificates().unwrap();
    chain[0].to_vec()
}

#[track_caller]
fn is_good(head: &str) {
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
}

#[tokio::test]
async fn requests_over_tls_share_a_connection_and_are_told_to_be_secure() {
    let setting = Setting::new().await;
    let sidecar = setting
        .sidecar("", "forwarded = \"x-forwarded-for\"\n")
        .await;
    let mut client = setting.connect(sidecar.addr).await;

    for _ in 0..2 {
        client.write(GET).await;
        is_good(&client.message().await.head);
    }

    let connection = client.stream.get_ref().1;
    assert_eq!(connection.alpn_protocol(), Some(b"http/1.1".as_slice()));
    assert_eq!(sidecar.metric(OPEN).await, 1.0);
    assert_eq!(
        setting.upstream.seen()[1].header("x-forwarded-proto"),
        Some("https")
    );
}

#[tokio::test]
async fn a_client_that_offers_http_2_gets_it() {
    let setting = Setting::new().await;
    let sidecar = setting.sidecar("", "").await;
    let config = setting.authority.client(None, &["h2", "http/1.1"]);
    let peer = secure(sidecar.addr, config).await.unwrap();
    let protocol = peer.stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    let io = TokioIo::new(peer.stream);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(connection);

    let request = http::Request::post("https://sidecar.test/orders")
        .body(Full::new(bytes::Bytes::from_static(b"one book")))
        .unwrap();
    let answer = in_time("an answer", sender.send_request(request))
        .await
        .unwrap();

    assert_eq!(protocol.as_deref(), Some(b"h2".as_slice()));
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.collect().await.unwrap().to_bytes(), "done");
    assert_eq!(setting.upstream.seen()[0].body, b"one book");
}

#[tokio::test]
async fn only_the_protocol_that_was_agreed_on_is_spoken() {
    let setting = Setting::new().await;
    let sidecar = setting.sidecar("", "").await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

    for (agreed, said) in [("h2", GET), ("http/1.1", preface)] {
        let config = setting.authority.client(None, &[agreed]);
        let mut client = secure(sidecar.addr, config).await.unwrap();
        client.write(said).await;
        assert_eq!(client.rest().await, b"", "{agreed}");
    }

    assert!(setting.upstream.seen().is_empty());
}

#[tokio::test]
async fn tls_1_2_is_spoken_and_tls_1_1_is_not() {
    let setting = Setting::new().await;
    let sidecar = setting.sidecar("", "").await;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let older = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(setting.authority.roots())
        .with_no_client_auth();
    let mut client = secure(sidecar.addr, older).await.unwrap();
    client.write(GET).await;
    is_good(&client.message().await.head);

    let mut hello = vec![3, 2]; // TLS 1.1
    hello.extend([7; 32]); // random
    hello.extend([0]); // no session
    hello.extend([0, 2, 0, 0x2f]); // RSA with AES-128-CBC
    hello.extend([1, 0]); // no compression
    let length = |bytes: usize| u8::try_from(bytes).unwrap();
    let mut record = vec![0x16, 3, 1, 0, length(hello.len() + 4)];
    record.extend([1, 0, 0, length(hello.len())]);
    record.extend(hello);
    let mut old = Peer::connect(sidecar.addr).await;
    old.write(&record).await;

    let alert = old.rest().await;
    assert_eq!(alert.first(), Some(&0x15), "an alert: {alert:?}");
    sidecar.reaches(REJECTED, &[], 1.0).await;
}

#[tokio::test]
async fn a_client_that_must_show_a_certificate_is_served_only_with_one_of_the_right_authority() {
    let setting = Setting::new().await;
    let clients = Authority::new();
    let ca = setting.files.write("clients.pem", &clients.pem());
    let sidecar = setting
        .sidecar(&format!("client_ca = \"{ca}\"\n"), "")
        .await;

    let (known, unknown) = (clients.issue("legacy"), Authority::new().issue("legacy"));
    let config = setting.authority.client(Some(&known), &[]);
    let mut client = secure(sidecar.addr, config).await.unwrap();
    client.write(GET).await;
    is_good(&client.message().await.head);

    for identity in [None, Some(&unknown)] {
        let config = setting.authority.client(identity, &[]);
        let mut client = secure(sidecar.addr, config).await.unwrap();
        // In TLS 1.3 the client is through before the server has looked at its certificate.
        assert_eq!(client.rest().await, b"");
    }
    sidecar.reaches(REJECTED, &[], 2.0).await;
    assert_eq!(setting.upstream.count(), 1);
}

#[tokio::test]
async fn a_new_certificate_is_shown_from_then_on_and_no_connection_is_lost() {
    let setting = Setting::new().await;
    let sidecar = setting.sidecar("", "").await;
    let mut old = setting.connect(sidecar.addr).await;
    old.write(GET).await;
    is_good(&old.message().await.head);
    assert_eq!(sidecar.metric(EXPIRY).await, 64_060_588_800.0);

    let renewed = setting.authority.issue_for("sidecar.test", (2000, 4001));
    setting.show(&renewed);
    sidecar.reload_tls().await;
    let mut new = setting.connect(sidecar.addr).await;

    assert_eq!(shown(&new), renewed.chain()[0].to_vec());
    assert_ne!(shown(&old), shown(&new));
    assert_eq!(sidecar.metric(EXPIRY).await, 64_092_211_200.0);
    for client in [&mut old, &mut new] {
        client.write(GET).await;
        is_good(&client.message().await.head);
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_old_certificate_in_use() {
    let setting = Setting::new().await;
    let sidecar = setting.sidecar("", "").await;
    let before = shown(&setting.connect(sidecar.addr).await);
    let other = setting.authority.issue_for("sidecar.test", (2000, 4001));

    // The new certificate is there, its key is not yet: the two are never mixed.
    setting.files.write("cert.pem", &other.pem());
    sidecar.reload_tls().await;
    assert_eq!(shown(&setting.connect(sidecar.addr).await), before);
    setting.files.write("key.pem", "no key");
    sidecar.reload_tls().await;
    assert_eq!(shown(&setting.connect(sidecar.addr).await), before);
    std::fs::remove_file(setting.files.0.join("key.pem")).unwrap();
    sidecar.reload_tls().await;
    assert_eq!(shown(&setting.connect(sidecar.addr).await), before);
    assert_eq!(sidecar.metric(EXPIRY).await, 64_060_588_800.0);

    setting.files.write("key.pem", &other.key_pem());
    sidecar.reload_tls().await;
    assert_eq!(
        shown(&setting.connect(sidecar.addr).await),
        other.chain()[0].to_vec()
    );
}

#[tokio::test]
async fn a_directory_that_is_swapped_behind_a_symlink_is_noticed() {
    let setting = Setting::new().await;
    let root = setting.files.0.clone();
    let other = setting.authority.issue("sidecar.test");
    // As Kubernetes mounts a secret: the files lead through `..data`, and that is swapped.
    for (directory, issued) in [
        ("..1", setting.authority.issue("sidecar.test")),
        ("..2", setting.authority.issue("sidecar.test")),
    ] {
        std::fs::create_dir(root.join(directory)).unwrap();
        let issued = if directory == "..2" { &other } else { &issued };
        setting
            .files
            .write(&format!("{directory}/cert.pem"), &issued.pem());
        setting
            .files
            .write(&format!("{directory}/key.pem"), &issued.key_pem());
    }
    let symlink =
        |to: &str, at: &str| std::os::unix::fs::symlink(to, root.join(at)).expect("a free name");
    symlink("..1", "..data");
    for file in ["cert.pem", "key.pem"] {
        std::fs::remove_file(root.join(file)).unwrap();
        symlink(&format!("..data/{file}"), file);
    }
    let sidecar = setting.sidecar("", "").await;

    symlink("..2", "..new");
    std::fs::rename(root.join("..new"), root.join("..data")).unwrap();
    sidecar.reload_tls().await;

    let client = setting.connect(sidecar.addr).await;
    assert_eq!(shown(&client), other.chain()[0].to_vec());
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so_and_closed() {
    let setting = Setting::new().await;
    let sidecar = setting.sidecar("", "").await;

    let answer = Client::get(sidecar.addr, "/").await;

    assert_eq!(answer.status, 400, "{}", answer.head);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(answer.text().contains("HTTPS"), "{}", answer.text());
    sidecar.reaches(REJECTED, &[], 1.0).await;
    sidecar.settles(OPEN, &[], 0.0).await;
    assert_eq!(setting.upstream.count(), 0);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_cut_off_and_keeps_nobody_waiting() {
    let setting = Setting::new().await;
    let sidecar = setting
        .sidecar("", "[client]\nheader_timeout = \"500ms\"\n")
        .await;
    let mut silent = Peer::connect(sidecar.addr).await;
    let mut halfway = Peer::connect(sidecar.addr).await;
    halfway.write([0x16, 3, 1, 2, 0, 1]).await;
    sidecar.reaches(OPEN, &[], 2.0).await;

    let mut client = setting.connect(sidecar.addr).await;
    client.write(GET).await;
    is_good(&client.message().await.head);

    assert_eq!(silent.rest().await, b"");
    assert_eq!(halfway.rest().await, b"");
    sidecar.reaches(REJECTED, &[], 2.0).await;
}

#[tokio::test]
async fn a_handshake_has_its_place_among_the_connections() {
    let setting = Setting::new().await;
    let sidecar = setting.sidecar("", "[client]\nmax_connections = 1\n").await;
    let shaking = Peer::connect(sidecar.addr).await;
    sidecar.reaches(OPEN, &[], 1.0).await;

    let config = setting.authority.client(None, &[]);
    let one_more = secure(sidecar.addr, config).await;
    assert!(one_more.is_err());
    assert_eq!(sidecar.metric(REJECTED).await, 1.0);

    drop(shaking);
    sidecar.settles(OPEN, &[], 0.0).await;
    let mut client = setting.connect(sidecar.addr).await;
    client.write(GET).await;
    is_good(&client.message().await.head);
}

#[tokio::test]
async fn a_tunnel_is_carried_over_tls_and_half_of_it_can_be_closed() {
    let setting = Setting::new().await;
    let origin = Origin::new();
    let sidecar = setting.sidecar_before(origin.addr, "", "").await;
    let mut client = setting.connect(sidecar.addr).await;
    client
        .write(
            "GET / HTTP/1.1\r\nHost: sidecar.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst",
        )
        .await;
    let mut upstream = origin.accept().await;
    upstream.head().await;
    upstream
        .write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello",
        )
        .await;

    client.head().await;
    assert_eq!(client.read(5).await, b"hello");
    AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
    assert_eq!(upstream.rest().await, b"first");
    upstream.write(b"and last").await;
    drop(upstream);
    let mut rest = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut client.stream, &mut rest).await;

    assert!(end.is_ok(), "{end:?}");
    assert_eq!(rest, b"and last");
}

#[tokio::test]
async fn an_answer_that_breaks_over_tls_does_not_end_as_a_whole_one() {
    let setting = Setting::new().await;
    let mut half = answer("200 OK", &[], "half of it");
    half.truncate(half.len() - 2);
    let upstream = Upstream::answering([Reply::ThenClose(half)]).await;
    let setting = Setting {
        upstream,
        ..setting
    };
    let sidecar = setting.sidecar("", "").await;
    let mut client = setting.connect(sidecar.addr).await;

    client.write(GET).await;
    let head = client.head().await;
    let mut body = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut client.stream, &mut body).await;

    is_good(&head.head);
    assert!(end.is_err(), "{body:?} ended well");
}

#[tokio::test]
async fn a_client_that_says_goodbye_over_tls_has_left_its_request() {
    let setting = Setting::new().await;
    let origin = Origin::new();
    let sidecar = setting.sidecar_before(origin.addr, "", "").await;
    let mut client = setting.connect(sidecar.addr).await;
    client.write(GET).await;
    let mut upstream = origin.accept().await;
    upstream.message().await;

    // The alert, and no FIN behind it.
    client.stream.get_mut().1.send_close_notify();
    client.stream.flush().await.unwrap();

    assert_eq!(upstream.rest().await, b"", "the upstream is told");
}
