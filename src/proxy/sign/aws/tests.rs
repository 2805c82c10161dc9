//! Signatures, held against what botocore 1.44.8 computed for the same request, date and credentials. `deploy/test/sigv4.py`
//! asks it for many more.

use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// 2026-11-25 13:46:21 UTC.
const NOW: Duration = Duration::from_secs(1_795_614_381);

const HOST_NAME: &str = "abc123.execute-api.eu-west-1.amazonaws.com";

fn payload(body: &[u8]) -> Payload {
    let hash = Sha256::digest(body);
    Payload(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn signed(mut request: Request<()>, body: &[u8], token: Option<&str>) -> Request<()> {
    let token = token.map(str::to_owned);
    let credentials = Credentials::new("AKIDEXAMPLE", "secretEXAMPLE", token, None, "test");
    let scope = Scope {
        region: "eu-west-1".to_owned(),
        service: "execute-api".to_owned(),
    };
    sign(
        &mut request,
        &payload(body),
        &credentials,
        &scope,
        UNIX_EPOCH + NOW,
    )
    .unwrap();
    request
}

#[track_caller]
fn check(request: &Request<()>, names: &str, signature: &str) {
    let authorization = request.headers()[AUTHORIZATION].to_str().unwrap();
    assert_eq!(
        authorization,
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261125/eu-west-1/execute-api/aws4_request, \
             SignedHeaders={names}, Signature={signature}"
        ),
    );
    assert_eq!(request.headers()[X_AMZ_DATE], "20261125T134621Z");
}

#[test]
fn an_awkward_path_and_query_are_signed_as_botocore_signs_them() {
    let request = Request::get("/prod/a%20b//c/./d?b=2&a=1&a=%20")
        .header("host", HOST_NAME)
        .header("user-agent", "legacy/1.0")
        .body(())
        .unwrap();

    let request = signed(request, b"", None);

    check(
        &request,
        "host;x-amz-date",
        "4d1a1dd19882403b6147453319d457fc327559e6dde97bbc5ad06e19cc2eb378",
    );
}

#[test]
fn a_body_its_type_and_a_token_are_signed_and_what_was_said_before_is_replaced() {
    let request = Request::post("/prod/orders")
        .header("host", HOST_NAME)
        .header("content-type", "application/json")
        .header("x-amz-date", "19700101T000000Z")
        .header("x-amz-security-token", "another")
        .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        .body(())
        .unwrap();

    let request = signed(request, br#"{"a":1}"#, Some("TOKEN"));

    check(
        &request,
        "content-type;host;x-amz-date;x-amz-security-token",
        "95ef025cf09356b91866efa76ad716f54ae19fcc902451a3e05ef3586b00a9b0",
    );
    assert_eq!(request.headers()[X_AMZ_SECURITY_TOKEN], "TOKEN");
    assert!(request.headers()[X_AMZ_SECURITY_TOKEN].is_sensitive());
    assert!(!request.headers().contains_key(X_AMZ_CONTENT_SHA256));
    assert!(!format!("{request:?}").contains("TOKEN"));
}

#[test]
fn another_moment_has_another_signature() {
    let at = |seconds| {
        let mut request = Request::get("/")
            .header("host", HOST_NAME)
            .body(())
            .unwrap();
        let credentials = Credentials::new("AKIDEXAMPLE", "secretEXAMPLE", None, None, "test");
        let scope = Scope {
            region: "eu-west-1".to_owned(),
            service: "execute-api".to_owned(),
        };
        let now = UNIX_EPOCH + NOW + Duration::from_secs(seconds);
        sign(&mut request, &payload(b""), &credentials, &scope, now).unwrap();
        let headers = request.headers().clone();
        (headers[X_AMZ_DATE].clone(), headers[AUTHORIZATION].clone())
    };

    assert_eq!(at(0), at(0));
    assert_ne!(at(0).0, at(1).0);
    assert_ne!(at(0).1, at(1).1);
}

#[test]
fn a_request_without_a_readable_host_is_not_signed() {
    let mut request = Request::get("/").body(()).unwrap();
    let credentials = Credentials::new("AKIDEXAMPLE", "secretEXAMPLE", None, None, "test");
    let scope = Scope {
        region: "eu-west-1".to_owned(),
        service: "execute-api".to_owned(),
    };

    let result = sign(
        &mut request,
        &payload(b""),
        &credentials,
        &scope,
        UNIX_EPOCH + NOW,
    );

    assert_eq!(result, Err(Unsigned));
    assert!(!request.headers().contains_key(AUTHORIZATION));
}
