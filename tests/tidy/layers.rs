//! Who may import whom: the table that keeps the crate without cycles and its decisions pure.
//!
//! A file imports only from lower layers. Within one family (`proxy.rs` and `proxy/*`) files may see one another; the
//! families that decide see neither the runtime nor the wire nor a clock, and the embedded gateway sees nothing of what
//! it has to judge.

use crate::source::{Source, Tree};

/// The layer of every file, by its module; `name/` means all files below `name`.
const LAYERS: &[(&str, u8)] = &[
    ("clock", 0),
    ("handover", 0),
    ("http1/", 0),
    ("http1", 0),
    ("tcp", 0),
    ("tls/", 0),
    ("tls", 0),
    ("retry/", 0),
    ("retry", 1),
    ("pace/", 1),
    ("pace", 1),
    ("dns/", 1),
    ("dns", 1),
    ("proxy/", 2),
    ("proxy", 3),
    ("server/", 4),
    ("server", 4),
    ("admin/", 4),
    ("admin", 4),
    ("telemetry/", 4),
    ("telemetry", 4),
    ("config/", 5),
    ("config", 5),
    ("gateway/", 5),
    ("gateway", 5),
    ("simulate/", 5),
    ("simulate", 5),
    ("app/", 6),
    ("app", 6),
    ("cli/", 7),
    ("cli", 7),
    ("check/", 7),
    ("check", 7),
    ("demo/", 7),
    ("demo", 7),
    ("health/", 7),
    ("health", 7),
    ("verify/", 7),
    ("verify", 7),
    // The map and the front door: they name the rooms and hold nothing that a room could want.
    ("lib", 8),
    ("main", 8),
];

/// The layer of the commands. They are one edge of the program, and may share the arguments and one another's parts.
const COMMANDS: u8 = 7;

/// The families whose code only decides, or reads and writes bytes in memory: values in, values out.
const PURE: &[&str] = &["retry", "pace", "http1"];

/// What a decision must not see, and what it does instead.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "decisions take `now` as an argument"),
    ("tokio_util", "decisions take `now` as an argument"),
    ("clock", "decisions take `now` as an argument"),
    (
        "hyper",
        "decisions see the types of `http`, never the wire's",
    ),
    (
        "hyper_util",
        "decisions see the types of `http`, never the wire's",
    ),
    (
        "tower",
        "decisions are plain functions; stages stand in `proxy/`",
    ),
    (
        "tower_http",
        "decisions are plain functions; stages stand in `proxy/`",
    ),
    ("tracing", "decisions return reasons; the shell logs them"),
    (
        "prometheus",
        "decisions return reasons; the shell counts them",
    ),
];

/// What the embedded gateway must not see.
const JUDGED: &[&str] = &["proxy", "retry", "pace", "server", "admin", "config"];

