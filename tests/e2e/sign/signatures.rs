//! Signatures of redrive's own (SigV4): on every attempt anew, over the whole body, and nothing unsigned.
//!
//! That they are the right ones is held against botocore by `deploy/test/sigv4.py`.

use std::time::Duration;

use redrive::clock;

use super::signed_ago;
use crate::answers::{answer, ok, throttled_with};
use crate::support::{Client, Message, Process, Reply, Sidecar, Upstream};

const TOML: &str = "[sign]\nregion = \"eu-west-1\"\n";

/// An environment with credentials, which are in no file and no network.
fn credentials() -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "hunter2".to_owned()),
        ("AWS_SESSION_TOKEN", "TOKENOFHUNTER2".to_owned()),
    ]
}

/// An environment without any.
fn nothing() -> Vec<(&'static str, String)> {
    vec![("AWS_EC2_METADATA_DISABLED", "true".to_owned())]
}

/// What a signature says of itself, but for its last word.
fn claim(seen: &Message) -> String {
    let authorization = seen.header("authorization").unwrap_or_default();
    let (claim, signature) = authorization.split_once(", Signature=").unwrap();
    assert_eq!(signature.len(), 64, "{authorization}");
    let date = &seen.header("x-amz-date").unwrap()[..8];
    claim.replace(date, "DATE")
}

#[tokio::test]
async fn every_attempt_is_signed_anew() {
    let later = Reply::Bytes(throttled_with(&[("retry-after-ms", "1100")]));
    let upstream = Upstream::answering([later, ok()]).await;
    let process = Process::with(upstream.addr, TOML, &credentials()).await;

    let headers = [
        ("Content-Type", "application/json"),
        ("X-Amz-Date", "theirs"),
    ];
    let answer = Client::request(process.addr, "POST", "/a?b=c", &headers, b"{}").await;

    assert_eq!(answer.status, 200);
    let [first, second]: [Message; 2] = upstream.seen().try_into().unwrap();
    for seen in [&first, &second] {
        assert_eq!(
            claim(seen),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/DATE/eu-west-1/execute-api/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token"
        );
        assert_eq!(seen.headers("x-amz-security-token"), ["TOKENOFHUNTER2"]);
        assert_eq!(seen.body, b"{}");
    }
    // The hint kept them a second apart.
    assert_ne!(first.headers("x-amz-date"), second.headers("x-amz-date"));
    assert_ne!(
        first.headers("authorization"),
        second.headers("authorization")
    );
}

#[tokio::test]
async fn who_says_who_it_is_is_not_signed_for() {
    let upstream = Upstream::answering([ok()]).await;
    let process = Process::with(upstream.addr, TOML, &credentials()).await;
    let now = signed_ago(Duration::ZERO);
    let signature = "AWS4-HMAC-SHA256 Credential=AKID/20261125/us-east-1/x/aws4_request, \
                     SignedHeaders=host;x-amz-date, Signature=00";

    for headers in [
        &[("Authorization", signature), ("X-Amz-Date", &now)][..],
        &[("Authorization", "Bearer a.b.c")],
    ] {
        Client::request(process.addr, "GET", "/a", headers, b"").await;
    }
    let presigned = "/a?X-Amz-Date=20261125T134621Z&X-Amz-Signature=00";
    Client::get(process.addr, presigned).await;

    let [signed, named, in_query]: [Message; 3] = upstream.seen().try_into().unwrap();
    assert_eq!(signed.headers("authorization"), [signature]);
    assert_eq!(signed.headers("x-amz-date"), [&*now]);
    assert_eq!(named.headers("authorization"), ["Bearer a.b.c"]);
    for seen in [&named, &in_query] {
        assert!(seen.headers("x-amz-security-token").is_empty());
    }
    assert!(in_query.headers("authorization").is_empty());
    assert!(
        in_query
            .head
            .starts_with(&format!("GET {presigned} HTTP/1.1\r\n"))
    );
}

