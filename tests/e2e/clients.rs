//! Real clients, unchanged: each makes a plain call, an upload of 2 MiB, and a call that is throttled once and must turn good.
//!
//! Each is a script in `clients/` that is given the sidecar's address and a file, and fails unless all three calls are answered
//! 200. Over TLS the variables by which clients are told whom to trust name the authority of the test. A client that is not
//! installed is skipped and says so: `cargo test --test e2e clients -- --nocapture` shows it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::answers::{ok, throttled};
use crate::support::{Authority, Files, Reply, Sidecar, Upstream};

/// A client on its way.
struct Client {
    /// What runs the script.
    program: &'static str,
    /// The script, in `clients/`.
    script: &'static str,
    /// Behind the address and the file.
    arguments: &'static [&'static str],
    /// What the program is asked first, to see whether all is there that the script needs.
    probe: &'static [&'static str],
    /// Over TLS, the version of HTTP that it must come to speak, as `Via` tells it to the upstream; `None` over cleartext.
    over_tls: Option<&'static str>,
}

fn python(script: &'static str, probe: &'static [&'static str]) -> Client {
    client("python3", script, probe)
}

fn client(program: &'static str, script: &'static str, probe: &'static [&'static str]) -> Client {
    Client {
        program,
        script,
        arguments: &[],
        probe,
        over_tls: None,
    }
}

