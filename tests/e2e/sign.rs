//! What redrive says in its clients' names (`[sign]`): an API key, on every attempt, to its own API and to nobody else; signatures stand
//! in `sign/signatures.rs`. And what it makes of the signatures of clients.

#[cfg(feature = "sigv4")]
mod signatures;

use std::time::Duration;

use redrive::clock;

use crate::answers::{ok, throttled, throttled_with};
use crate::support::{Client, Files, Process, Reply, Sidecar, Upstream};

/// The API keys that the upstream saw, request by request.
fn keys(upstream: &Upstream) -> Vec<String> {
    let seen = upstream.seen();
    let keys = seen.iter().map(|it| it.headers("x-api-key").join(","));
    keys.collect()
}

#[tokio::test]
async fn an_api_key_goes_up_on_every_attempt_of_who_sent_none() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let toml = format!("upstream = \"http://{}\"", upstream.addr);
    let sidecar = Sidecar::configured(&toml, &[("REDRIVE_SIGN__API_KEY", "ours")]).await;

    let answer = Client::get(sidecar.addr, "/a").await;

    assert_eq!(answer.status, 200);
    assert_eq!(keys(&upstream), ["ours", "ours"]);
}

#[tokio::test]
async fn a_client_s_own_api_key_or_signature_is_left_alone() {
    let upstream = Upstream::answering([ok()]).await;
    let toml = format!("upstream = \"http://{}\"", upstream.addr);
    let sidecar = Sidecar::configured(&toml, &[("REDRIVE_SIGN__API_KEY", "ours")]).await;
    let signature = "AWS4-HMAC-SHA256 Credential=AKID/20261125/eu-west-1/execute-api/aws4_request, \
                     SignedHeaders=host;x-amz-date, Signature=00";

    for headers in [
        [("X-Api-Key", "theirs")],
        [("X-Api-Key", "")],
        [("Authorization", signature)],
        [("Authorization", "Bearer a.b.c")],
    ] {
        let answer = Client::request(sidecar.addr, "GET", "/a", &headers, b"").await;
        assert_eq!(answer.status, 200);
    }

    assert_eq!(keys(&upstream), ["theirs", "ours", "", "ours"]);
}

#[tokio::test]
async fn a_bypass_still_says_who_calls() {
    let upstream = Upstream::answering([ok()]).await;
    let toml = format!("upstream = \"http://{}\"\nbypass = true", upstream.addr);
    let sidecar = Sidecar::configured(&toml, &[("REDRIVE_SIGN__API_KEY", "ours")]).await;

    Client::get(sidecar.addr, "/a").await;

    assert_eq!(keys(&upstream), ["ours"]);
}

#[tokio::test]
async fn a_route_to_another_host_is_told_no_api_key() {
    let (upstream, other) = (
        Upstream::answering([ok()]).await,
        Upstream::answering([ok()]).await,
    );
    let toml = format!(
        "upstream = \"http://{}/prod\"\n\
         [[route]]\nname = \"other\"\npath = \"/other\"\nupstream = \"http://{}\"\n\
         [[route]]\nname = \"stage\"\npath = \"/stage\"\nupstream = \"http://{}/test\"\n",
        upstream.addr, other.addr, upstream.addr
    );
    let sidecar = Sidecar::configured(&toml, &[("REDRIVE_SIGN__API_KEY", "ours")]).await;

    for path in ["/other", "/stage", "/a"] {
        assert_eq!(Client::get(sidecar.addr, path).await.status, 200, "{path}");
    }

    assert_eq!(keys(&other), [""]);
    assert_eq!(keys(&upstream), ["ours", "ours"]);
}

#[tokio::test]
async fn an_api_key_in_a_file_is_followed_and_what_is_none_leaves_the_old_one() {
    let upstream = Upstream::answering([ok()]).await;
    let files = Files::new();
    let path = files.write("key", "first\n");
    let toml = format!("[sign]\napi_key_file = {path:?}");
    let sidecar = Sidecar::before(upstream.addr, &toml).await;

    Client::get(sidecar.addr, "/a").await;
    files.write("key", "second\n");
    sidecar.reload_tls().await;
    Client::get(sidecar.addr, "/a").await;
    files.write("key", "not a key\n");
    sidecar.reload_tls().await;
    Client::get(sidecar.addr, "/a").await;

    assert_eq!(keys(&upstream), ["first", "second", "second"]);
}

