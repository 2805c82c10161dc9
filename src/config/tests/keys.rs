//! Every key of the table: that its variable is read, that its value is put to use, and whether a reload is enough for that.

use super::super::keys::{Key, Scope};
use super::super::kind::Kind;
use super::super::value::Value;
use super::super::{Config, Flags};
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

/// What a configuration is without what the operator is shown of it, which says the value of every key, used or not.
fn built(config: Config) -> Config {
    Config {
        settings: Vec::new(),
        ..config
    }
}

/// Every key with a default, its variable, and the configuration in which that says another value.
fn with_each_changed(mut check: impl FnMut(&Key, &str, Config)) {
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
        let changed = load("", &env, Flags::default()).unwrap();
        check(key, &variable, changed.config);
    }
}

#[test]
fn every_key_that_has_a_default_changes_what_is_built() {
    let plain = load("", &[("REDRIVE_UPSTREAM", UPSTREAM)], Flags::default()).unwrap();
    let plain = built(plain.config);

    with_each_changed(|_, variable, changed| {
        assert_ne!(
            built(changed),
            plain,
            "{variable} is read but put to no use"
        );
    });
}

#[test]
fn a_change_of_any_key_is_put_off_to_a_restart_exactly_where_the_table_of_keys_says_so() {
    let plain = load("", &[("REDRIVE_UPSTREAM", UPSTREAM)], Flags::default()).unwrap();

    with_each_changed(|key, variable, changed| {
        let (in_use, put_off) = changed.clone().beside(&plain.config);

        if key.needs_restart {
            assert_eq!(put_off, [key.path]);
            assert_eq!(in_use, plain.config, "{variable}");
        } else {
            assert!(put_off.is_empty(), "{variable}");
            assert_eq!(in_use, changed, "{variable}");
        }
    });
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