/// A shell script around one program, which is there if it can tell its version.
fn shell(script: &'static str, arguments: &'static [&'static str], probe: &'static str) -> Client {
    Client {
        program: "sh",
        script,
        arguments,
        probe: match probe {
            "ab" => &["-c", "ab -V"],
            "wget" => &["-c", "wget --version"],
            _ => &["-c", "curl --version"],
        },
        over_tls: None,
    }
}

impl Client {
    /// Whether the program and its libraries are here.
    async fn is_here(&self) -> bool {
        let mut probe = Command::new(self.program);
        probe.args(self.probe).stdin(Stdio::null());
        match probe.output().await {
            Ok(output) => output.status.success(),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => panic!("{}: {error}", self.program),
        }
    }

    /// The same client over TLS, which must come to speak this version of HTTP.
    fn over_tls(self, version: &'static str) -> Self {
        Self {
            over_tls: Some(version),
            ..self
        }
    }

    /// All three calls through a sidecar, and what the upstream saw of them.
    async fn works(self) {
        if !self.is_here().await {
            println!("skipped: what {} needs is not installed", self.script);
            return;
        }
        let upstream = Upstream::scripted(|_, seen| {
            if is_throttled(&seen.head) {
                Reply::Bytes(throttled())
            } else {
                ok()
            }
        })
        .await;
        let trust = Trust::new();
        let (scheme, toml) = if self.over_tls.is_some() {
            ("https", trust.toml.as_str())
        } else {
            ("http", "")
        };
        let sidecar = Sidecar::before(upstream.addr, toml).await;
        let file = Upload::new(&format!("{scheme}-{}", self.script), self.arguments);

        let mut run = Command::new(self.program);
        run.arg(scripts().join(self.script))
            .arg(format!("{scheme}://{}", sidecar.addr))
            .arg(&file.path)
            .envs(TRUST.map(|name| (name, &trust.authority)))
            .args(self.arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(RUN_MAX, run.output())
            .await
            .expect("it ends in time")
            .unwrap();

        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", self.script);
        let seen = upstream.seen();
        let to = |path: &str| {
            let seen = seen.iter();
            seen.filter(|it| it.head.split(' ').nth(1) == Some(path))
                .collect::<Vec<_>>()
        };
        assert!(!to("/plain").is_empty());
        let uploads = to("/upload");
        assert_eq!(uploads.len(), 1);
        assert!(uploads[0].body == file.bytes, "every byte arrives, once");
        let tries = to("/throttled");
        assert_eq!(tries.len(), 2, "throttled once, then good");
        assert_eq!(tries[0].body, tries[1].body);
        if let Some(version) = self.over_tls {
            let via = format!("{version} redrive");
            assert!(seen.iter().all(|it| it.header("via") == Some(&via)));
        }
    }
}

/// A certificate for redrive, and whom its clients must trust for it.
struct Trust {
    /// The authority's file.
    authority: String,
    /// What redrive's file says of it.
    toml: String,
    _files: Files,
}

impl Trust {
    fn new() -> Self {
        let (files, authority) = (Files::new(), Authority::new());
        let issued = authority.issue("127.0.0.1");
        let cert = files.write("cert.pem", &issued.pem());
        let key = files.write("key.pem", &issued.key_pem());
        Self {
            authority: files.write("ca.pem", &authority.pem()),
            toml: format!("[tls.listen]\ncert = {cert:?}\nkey = {key:?}\n"),
            _files: files,
        }
    }
}

/// Whether this is the first attempt of the call that is to be throttled.
fn is_throttled(head: &str) -> bool {
    let is_first = head
        .lines()
        .any(|line| line.eq_ignore_ascii_case("redrive-attempt: 1"));
    is_first && head.split(' ').nth(1) == Some("/throttled")
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/clients")
}

/// A file to be uploaded, and whatever the script writes beside it; gone with its handle.
struct Upload {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Upload {
    fn new(script: &str, arguments: &[&str]) -> Self {
        let own = format!("{script}{}", arguments.concat());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(own);
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("upload");
        // No two places alike, so that a lost, doubled or moved part shows.
        let bytes: Vec<u8> = (0..UPLOAD_BYTES / 4).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &bytes).unwrap();
        Self { path, bytes }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let directory = self.path.parent().expect("it was made there");
        let _left_behind = std::fs::remove_dir_all(directory);
    }
}

/// How curl, requests, Node, and what goes by OpenSSL are told of an authority; the Java script reads the last one itself.
const TRUST: [&str; 4] = [
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
];

const UPLOAD_BYTES: u32 = 2 << 20;

/// Starting a virtual machine on a busy computer takes its time.
const RUN_MAX: Duration = Duration::from_secs(120);

#[tokio::test]
async fn curl_over_http_1_0() {
    shell("curl.sh", &["--http1.0"], "curl").works().await;
}

#[tokio::test]
async fn curl_over_http_1_1() {
    shell("curl.sh", &["--http1.1"], "curl").works().await;
}

#[tokio::test]
async fn curl_over_http_2() {
    shell("curl.sh", &["--http2-prior-knowledge"], "curl")
        .works()
        .await;
}

#[tokio::test]
async fn wget() {
    shell("wget.sh", &[], "wget").works().await;
}

#[tokio::test]
async fn ab_with_kept_http_1_0_connections() {
    shell("ab.sh", &[], "ab").works().await;
}

#[tokio::test]
async fn python_requests() {
    python("requests_session.py", &["-c", "import requests"])
        .works()
        .await;
}

#[tokio::test]
async fn python_httpx_with_a_streamed_upload() {
    python("httpx_streaming.py", &["-c", "import httpx"])
        .works()
        .await;
}

#[tokio::test]
async fn python_aiohttp() {
    python("aiohttp_session.py", &["-c", "import aiohttp"])
        .works()
        .await;
}

#[tokio::test]
async fn botocore_which_expects_a_100() {
    python("botocore_call.py", &["-c", "import botocore"])
        .works()
        .await;
}

#[tokio::test]
async fn node_fetch() {
    client("node", "fetch.mjs", &["-e", "fetch"]).works().await;
}

#[tokio::test]
async fn node_http() {
    client("node", "http.mjs", &["--version"]).works().await;
}

#[tokio::test]
async fn node_http2() {
    client("node", "http2.mjs", &["--version"]).works().await;
}

#[tokio::test]
async fn java_http_client() {
    client("java", "JavaHttpClient.java", &["--list-modules"])
        .works()
        .await;
}

#[tokio::test]
async fn java_http_url_connection() {
    client("java", "JavaUrlConnection.java", &["--list-modules"])
        .works()
        .await;
}

#[tokio::test]
async fn perl_lwp() {
    client("perl", "lwp.pl", &["-MLWP::UserAgent", "-e1"])
        .works()
        .await;
}

#[tokio::test]
async fn php_curl() {
    client(
        "php",
        "curl.php",
        &["-r", "exit(extension_loaded('curl') ? 0 : 1);"],
    )
    .works()
    .await;
}

#[tokio::test]
async fn ruby_net_http() {
    client("ruby", "net_http.rb", &["-e", "require 'net/http'"])
        .works()
        .await;
}

#[tokio::test]
async fn curl_over_tls_with_http_1_1() {
    let curl = shell("curl.sh", &["--http1.1"], "curl");
    curl.over_tls("1.1").works().await;
}

#[tokio::test]
async fn curl_over_tls_with_http_2() {
    let curl = shell("curl.sh", &["--http2"], "curl");
    curl.over_tls("2").works().await;
}

#[tokio::test]
async fn python_requests_over_tls() {
    let requests = python("requests_session.py", &["-c", "import requests"]);
    requests.over_tls("1.1").works().await;
}

#[tokio::test]
async fn python_httpx_over_tls_with_http_2() {
    let httpx = python("httpx_http2.py", &["-c", "import h2, httpx"]);
    httpx.over_tls("2").works().await;
}

#[tokio::test]
async fn node_https() {
    let node = client("node", "http.mjs", &["--version"]);
    node.over_tls("1.1").works().await;
}

#[tokio::test]
async fn node_http2_over_tls() {
    let node = client("node", "http2.mjs", &["--version"]);
    node.over_tls("2").works().await;
}

#[tokio::test]
async fn java_http_client_over_tls_with_http_2() {
    let java = client("java", "JavaHttpClient.java", &["--list-modules"]);
    java.over_tls("2").works().await;
}
