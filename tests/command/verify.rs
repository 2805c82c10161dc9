//! `redrive verify` against the embedded gateway, and against indexes that lead it astray.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use crate::process::{Finished, Running, finished};
use crate::tls::{Directory, issued};

/// A gateway, and the URL of its cases.
fn gateway() -> (Running, String) {
    let mut running = Running::start(&["gateway", "--listen", "127.0.0.1:0"], &[]);
    let ready = running.line_with("redrive gateway on");
    let addr = ready.split_whitespace().nth(3).unwrap();
    let url = format!("{}/-/verify", addr.trim_end_matches(':'));
    (running, url)
}

/// The URL of an API that answers its one request in this way.
fn answering(status: &str, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/stage", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"GET /stage/index HTTP/1.1\r\n"));
        stream.write_all(answer.as_bytes()).unwrap();
    });
    url
}

fn verify(arguments: &[&str]) -> Finished {
    finished(&[&["verify"], arguments].concat(), &[])
}

/// What was found of each case.
fn findings(ended: &Finished) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|_| panic!("no JSON: {}{}", ended.stdout, ended.stderr));
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let cases = report["cases"].as_array().unwrap().iter();
    cases
        .map(|case| (word(&case["case"]), word(&case["finding"])))
        .collect()
}

#[test]
fn every_case_of_the_stand_in_is_classified_as_expected() {
    let (_gateway, url) = gateway();

    let ended = verify(&[&url]);

    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stderr, "");
    let rows: Vec<&str> = ended.stdout.lines().collect();
    let [head, cases @ .., _, foot] = &rows[..] else {
        panic!("no table: {}", ended.stdout)
    };
    assert!(head.starts_with("case "), "{head}");
    assert_eq!(*foot, format!("{0} cases: {0} ok", cases.len()));
    for row in [
        "rest-rate              429 throttled no     429 throttled no     ok             TooManyRequestsException",
        "rest-quota             429 quota no         429 quota no         ok             LimitExceededException",
        "marked-throttled       500 suspected maybe  500 suspected maybe  ok             InternalServerErrorException, INTEGRATION_FAILURE",
        "http-timeout           503 timeout maybe    503 timeout maybe    ok",
        "url-concurrency        429 throttled no     429 throttled no     ok             TooManyRequestsException",
    ] {
        assert!(cases.contains(&row), "{row} is not in {}", ended.stdout);
    }
}

#[test]
fn it_is_the_same_over_tls_as_api_gateway_speaks_it() {
    let (_gateway, url) = gateway();
    let upstream = url.trim_end_matches("/-/verify");
    let files = Directory::new("verify");
    let (cert, key) = issued("localhost");
    let (cert, key) = (files.write("cert.pem", &cert), files.write("key.pem", &key));
    let env = [
        ("REDRIVE_UPSTREAM", upstream),
        ("REDRIVE_BYPASS", "true"),
        ("REDRIVE_LISTEN", "127.0.0.1:0"),
        ("REDRIVE_ADMIN", "127.0.0.1:0"),
        ("REDRIVE_TLS__LISTEN__CERT", cert.as_str()),
        ("REDRIVE_TLS__LISTEN__KEY", key.as_str()),
    ];
    let mut front = Running::start(&[], &env);
    let ready: Value = serde_json::from_str(&front.line_with("redrive is ready")).unwrap();
    let (_, port) = ready["listen"].as_str().unwrap().rsplit_once(':').unwrap();
    let url = format!("https://localhost:{port}/-/verify");

    let distrusted = verify(&[&url]);
    let trusted = finished(&["verify", "--json", &url], &[("SSL_CERT_FILE", &cert)]);

    assert_eq!(distrusted.code, Some(69));
    let said = "its certificate comes from an authority that is not trusted";
    assert_eq!(
        distrusted.stderr,
        format!("{url} cannot be verified: {said}\n")
    );
    let findings = findings(&trusted);
    assert_eq!(trusted.code, Some(0), "{findings:?}");
    assert!(
        findings.iter().all(|(_, finding)| finding == "ok"),
        "{findings:?}"
    );
}

#[test]
fn what_is_answered_otherwise_is_found_and_told() {
    let (_gateway, stand_in) = gateway();
    let at = |case: &str| json!({ "at": format!("{stand_in}/{case}") });
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = json!({ "at": format!("http://{}/", nowhere.local_addr().unwrap()) });
    drop(nowhere);
    let index = json!({ "redrive_verify": 1, "cases": {
        "rest-ok": at("rest-crash"),
        "rest-rate": at("rest-ok"),
        "rest-throttled": at("rest-crash"), // what it was in 2018
        "rest-crash": at("rest-crash"),
        "url-ok": closed,
        "lambda-of-tomorrow": at("rest-ok"),
    }})
    .to_string();

    let told = verify(&[&answering("200 OK", &index)]);
    let counted = verify(&["--json", &answering("200 OK", &index)]);

    assert_eq!(told.code, Some(1));
    assert_eq!(told.stderr, "3 of 29 cases are not as expected\n");
    for line in [
        "rest-ok                200 ok yes           502 suspected maybe  differs        InternalServerErrorException",
        "  because  REST API's `Internal server error`, which hides Lambda throttles",
        "  body     {\"message\": \"Internal server error\"}",
        "rest-rate              429 throttled no     -                    not provoked",
        "  because  all of 40 requests were answered well",
        "rest-throttled         500 suspected maybe  502 suspected maybe  other evidence InternalServerErrorException",
        "  wanted   500 InternalServerErrorException",
        "rest-crash             502 suspected maybe  502 suspected maybe  ok             InternalServerErrorException",
        "url-ok                 200 ok yes           --- unsent no        differs",
        "29 cases: 1 ok, 1 other evidence, 2 differs, 1 not provoked, 24 absent",
        "not known to this redrive: lambda-of-tomorrow",
    ] {
        let mut lines = told.stdout.lines();
        assert!(
            lines.any(|it| it == line),
            "{line} is not in {}",
            told.stdout
        );
    }
    assert_eq!(counted.code, Some(1));
    let (_, absent): (Vec<_>, Vec<_>) = findings(&counted)
        .into_iter()
        .partition(|(_, finding)| finding != "absent");
    assert_eq!(absent.len(), 24);
    let report: Value = serde_json::from_str(&counted.stdout).unwrap();
    assert_eq!(report["as_expected"], false);
    assert_eq!(report["cases"][0]["observed"]["class"], "suspected");
    assert_eq!(report["cases"][1]["requests"], 40);
}

#[test]
fn a_url_that_is_not_the_stacks_is_no_finding() {
    let (gateway, url) = gateway();
    let beside = url.replace("/-/verify", "/prod");

    for (url, said) in [
        (beside, "/prod is no API made from deploy/verify"),
        (
            answering("403 Forbidden", "{}"),
            ": GET /stage/index is answered 403 Forbidden",
        ),
        (
            answering("200 OK", r#"{"redrive_verify":9,"cases":{}}"#),
            ": its index has version 9,",
        ),
    ] {
        let ended = verify(&[&url]);

        assert_eq!(ended.code, Some(69), "{}", ended.stderr);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    drop(gateway);
    let ended = verify(&[&url]);
    assert_eq!(ended.code, Some(69));
    assert_eq!(
        ended.stderr,
        format!("{url} cannot be verified: it refuses connections\n")
    );
}
