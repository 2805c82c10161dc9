//! What goes up, and what stays here.

use http::Request;
use http::header::CONTENT_LENGTH;
use proptest::prelude::*;

use super::hop::{is_end_to_end, is_for_one_hop};
use super::*;

fn parts(uri: &str, headers: &[(&str, &str)]) -> request::Parts {
    let builder = Request::builder().uri(uri);
    let builder = headers.iter().fold(builder, |builder, (name, value)| {
        builder.header(*name, *value)
    });
    builder.body(()).unwrap().into_parts().0
}

fn outbound(authority: &HeaderValue) -> Outbound<'_> {
    Outbound {
        host: Host::Upstream,
        forwarded: Forwarded::Off,
        authority,
        base_path: "/prod",
        client: IpAddr::from([127, 0, 0, 1]),
        is_secure: false,
    }
}

fn shaped(outbound: &Outbound<'_>, parts: &request::Parts) -> HeaderMap {
    let mut parts = parts.clone();
    outbound.shape(&mut parts);
    parts.headers
}

fn upstream() -> HeaderValue {
    HeaderValue::from_static("abc.execute-api.eu-west-1.amazonaws.com")
}

#[test]
fn the_base_path_comes_first_and_the_rest_is_not_touched() {
    let target = outbound(&upstream())
        .target(&"/a%2Fb//c?d=%20&e".parse().unwrap())
        .unwrap();

    assert_eq!(target, "/prod/a%2Fb//c?d=%20&e");
}

#[test]
fn a_target_without_a_path_is_the_root() {
    for target in ["http://api.example", "http://api.example#a", "/"] {
        let upstream = upstream();
        let plain = Outbound {
            base_path: "",
            ..outbound(&upstream)
        };

        assert_eq!(
            plain.target(&target.parse().unwrap()).unwrap(),
            "/",
            "{target}"
        );
    }
}

#[test]
fn what_is_meant_for_one_hop_stays_here() {
    let head = parts(
        "/",
        &[
            ("host", "sidecar"),
            ("connection", "keep-alive, X-Secret"),
            ("x-secret", "1"),
            ("keep-alive", "5"),
            ("proxy-authorization", "Basic x"),
            ("te", "gzip"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("x-kept", "1"),
        ],
    );

    let headers = shaped(&outbound(&upstream()), &head);

    let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["host", "x-kept", "via"]);
    assert_eq!(headers["host"], "abc.execute-api.eu-west-1.amazonaws.com");
    assert_eq!(headers["via"], "1.1 redrive");
}

#[test]
fn a_client_that_takes_trailers_is_asked_for_by_us() {
    let headers = shaped(
        &outbound(&upstream()),
        &parts("/", &[("te", "gzip, Trailers")]),
    );

    assert_eq!(headers.get_all(TE).iter().collect::<Vec<_>>(), ["trailers"]);
    assert_eq!(headers[CONNECTION], "te");
}

#[test]
fn host_and_framing_cannot_be_nominated_away() {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONNECTION,
        HeaderValue::from_static("host, content-length, close"),
    );
    headers.insert(HOST, HeaderValue::from_static("a"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("3"));

    remove_hop_by_hop(&mut headers);

    assert!(headers.contains_key(HOST) && headers.contains_key(CONTENT_LENGTH));
}

#[test]
fn the_clients_own_host_is_kept_where_asked() {
    let authority = upstream();
    let outbound = Outbound {
        host: Host::Client,
        ..outbound(&authority)
    };

    assert_eq!(
        shaped(&outbound, &parts("/", &[("host", "mine")]))["host"],
        "mine"
    );
    assert_eq!(
        shaped(&outbound, &parts("http://named/x", &[("host", "mine")]))["host"],
        "named"
    );
}

#[test]
fn the_clients_address_is_told_where_asked() {
    let authority = upstream();
    let head = parts("/", &[("host", "mine"), ("x-forwarded-for", "10.0.0.1")]);

    let x = Outbound {
        forwarded: Forwarded::XForwardedFor,
        ..outbound(&authority)
    };
    let x = shaped(&x, &head);
    let standard = Outbound {
        forwarded: Forwarded::Forwarded,
        ..outbound(&authority)
    };
    let standard = shaped(&standard, &head);

    let chain: Vec<_> = x.get_all("x-forwarded-for").iter().collect();
    assert_eq!(chain, ["10.0.0.1", "127.0.0.1"]);
    assert_eq!(x["x-forwarded-host"], "mine");
    assert_eq!(
        standard["forwarded"],
        "for=127.0.0.1;proto=http;host=\"mine\""
    );
    let secure = Outbound {
        forwarded: Forwarded::XForwardedFor,
        is_secure: true,
        ..outbound(&authority)
    };
    assert_eq!(x["x-forwarded-proto"], "http");
    assert_eq!(shaped(&secure, &head)["x-forwarded-proto"], "https");
}

