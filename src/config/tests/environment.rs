//! Every key by its variable, and variables that are nobody's.

use super::super::Flags;
use super::super::keys::{Key, Scope};
use super::super::kind::Kind;
use super::super::value::Value;
use super::{UPSTREAM, effective, load};

/// A value that differs from the key's default and contradicts nothing.
fn other_value(key: &Key) -> String {
    let default = key.default.unwrap_or_default();
    match key.kind {
        Kind::Bool => (default != "true").to_string(),
        Kind::Word(words) => {
            let other = words.iter().find(|word| **word != default);
            (*other.unwrap()).to_owned()
        }
        Kind::Words(words) => words[..2].join(" , "),
        Kind::Time { .. } => "17s".to_owned(),
        Kind::Size { min, .. } => format!("{}B", min + 1),
        Kind::Count { .. } => "2".to_owned(),
        Kind::Tokens { .. } => "42.125".to_owned(),
        Kind::Address => "127.0.0.1:9999".to_owned(),
        Kind::Url => "http://other.example/v2".to_owned(),
        Kind::Header => "x-other".to_owned(),
        Kind::Methods | Kind::Name | Kind::Pattern | Kind::Text => "other".to_owned(),
    }
}

#[test]
fn every_key_has_a_variable_that_changes_what_holds() {
    let mut walked = 0;
    for key in Scope::Top.keys().filter(|key| key.supported) {
        let (variable, value) = (key.variable(), other_value(key));
        let mut env = vec![(variable.as_str(), value.as_str())];
        // What only makes sense together.
        let company: &[(&str, &str)] = match key.path {
            "upstream" => &[],
            "pace.limit.per_second" => &[("REDRIVE_PACE__LIMIT__BURST", "3")],
            "pace.limit.burst" => &[("REDRIVE_PACE__LIMIT__PER_SECOND", "3")],
            "replay.max_total" => &[("REDRIVE_REPLAY__MAX_BODY", "1B")],
            "tls.upstream.client_cert" => &[("REDRIVE_TLS__UPSTREAM__CLIENT_KEY", "k")],
            "tls.listen.cert" => &[("REDRIVE_TLS__LISTEN__KEY", "k")],
            "tls.listen.key" => &[("REDRIVE_TLS__LISTEN__CERT", "c")],
            "tls.listen.client_ca" => &[
                ("REDRIVE_TLS__LISTEN__CERT", "c"),
                ("REDRIVE_TLS__LISTEN__KEY", "k"),
            ],
            "tls.upstream.client_key" => &[("REDRIVE_TLS__UPSTREAM__CLIENT_CERT", "c")],
            _ => &[],
        };
        env.extend(company);
        if key.path != "upstream" {
            env.push(("REDRIVE_UPSTREAM", UPSTREAM));
        }

        let loaded = load("", &env, Flags::default())
            .unwrap_or_else(|error| panic!("{variable}={value}: {error}"));

        let expected = key.kind.read_bare(&value).unwrap();
        assert_ne!(
            Some(&expected),
            key.default
                .map(|text| key.kind.read_bare(text).unwrap())
                .as_ref(),
            "{variable} is tried with another value than its default"
        );
        assert_eq!(
            effective(&loaded, key.path),
            (expected.to_string(), format!("env {variable}")),
        );
        walked += 1;
    }
    assert!(walked > 50, "the table of keys was walked");
}

#[test]
fn every_key_that_has_a_default_changes_what_is_built() {
    let plain = load("", &[("REDRIVE_UPSTREAM", UPSTREAM)], Flags::default()).unwrap();
    for key in Scope::Top
        .keys()
        .filter(|key| key.supported && key.default.is_some())
    {
        let (variable, mut value) = (key.variable(), other_value(key));
        if key.path == "replay.max_total" {
            value = "128MiB".to_owned();
        }
        let env = [
            (variable.as_str(), value.as_str()),
            ("REDRIVE_UPSTREAM", UPSTREAM),
        ];

        let loaded = load("", &env, Flags::default()).unwrap();

        assert_ne!(
            loaded.config, plain.config,
            "{variable} is read but put to no use"
        );
    }
}

#[test]
fn a_change_of_any_key_is_put_off_to_a_restart_exactly_where_the_table_of_keys_says_so() {
    let plain = load("", &[("REDRIVE_UPSTREAM", UPSTREAM)], Flags::default()).unwrap();
    for key in Scope::Top
        .keys()
        .filter(|key| key.supported && key.default.is_some())
    {
        let (variable, mut value) = (key.variable(), other_value(key));
        if key.path == "replay.max_total" {
            value = "128MiB".to_owned();
        }
        let env = [
            (variable.as_str(), value.as_str()),
            ("REDRIVE_UPSTREAM", UPSTREAM),
        ];
        let changed = load("", &env, Flags::default()).unwrap().config;

        let (in_use, put_off) = changed.clone().beside(&plain.config);

        if key.needs_restart {
            assert_eq!(put_off, [key.path]);
            assert_eq!(in_use, plain.config, "{variable}");
        } else {
            assert!(put_off.is_empty(), "{variable}");
            assert_eq!(in_use, changed, "{variable}");
        }
    }
}

#[test]
fn tls_towards_clients_is_switched_on_and_off_by_a_restart() {
    let plain = load("", &[("REDRIVE_UPSTREAM", UPSTREAM)], Flags::default()).unwrap();
    let env = [
        ("REDRIVE_UPSTREAM", UPSTREAM),
        ("REDRIVE_TLS__LISTEN__CERT", "c"),
        ("REDRIVE_TLS__LISTEN__KEY", "k"),
    ];
    let secure = load("", &env, Flags::default()).unwrap();

    let (in_use, put_off) = secure.config.clone().beside(&plain.config);

    assert_eq!(put_off, ["tls.listen"]);
    assert_eq!(in_use, plain.config);
    let (in_use, put_off) = plain.config.beside(&secure.config);
    assert_eq!(put_off, ["tls.listen"]);
    assert_eq!(in_use, secure.config);
}

#[test]
fn every_word_of_every_key_is_one_that_can_be_built() {
    let with_words = Scope::Top.keys().filter_map(|key| match key.kind {
        Kind::Word(words) => Some((key, words)),
        _ => None,
    });
    for (key, words) in with_words {
        for word in words {
            let variable = key.variable();
            let env = [(variable.as_str(), *word), ("REDRIVE_UPSTREAM", UPSTREAM)];

            let loaded = load("", &env, Flags::default()).unwrap();

            assert_eq!(
                effective(&loaded, key.path).0,
                Value::Word(word).to_string()
            );
        }
    }
    let rule = |word: &str, value: &str| {
        let list = format!("[{{ status = 500, class = \"ok\", {word} = \"{value}\" }}]");
        list.replace("class = \"ok\", class", "class")
    };
    for key in Scope::Classify.keys() {
        let Kind::Word(words) = key.kind else {
            continue;
        };
        for word in words {
            let list = rule(key.path, word);
            let env = [
                ("REDRIVE_CLASSIFY", list.as_str()),
                ("REDRIVE_UPSTREAM", UPSTREAM),
            ];

            load("", &env, Flags::default()).unwrap_or_else(|error| panic!("{list}: {error}"));
        }
    }
}

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