/// Every import that the table forbids, as one sentence each.
pub(crate) fn faults(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for file in tree.production_files() {
        let Some(layer) = layer(file.module()) else {
            faults.push(format!(
                "`{}` stands in no layer; give it one in tests/tidy/layers.rs",
                file.path
            ));
            continue;
        };
        for import in file.imports() {
            faults.extend(fault(tree, file, layer, &import));
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

fn fault(tree: &Tree, file: &Source, layer: u8, import: &[String]) -> Option<String> {
    let own = family(file.module());
    let path = &file.path;
    let inside = import.first().is_some_and(|root| root == "crate");
    let named = if inside {
        tree.module_of(&import[1..])?
    } else {
        import.first()?.as_str()
    };

    let impure = IMPURE
        .iter()
        .find(|(name, _)| *name == named && inside == (*name == "clock"));
    if let (true, Some((_, instead))) = (PURE.contains(&own), impure) {
        return Some(format!("`{path}` imports `{named}`; {instead}"));
    }
    // Other crates are open to everybody else, and a family is one room with an open door inside.
    if !inside || family(named) == own {
        return None;
    }
    if own == "gateway" && JUDGED.contains(&family(named)) {
        return Some(format!(
            "`{path}` imports `{named}`; the embedded gateway shares nothing with what it judges"
        ));
    }
    // A file without a layer is reported for itself.
    let below = self::layer(named)?;
    let commands = layer == COMMANDS && below == COMMANDS;
    (below >= layer && !commands).then(|| {
        format!(
            "`{path}` ({layer}) imports `{named}` ({below}); a file imports only from lower layers"
        )
    })
}

fn layer(module: &str) -> Option<u8> {
    let row = LAYERS
        .iter()
        .find(|(name, _)| match name.strip_suffix('/') {
            Some(parent) => module
                .strip_prefix(parent)
                .is_some_and(|rest| rest.starts_with('/')),
            None => *name == module,
        });
    row.map(|(_, layer)| *layer)
}

/// The first segment of a module's path: `retry` for `retry/budget`.
fn family(module: &str) -> &str {
    module.split('/').next().unwrap_or(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds the rule against one file among empty ones.
    #[track_caller]
    fn check(path: &str, text: &str, expected: &[&str]) {
        let others = [
            "admin.rs",
            "app.rs",
            "check.rs",
            "cli.rs",
            "clock.rs",
            "config.rs",
            "gateway.rs",
            "lib.rs",
            "pace.rs",
            "proxy.rs",
            "proxy/error.rs",
            "retry.rs",
            "retry/classify.rs",
            "server.rs",
        ];
        let mut files = vec![Source::parse(path, text)];
        files.extend(
            others
                .iter()
                .filter(|other| **other != path)
                .map(|other| Source::parse(other, "")),
        );

        let found = faults(&Tree::new(files));

        assert_eq!(found, expected, "in {text}");
    }

    #[test]
    fn a_decision_that_imports_the_runtime_is_a_fault() {
        check(
            "retry/budget.rs",
            "use tokio::time::Instant;",
            &["`retry/budget.rs` imports `tokio`; decisions take `now` as an argument"],
        );
    }

    #[test]
    fn a_decision_that_reads_the_clock_inline_is_a_fault() {
        check(
            "pace/window.rs",
            "fn f() { crate::clock::now(); }",
            &["`pace/window.rs` imports `clock`; decisions take `now` as an argument"],
        );
    }

    #[test]
    fn a_decision_that_logs_is_a_fault_even_inside_a_macro() {
        check(
            "retry.rs",
            "fn f() { x!(tracing::warn) }",
            &["`retry.rs` imports `tracing`; decisions return reasons; the shell logs them"],
        );
    }

    #[test]
    fn a_decision_s_tests_may_read_the_clock() {
        check(
            "retry/budget.rs",
            "#[cfg(test)] mod tests { use crate::clock; fn f() { tokio::x() } }",
            &[],
        );
    }

    #[test]
    fn a_file_of_tests_alone_may_import_anything() {
        let tree = Tree::new(vec![
            Source::parse("retry.rs", "#[cfg(test)] mod tests;"),
            Source::parse("retry/tests.rs", "use crate::app; use tokio::time;"),
            Source::parse("app.rs", ""),
        ]);

        assert!(faults(&tree).is_empty());
    }

    #[test]
    fn only_our_own_clock_is_the_clock() {
        check("retry.rs", "use clock::Face; fn f() { tokio() }", &[]);
    }

    #[test]
    fn an_import_from_below_is_welcome() {
        check(
            "proxy/attempt.rs",
            "use crate::{clock, pace, retry::classify::Class}; use tokio::time;",
            &[],
        );
    }

    #[test]
    fn an_import_from_above_or_beside_is_a_fault() {
        check(
            "server.rs",
            "use crate::config::Config; use crate::admin;",
            &[
                "`server.rs` (4) imports `admin` (4); a file imports only from lower layers",
                "`server.rs` (4) imports `config` (5); a file imports only from lower layers",
            ],
        );
    }

    #[test]
    fn decisions_know_no_stage() {
        check(
            "retry/hint.rs",
            "use crate::proxy::error::Error;",
            &[
                "`retry/hint.rs` (0) imports `proxy/error` (2); a file imports only from lower layers",
            ],
        );
    }

    #[test]
    fn a_family_is_one_room() {
        check(
            "proxy/respond.rs",
            "use super::{error::Error, Params}; use crate::proxy;",
            &[],
        );
    }

    #[test]
    fn the_embedded_gateway_shares_nothing_with_what_it_judges() {
        check(
            "gateway/answers.rs",
            "use crate::retry::classify::Class; use crate::clock; use super::Params;",
            &[
                "`gateway/answers.rs` imports `retry/classify`; the embedded gateway shares nothing with what it judges",
            ],
        );
    }

    #[test]
    fn nobody_but_the_top_reads_the_configuration() {
        check("app.rs", "use crate::config::Config;", &[]);
        check(
            "admin.rs",
            "fn f(_: &crate::config::Config) {}",
            &["`admin.rs` (4) imports `config` (5); a file imports only from lower layers"],
        );
    }

    #[test]
    fn commands_may_share_their_arguments_but_nobody_below_may_import_them() {
        check("check.rs", "use crate::cli::Check;", &[]);
        check(
            "app.rs",
            "use crate::cli::Run;",
            &["`app.rs` (6) imports `cli` (7); a file imports only from lower layers"],
        );
    }

    #[test]
    fn a_file_that_the_table_does_not_know_is_a_fault() {
        check(
            "cache.rs",
            "",
            &["`cache.rs` stands in no layer; give it one in tests/tidy/layers.rs"],
        );
    }
}