#[test]
fn cookies_of_several_fields_become_one() {
    let head = parts("/", &[("cookie", "a=1"), ("cookie", "b=2")]);

    let headers = shaped(&outbound(&upstream()), &head);

    assert_eq!(
        headers.get_all("cookie").iter().collect::<Vec<_>>(),
        ["a=1; b=2"]
    );
}

#[test]
fn a_length_goes_up_as_a_plain_number() {
    for (sent, expected) in [("4", "4"), ("004", "4"), ("000", "0")] {
        let headers = shaped(
            &outbound(&upstream()),
            &parts("/", &[("content-length", sent)]),
        );

        let lengths: Vec<_> = headers.get_all(CONTENT_LENGTH).iter().collect();
        assert_eq!(lengths, [expected], "{sent}");
    }
}

#[test]
fn an_upgrade_is_asked_for_in_both_headers_of_http_1_1_and_goes_up() {
    let asked = |headers: &[(&str, &str)]| {
        let mut head = parts("/", headers);
        let protocols = upgrade(&head).map(|value| value.to_str().unwrap().to_owned());
        let above = shaped(&outbound(&upstream()), &head);
        assert_eq!(
            above
                .get("upgrade")
                .map(|value| value.to_str().unwrap().to_owned()),
            protocols
        );
        let options: Vec<_> = above.get_all("connection").iter().collect();
        assert_eq!(
            options.contains(&&HeaderValue::from_static("upgrade")),
            protocols.is_some()
        );
        head.version = Version::HTTP_10;
        assert_eq!(upgrade(&head), None);
        protocols
    };

    assert_eq!(
        asked(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket")
        ])
        .as_deref(),
        Some("websocket")
    );
    assert_eq!(
        asked(&[
            ("connection", "upgrade, te"),
            ("te", "trailers"),
            ("upgrade", "H2C, a/1,, b")
        ])
        .as_deref(),
        Some("a/1, b")
    );
    assert_eq!(asked(&[("upgrade", "websocket")]), None);
    assert_eq!(asked(&[("connection", "upgrade")]), None);
    assert_eq!(
        asked(&[("connection", "upgrade"), ("upgrade", "h2c")]),
        None
    );
}

proptest! {
    #[test]
    fn no_hop_by_hop_header_ever_passes(nominated in "[a-z-]{1,12}|via|host|x-amz", others in prop::collection::vec("[a-z-]{1,12}", 0..8)) {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::try_from(&nominated).unwrap());
        for name in others.iter().chain([&nominated]) {
            if let Ok(name) = name.parse::<HeaderName>() {
                headers.append(name, HeaderValue::from_static("x"));
            }
        }

        remove_hop_by_hop(&mut headers);

        let is_protected = nominated.parse().is_ok_and(|name| is_end_to_end(&name));
        prop_assert!(is_protected || !headers.contains_key(nominated.as_str()));
        prop_assert!(!headers.keys().any(is_for_one_hop));
    }
}

#[test]
fn what_is_meant_for_the_other_end_cannot_be_named_away() {
    let mut headers = parts(
        "/",
        &[
            (
                "connection",
                "idempotency-key, x-amzn-trace-id, redrive-attempt, x-mine",
            ),
            ("idempotency-key", "k"),
            ("x-amzn-trace-id", "Root=1"),
            ("redrive-attempt", "1"),
            ("x-mine", "1"),
        ],
    )
    .headers;

    remove_hop_by_hop(&mut headers);

    let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(!headers.contains_key("x-mine"));
}

#[test]
fn a_name_is_taken_away_beside_bytes_that_are_none() {
    let mut headers = HeaderMap::new();
    let named = HeaderValue::from_bytes(b"x-mine, \xe9").unwrap();
    headers.insert(CONNECTION, named);
    headers.insert("x-mine", HeaderValue::from_static("1"));

    remove_hop_by_hop(&mut headers);

    assert!(headers.is_empty());
}

#[test]
fn trailers_bring_nothing_that_a_head_decides() {
    let names = [
        "content-length",
        "host",
        "cookie",
        "redrive-attempt",
        "x-sum",
    ];
    let mut trailers: HeaderMap = names
        .into_iter()
        .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")))
        .collect();

    remove_from_trailers(&mut trailers);

    let left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
    assert_eq!(left, ["x-sum"]);
}