#[tokio::test]
async fn a_reload_that_finds_no_api_key_in_its_file_changes_nothing_and_names_the_file() {
    let upstream = Upstream::answering([ok()]).await;
    let files = Files::new();
    let path = files.write("key", "first");
    let broken = files.write("broken", "hunter2 hunter2");
    let toml = |path: &str| {
        let addr = upstream.addr;
        format!("upstream = \"http://{addr}\"\n[sign]\napi_key_file = {path:?}")
    };
    let sidecar = Sidecar::configured(&toml(&path), &[]).await;

    let error = sidecar.reload(&toml(&broken)).await.unwrap_err();
    Client::get(sidecar.addr, "/a").await;

    let told = error.to_string();
    assert!(told.contains(&broken) && told.contains("holds no API key"));
    assert!(!told.contains("hunter2"), "{told}");
    assert_eq!(keys(&upstream), ["first"]);
}

#[tokio::test]
async fn an_api_key_is_in_no_line_of_the_log() {
    let upstream = Upstream::answering([Reply::Bytes(throttled()), ok()]).await;
    let env = [
        ("REDRIVE_SIGN__API_KEY", "hunter2".to_owned()),
        ("REDRIVE_LOG__REQUESTS", "all".to_owned()),
        ("RUST_LOG", "trace".to_owned()),
    ];
    let mut process = Process::with(upstream.addr, "", &env).await;

    Client::get(process.addr, "/a").await;

    let mut lines = process.before_ready().to_vec();
    let is_last = |event: &serde_json::Value| event["message"] == "request";
    let last = process
        .event("the request", |event| {
            lines.push(event.clone());
            is_last(event)
        })
        .await;
    assert_eq!(last["attempts_made"], 2);
    assert_eq!(keys(&upstream), ["hunter2", "hunter2"]);
    for line in lines {
        assert!(!line.to_string().contains("hunter2"), "{line}");
    }
}

/// The date of a signature that was made so long ago, as SigV4 writes it.
fn signed_ago(ago: Duration) -> String {
    let date = httpdate::fmt_http_date(clock::wall() - ago);
    let [_, day, month, year, time, _] = date.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{date}")
    };
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(month).unwrap() / 3 + 1;
    format!("{year}{month:02}{day}T{}Z", time.replace(':', ""))
}

#[tokio::test]
async fn what_a_client_signed_goes_up_as_it_came_and_again_only_while_its_signature_holds() {
    for (ago, hint, attempts, reason) in [
        (0, "100", 2, None),
        // It runs out before the upstream wants it back.
        (290, "20000", 1, Some("hint_too_long")),
        (600, "100", 1, Some("deadline")),
    ] {
        let upstream = Upstream::answering([
            Reply::Bytes(throttled_with(&[("retry-after-ms", hint)])),
            ok(),
        ])
        .await;
        let sidecar = Sidecar::before(upstream.addr, "host = \"client\"").await;
        let date = signed_ago(Duration::from_secs(ago));
        let signature = "AWS4-HMAC-SHA256 Credential=AKID/20261125/eu-west-1/execute-api/aws4_request, \
                         SignedHeaders=content-type;host;x-amz-date;x-odd, Signature=00";
        let headers = [
            ("Host", "abc123.execute-api.eu-west-1.amazonaws.com"),
            ("Authorization", signature),
            ("X-Amz-Date", &date),
            ("X-Amz-Security-Token", "TOKEN"),
            ("Content-Type", "a/b;  c=d"),
            ("X-Odd", "a,  b"),
        ];

        let path = "/a%2Fb//../c?b=%20&a=+&b";
        let answer = Client::request(sidecar.addr, "POST", path, &headers, b"body").await;

        assert_eq!(upstream.seen().len(), attempts, "{ago}");
        assert_eq!(answer.header("redrive-reason"), reason, "{ago}");
        for seen in upstream.seen() {
            assert!(seen.head.starts_with(&format!("POST {path} HTTP/1.1\r\n")));
            for (name, value) in headers {
                assert_eq!(seen.headers(name), [value], "{name}");
            }
            assert_eq!(seen.body, b"body");
        }
    }
}
