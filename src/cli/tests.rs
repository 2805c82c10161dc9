//! The command line as people type it.

use clap::{CommandFactory, Parser};

use super::{Cli, Command, Failure};
use crate::config::Flags;
use crate::gateway;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split(' ')).map(Cli::into_command)
}

/// The flags of a command that takes a configuration.
#[track_caller]
fn flags(line: &str) -> Flags {
    let args = match parse(line).unwrap() {
        Command::Run(args) => args,
        Command::Check(args) => args.config,
        other => panic!("{other:?} takes no configuration"),
    };
    args.sources().flags
}

#[test]
fn the_definition_holds_no_contradiction() {
    <Cli as CommandFactory>::command().debug_assert();
}

#[test]
fn to_proxy_is_what_happens_without_a_command() {
    let expected = Flags {
        config: Some("f.toml".into()),
        upstream: Some("https://a.example".to_owned()),
        listen: Some("127.0.0.1:1".to_owned()),
        admin: Some("127.0.0.1:2".to_owned()),
    };
    let rest =
        "--config f.toml --upstream https://a.example --listen 127.0.0.1:1 --admin 127.0.0.1:2";

    assert!(matches!(parse("redrive"), Ok(Command::Run(_))));
    assert_eq!(flags(&format!("redrive {rest}")), expected);
    assert_eq!(flags(&format!("redrive run {rest}")), expected);
    assert_eq!(flags(&format!("redrive check {rest}")), expected);
}

#[test]
fn what_does_not_exist_is_a_usage_error() {
    for line in [
        "redrive simulate",
        "redrive verify",
        "redrive verify a.example/stage",
        "redrive verify ftp://a.example",
        "redrive verify https://a.example/?b",
        "redrive --upstream",
        "redrive --nonsense",
        "redrive --upstream https://a.example check",
        "redrive check --schema --explain x",
        "redrive gateway --front lambda",
        "redrive gateway --burst 5",
        "redrive gateway --rate many",
        "redrive gateway --service-time 20",
        "redrive gateway --upstream https://a.example",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn a_gateway_has_the_limits_that_were_asked_for() {
    let line = "redrive gateway --listen 127.0.0.1:0 --rate 10 --burst 5 --concurrency 3 --service-time 1s --quota 99 --front rest-2018";
    let Ok(Command::Gateway(args)) = parse(line) else {
        panic!("a gateway");
    };

    let params = gateway::Params::from(args);

    let expected = gateway::Params {
        listen: "127.0.0.1:0".parse().unwrap(),
        rate: Some(10),
        burst: Some(5),
        concurrency: Some(3),
        service_time: std::time::Duration::from_secs(1),
        quota: Some(99),
        front: gateway::Front::Rest2018,
    };
    assert_eq!(params, expected);
}

#[test]
fn a_gateway_without_arguments_is_the_default_one() {
    let Ok(Command::Gateway(args)) = parse("redrive gateway") else {
        panic!("a gateway");
    };

    assert_eq!(gateway::Params::from(args), gateway::Params::default());
}

#[test]
fn every_help_fits_a_screen() {
    let mut program = <Cli as CommandFactory>::command().term_width(80);
    program.build();
    let names: Vec<String> = program
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "run", "check", "demo", "gateway", "simulate", "verify", "health"
        ]
    );
    let mut pages = vec![program.render_help().to_string()];
    for name in &names {
        let command = program.find_subcommand_mut(name).unwrap();
        pages.push(command.render_help().to_string());
    }

    for page in &pages {
        assert!(
            page.lines().count() <= 24,
            "{} lines:\n{page}",
            page.lines().count()
        );
        for line in page.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
    assert!(
        pages[0].contains("Example:\n  redrive --upstream"),
        "{}",
        pages[0]
    );
}

#[test]
fn a_failure_tells_its_causes_after_it() {
    let error = gateway::Error::Listen {
        listen: "127.0.0.1:80".parse().unwrap(),
        source: std::io::Error::from(std::io::ErrorKind::PermissionDenied),
    };

    let failure = Failure::from(error);

    assert_eq!(failure.code, 69);
    assert_eq!(
        failure.text,
        "cannot listen on 127.0.0.1:80: permission denied"
    );
    assert_eq!(Failure::from(gateway::Error::BurstWithoutRate).code, 2);
}
