//! Variables that are wrong, and variables that are nobody's.

use super::super::Flags;
use super::{UPSTREAM, load};

#[track_caller]
fn check_fault(env: &[(&str, &str)], expected: &[&str]) {
    let mut all = vec![("REDRIVE_UPSTREAM", UPSTREAM)];
    all.extend(env);

    let error = load("", &all, Flags::default()).unwrap_err();

    let text = error.to_string();
    assert_eq!(error.faults().len(), 1, "one mistake, one fault: {text}");
    for part in expected {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn a_bad_variable_is_named_with_its_value_and_what_was_expected() {
    /// Variables, and parts of what is said about them.
    type Case = (
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
    );
    let cases: &[Case] = &[
        (
            &[("REDRIVE_RETRY__MAX_ATTEMPTS__THROTTLED", "lots")],
            &[
                "environment: `retry.max_attempts.throttled` cannot be `lots`",
                "   | REDRIVE_RETRY__MAX_ATTEMPTS__THROTTLED=lots\n   |                                        ^^^^ expected a whole number from 1 to 1000",
            ],
        ),
        (
            &[("REDRIVE_RETRY__ON", "throttled,brokn")],
            &[
                "   | REDRIVE_RETRY__ON=throttled,brokn\n   |                             ^^^^^ expected",
                "did you mean \"broken\"?",
            ],
        ),
        (
            &[("REDRIVE_RETRY_ON", "throttled")],
            &[
                "unknown variable REDRIVE_RETRY_ON",
                "did you mean REDRIVE_RETRY__ON?",
            ],
        ),
        (
            &[("REDRIVE_LISTENN", "secret")],
            &["did you mean REDRIVE_LISTEN?"],
        ),
        (
            &[("REDRIVE_SOMETHING_ELSE_ENTIRELY", "x")],
            &[
                "unknown variable",
                "expected a key's name with `__` between levels",
            ],
        ),
        (
            &[("REDRIVE_ROUTE__ORDERS__PATH", "/x")],
            &["expected the whole list as inline TOML in REDRIVE_ROUTE"],
        ),
        (
            &[("REDRIVE_DEADLINE__TOTAL", "")],
            &["`deadline.total` is set to nothing"],
        ),
        (&[("REDRIVE_LOG", " ")], &["REDRIVE_LOG is set to nothing"]),
        (
            &[("REDRIVE_SIGN__REGION", "eu-west-1")],
            &["`sign.region` is not supported by this version"],
        ),
        (
            &[("REDRIVE_TLS__LISTEN", "{ cert = \"c\" }")],
            &["REDRIVE_TLS__LISTEN:1:10: `tls.listen.cert` without `tls.listen.key`"],
        ),
        (
            &[("REDRIVE_ROUTE", "[{ name = \"a\", path = \"b\" }]")],
            &["REDRIVE_ROUTE:1:23: `path` cannot be `b`"],
        ),
        (
            &[("REDRIVE_ROUTE", "[{ name = \"a\", path = \"/a\" }")],
            &["REDRIVE_ROUTE:1:"],
        ),
        (
            &[
                ("REDRIVE_ADMIN", "127.0.0.1:1"),
                ("REDRIVE_ADMIN__LISTEN", "127.0.0.1:2"),
            ],
            &["REDRIVE_ADMIN and REDRIVE_ADMIN__LISTEN both set `admin.listen`"],
        ),
        (
            &[
                ("REDRIVE_CONFIG", "redrive.toml"),
                ("REDRIVE_CONFIG_TOML", "bypass = true"),
            ],
            &["REDRIVE_CONFIG and REDRIVE_CONFIG_TOML are both set"],
        ),
        (
            &[("REDRIVE_CONFIG", "absent.toml")],
            &["cannot read absent.toml"],
        ),
    ];

    for (env, expected) in cases {
        check_fault(env, expected);
    }
}

#[test]
fn the_value_of_an_unknown_variable_is_not_shown() {
    let env = [
        ("REDRIVE_API_TOKEN", "hunter2"),
        ("REDRIVE_UPSTREAM", UPSTREAM),
    ];

    let error = load("", &env, Flags::default()).unwrap_err();

    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn what_kubernetes_and_docker_inject_for_a_service_of_our_name_is_let_pass() {
    let env = [
        ("REDRIVE_UPSTREAM", UPSTREAM),
        ("REDRIVE_SERVICE_HOST", "10.0.0.1"),
        ("REDRIVE_SERVICE_PORT", "80"),
        ("REDRIVE_SERVICE_PORT_HTTP", "80"),
        ("REDRIVE_PORT", "tcp://10.0.0.1:80"),
        ("REDRIVE_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("REDRIVE_PORT_80_TCP_PROTO", "tcp"),
        ("REDRIVE_PORT_80_TCP_PORT", "80"),
        ("REDRIVE_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("REDRIVE_ADMIN_SERVICE_HOST", "10.0.0.2"),
    ];

    assert!(load("", &env, Flags::default()).is_ok());
}
