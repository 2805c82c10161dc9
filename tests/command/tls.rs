//! The files of TLS, as the program finds them: faults at their keys, and a change while it runs.

use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;

use crate::process::{Running, finished};

/// A directory for one test; goes with its handle.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("redrive-command-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_dir_all(&self.0);
    }
}

/// A certificate and its key in PEM.
fn issued() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["sidecar.test".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn every_file_that_cannot_be_used_is_told_at_its_key() {
    let files = Directory::new("faults");
    let (cert, _) = issued();
    let cert = files.write("cert.pem", &cert);
    let missing = files.0.join("none.pem").to_str().unwrap().to_owned();
    let empty = files.write("empty.pem", "nothing\n");
    let toml = format!(
        "upstream = \"https://api.example\"\n[tls.listen]\ncert = \"{cert}\"\nkey = \"{missing}\"\n\
         client_ca = \"{empty}\"\n[tls.upstream]\nca_file = \"{missing}\"\n"
    );
    let config = files.write("redrive.toml", &toml);

    for command in ["check", "run"] {
        let ended = finished(&[command, "--config", &config], &[]);

        assert_eq!(ended.code, Some(78), "{}", ended.stderr);
        for fault in [
            format!("{config}:4:7: tls.listen.key = {missing:?} cannot be read: No such file"),
            format!("{config}:5:13: tls.listen.client_ca = {empty:?} holds no certificate"),
            format!("{config}:7:11: tls.upstream.ca_file = {missing:?} cannot be read"),
        ] {
            assert!(ended.stderr.contains(&fault), "{fault}\n{}", ended.stderr);
        }
    }
}

#[test]
fn a_key_of_another_certificate_is_told_at_its_key() {
    let files = Directory::new("mismatch");
    let cert = files.write("cert.pem", &issued().0);
    let key = files.write("key.pem", &issued().1);
    let env = [
        ("REDRIVE_UPSTREAM", "http://api.example"),
        ("REDRIVE_TLS__LISTEN__CERT", cert.as_str()),
        ("REDRIVE_TLS__LISTEN__KEY", key.as_str()),
    ];

    let ended = finished(&["check"], &env);

    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    let fault = format!("environment: tls.listen.key = {key:?} does not belong to the certificate");
    assert!(ended.stderr.contains(&fault), "{}", ended.stderr);
}

#[test]
fn files_are_read_again_on_a_hangup_and_from_time_to_time() {
    let files = Directory::new("hangup");
    let (cert, key) = issued();
    let paths = (files.write("cert.pem", &cert), files.write("key.pem", &key));
    let env = [
        ("REDRIVE_UPSTREAM", "http://api.example"),
        ("REDRIVE_LISTEN", "127.0.0.1:0"),
        ("REDRIVE_ADMIN", "127.0.0.1:0"),
        ("REDRIVE_TLS__LISTEN__CERT", paths.0.as_str()),
        ("REDRIVE_TLS__LISTEN__KEY", paths.1.as_str()),
    ];
    let mut running = Running::start(&[], &env);
    running.line_with("redrive is ready");

    files.write("key.pem", "no key");
    running.signal(Signal::HUP);
    let told = running.line_with("configuration not reloaded: the old one stays in use");
    assert!(told.contains("tls.listen.key"), "{told}");
    let (cert, key) = issued();
    files.write("cert.pem", &cert);
    files.write("key.pem", &key);
    running.signal(Signal::HUP);
    running.line_with("changed files are in use");
    // And without having been told.
    files.write("key.pem", "no key");
    running.line_with("changed files cannot be used: the old ones stay");
    running.line_with("configuration not reloaded: the old one stays in use");

    running.signal(Signal::TERM);
    assert_eq!(running.ended().0, Some(0));
}
