//! Which layer holds, and where a value is said to come from.

use super::super::{Config, Flags};
use super::{UPSTREAM, effective, load, with_file};
use crate::admin::{Pages, Setting};

#[test]
fn defaults_give_way_to_the_file_the_file_to_the_environment_and_that_to_flags() {
    let text = "upstream = \"https://file.example\"\nlisten = \"127.0.0.1:1\"\n[admin]\nlisten = \"127.0.0.1:2\"\n";
    let env = [
        ("REDRIVE_LISTEN", "127.0.0.1:3"),
        ("REDRIVE_ADMIN", "127.0.0.1:4"),
    ];
    let flags = Flags {
        listen: Some("127.0.0.1:5".to_owned()),
        ..with_file()
    };

    let loaded = load(text, &env, flags).unwrap();

    let line = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(effective(&loaded, "host"), line("\"upstream\"", "default"));
    assert_eq!(
        effective(&loaded, "upstream"),
        line("\"https://file.example\"", "redrive.toml:1")
    );
    assert_eq!(
        effective(&loaded, "admin.listen"),
        line("\"127.0.0.1:4\"", "env REDRIVE_ADMIN")
    );
    assert_eq!(
        effective(&loaded, "listen"),
        line("\"127.0.0.1:5\"", "flag --listen")
    );
    assert_eq!(loaded.config.server.listen.port(), 5);
    assert_eq!(loaded.config.admin.listen.port(), 4);
}

#[test]
fn an_upstream_alone_is_enough_from_wherever_it_comes() {
    let flags = Flags {
        upstream: Some(UPSTREAM.to_owned()),
        ..Flags::default()
    };
    let inline = format!("upstream = \"{UPSTREAM}\"");
    let loaded = [
        load("", &[], flags).unwrap(),
        load("", &[("REDRIVE_UPSTREAM", UPSTREAM)], Flags::default()).unwrap(),
        load(&inline, &[], with_file()).unwrap(),
        load(
            &inline,
            &[("REDRIVE_CONFIG", "redrive.toml")],
            Flags::default(),
        )
        .unwrap(),
        load("", &[("REDRIVE_CONFIG_TOML", &inline)], Flags::default()).unwrap(),
    ];

    let first = loaded[0].config.clone();
    for one in loaded {
        // It differs in where it comes from, which is shown, and in nothing else.
        let values = |settings: &[Setting]| {
            let values = settings.iter().map(|it| it.value.clone());
            values.collect::<Vec<_>>()
        };
        assert_eq!(values(&one.config.settings), values(&first.settings));
        let one = Config {
            settings: first.settings.clone(),
            ..one.config
        };
        assert_eq!(one, first);
        let upstream = &one.proxy.routes[0].upstream;
        assert_eq!(upstream.authority.as_str(), "api.example");
        assert_eq!(upstream.base_path, "/prod");
    }
}

#[test]
fn an_inline_file_says_its_own_lines() {
    let inline = format!("upstream = \"{UPSTREAM}\"\n\n[log]\nformat = \"text\"");

    let loaded = load("", &[("REDRIVE_CONFIG_TOML", &inline)], Flags::default()).unwrap();

    assert_eq!(effective(&loaded, "log.format").1, "REDRIVE_CONFIG_TOML:4");
    assert_eq!(loaded.file, None);
}

#[test]
fn the_flag_for_a_file_comes_before_the_variables_for_one() {
    let text = format!("upstream = \"{UPSTREAM}\"");
    let env = [
        ("REDRIVE_CONFIG", "elsewhere.toml"),
        ("REDRIVE_CONFIG_TOML", "upstream = 1"),
    ];

    let loaded = load(&text, &env, with_file()).unwrap();

    assert_eq!(loaded.file.as_deref(), Some("redrive.toml".as_ref()));
    assert_eq!(
        loaded.warnings.len(),
        1,
        "the inline file is not silently ignored"
    );
}

#[test]
fn a_table_in_a_variable_covers_key_by_key_and_a_key_of_its_own_covers_that() {
    let text = format!(
        "upstream = \"{UPSTREAM}\"\n[retry]\nmax_attempts = {{ throttled = 7, suspected = 6, other = 5 }}"
    );
    let env = [
        (
            "REDRIVE_RETRY__MAX_ATTEMPTS",
            "{ throttled = 8, suspected = 8 }",
        ),
        ("REDRIVE_RETRY__MAX_ATTEMPTS__THROTTLED", "9"),
    ];

    let loaded = load(&text, &env, with_file()).unwrap();

    let limits = loaded.config.proxy.routes[0].retry.max_attempts;
    assert_eq!(
        [limits.throttled, limits.suspected, limits.other].map(std::num::NonZeroU32::get),
        [9, 8, 5]
    );
}

#[test]
fn a_list_in_a_variable_replaces_the_files_list() {
    let text = format!(
        "upstream = \"{UPSTREAM}\"\n[[route]]\nname = \"a\"\npath = \"/a\"\n[[classify]]\nstatus = 418\nclass = \"ok\""
    );
    let env = [
        ("REDRIVE_ROUTE", "[{ name = \"b\", path = \"/b/*\" }]"),
        (
            "REDRIVE_CLASSIFY",
            "[{ status = 503, class = \"throttled\", ran = \"no\" }]",
        ),
    ];

    let loaded = load(&text, &env, with_file()).unwrap();

    let routes = &loaded.config.proxy.routes;
    let names: Vec<_> = routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["b", "default"]);
    assert_eq!(routes[0].retry.rules.custom.len(), 1);
    assert_eq!(
        routes[0].retry.rules.custom[0].status,
        Some(http::StatusCode::SERVICE_UNAVAILABLE)
    );
}

#[test]
fn both_listeners_are_on_loopback_unless_they_are_told_otherwise() {
    let open = [
        ("REDRIVE_UPSTREAM", UPSTREAM),
        ("REDRIVE_LISTEN", "0.0.0.0:80"),
        ("REDRIVE_ADMIN", "[::]:81"),
    ];

    let defaults = load("", &open[..1], Flags::default()).unwrap().config;
    let told = load("", &open, Flags::default()).unwrap().config;

    let are_near = |config: &Config| {
        [config.server.listen, config.admin.listen].map(|address| address.ip().is_loopback())
    };
    assert_eq!(are_near(&defaults), [true, true]);
    assert_eq!(are_near(&told), [false, false]);
    assert_eq!(defaults.admin.pages, Pages::Loopback);
}