#[tokio::test]
async fn without_credentials_nothing_is_sent_and_everybody_is_told() {
    let upstream = Upstream::answering([ok()]).await;
    let mut process = Process::with(upstream.addr, TOML, &nothing()).await;

    let answer = Client::post(process.addr, "/a", b"body").await;

    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.header("proxy-status"),
        Some("redrive; error=proxy_configuration_error")
    );
    assert_eq!(answer.explained(), ("3", "attempts", "no"));
    assert!(answer.text().contains("the request could not be signed"));
    let is_why = |event: &serde_json::Value| {
        let message = event["message"].as_str().unwrap_or_default();
        message.starts_with("no credentials to sign with")
    };
    if !process.before_ready().iter().any(is_why) {
        process.event("why", is_why).await;
    }
    let told = process
        .event("the request", |event| event["message"] == "request")
        .await;
    assert_eq!(told["because"], "not sent: could not be signed");
    let unsent = process
        .total("redrive_attempts_total", "class=\"unsent\"")
        .await;
    assert_eq!(unsent, 3.0);
    // Nobody was asked anything, so nobody's budget is used up.
    let tokens = process.total("redrive_retry_budget_tokens", "").await;
    assert_eq!(tokens, 500.0);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_body_that_cannot_be_kept_is_not_signed_and_not_sent() {
    let upstream = Upstream::answering([ok()]).await;
    let toml = format!("[replay]\nmax_body = \"8B\"\nmax_total = \"64B\"\n{TOML}");
    let process = Process::with(upstream.addr, &toml, &credentials()).await;

    let sized = Client::post(process.addr, "/a", b"123456789").await;
    let mut client = Client::connect(process.addr).await;
    client.send_chunked("/a", b"123456789", 3).await;
    let chunked = client.answer_to("POST").await;
    let fits = Client::post(process.addr, "/a", b"12345678").await;

    for answer in [&sized, &chunked] {
        assert_eq!(answer.status, 413);
        assert_eq!(answer.header("redrive-reason"), Some("body_too_large"));
    }
    assert_eq!(fits.status, 200);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_container_is_asked_for_credentials_by_no_request_and_again_before_they_expire() {
    let issuer = Upstream::scripted(|number, _| {
        let expires = clock::wall() + Duration::from_secs(4);
        let date = humantime::format_rfc3339_seconds(expires);
        let body = format!(
            r#"{{"AccessKeyId":"AKID{number}","SecretAccessKey":"s","Token":"T{number}","Expiration":"{date}"}}"#
        );
        let headers = [("Content-Type", "application/json")];
        Reply::Bytes(answer("200 OK", &headers, &body))
    })
    .await;
    let upstream = Upstream::answering([ok()]).await;
    let uri = format!("http://{}/credentials", issuer.addr);
    let env = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)];
    let process = Process::with(upstream.addr, TOML, &env).await;

    for _ in 0..20 {
        assert_eq!(Client::get(process.addr, "/a").await.status, 200);
    }
    let asked_first = issuer.seen().len();
    issuer.saw(2).await;
    assert_eq!(Client::get(process.addr, "/a").await.status, 200);

    assert!(
        asked_first < 20,
        "asked {asked_first} times for 20 requests"
    );
    for seen in upstream.seen() {
        let number = seen.header("x-amz-security-token").unwrap()[1..].to_owned();
        let key = format!("Credential=AKID{number}/");
        assert!(seen.header("authorization").unwrap().contains(&key));
    }
}

#[tokio::test]
async fn a_bypass_still_signs() {
    let upstream = Upstream::answering([ok()]).await;
    let toml = format!("bypass = true\n{TOML}");
    let process = Process::with(upstream.addr, &toml, &credentials()).await;

    Client::post(process.addr, "/a", b"body").await;

    claim(&upstream.seen()[0]);
}

#[tokio::test]
async fn credentials_are_in_no_line_of_the_log_and_on_no_page() {
    let upstream = Upstream::answering([ok()]).await;
    let mut env = credentials();
    env.push(("RUST_LOG", "trace".to_owned()));
    env.push(("REDRIVE_LOG__REQUESTS", "all".to_owned()));
    let mut process = Process::with(upstream.addr, TOML, &env).await;

    Client::get(process.addr, "/a").await;
    for path in ["/config", "/status", "/metrics"] {
        let host = [("Host", "localhost")];
        let page = Client::request(process.admin, "GET", path, &host, b"").await;
        assert!(!page.text().to_lowercase().contains("hunter2"), "{path}");
    }

    let mut lines = process.before_ready().to_vec();
    process
        .event("the request", |event| {
            lines.push(event.clone());
            event["message"] == "request"
        })
        .await;
    assert_eq!(
        upstream.seen()[0].headers("x-amz-security-token"),
        ["TOKENOFHUNTER2"]
    );
    for line in lines {
        let line = line.to_string();
        assert!(!line.to_lowercase().contains("hunter2"), "{line}");
    }
}

#[tokio::test]
async fn signing_is_switched_on_by_a_reload() {
    let upstream = Upstream::answering([ok()]).await;
    let plain = format!("upstream = \"http://{}\"\n", upstream.addr);
    let sidecar = Sidecar::configured(&plain, &[]).await;

    sidecar.reload(&format!("{plain}{TOML}")).await.unwrap();
    // Whether this machine has credentials or not, nothing goes up without a signature.
    Client::get(sidecar.addr, "/a").await;

    for seen in upstream.seen() {
        claim(&seen);
    }
}
