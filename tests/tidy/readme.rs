//! What the README tells people to type, held against what the program understands.
//!
//! A use is `redrive NAME --flag` at the start of an inline code span or of a line in a code block (after a `$ `, a
//! directory, or as `cargo run --release -- NAME`). Prose is not looked at.

use std::collections::{BTreeMap, BTreeSet};

/// One invocation that the README shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// The command, where one is named.
    pub(crate) command: Option<String>,
    /// The long flags, with their dashes.
    pub(crate) flags: Vec<String>,
}

/// Every invocation in a Markdown text, in order.
pub(crate) fn uses(markdown: &str) -> Vec<Use> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            found.extend(invocation(line));
        } else {
            // Between the backticks is every second piece.
            found.extend(line.split('`').skip(1).step_by(2).filter_map(invocation));
        }
    }
    found
}

/// Every use that the help does not know. `help` prints that of a command, or the program's own.
pub(crate) fn faults(uses: &[Use], help: impl Fn(Option<&str>) -> String) -> Vec<String> {
    let program = help(None);
    let mut pages: BTreeMap<&str, String> = BTreeMap::new();
    let mut faults = Vec::new();
    for used in uses {
        let page = match used.command.as_deref() {
            Some(command) if !lists_command(&program, command) => {
                faults.push(format!(
                    "README.md names the command `{command}`, which --help does not list"
                ));
                continue;
            }
            Some(command) => pages.entry(command).or_insert_with(|| help(Some(command))),
            None => &program,
        };
        for flag in used.flags.iter().filter(|flag| !has_word(page, flag)) {
            let of = used.command.as_deref().unwrap_or("redrive");
            faults.push(format!(
                "README.md gives `{of}` the flag `{flag}`, which its --help does not list"
            ));
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// Every metric that a text names and no source does. A metric's name stands in its source as a whole string.
pub(crate) fn metric_faults(markdown: &str, sources: &[&str]) -> Vec<String> {
    // A colon inside makes it the name of a recording rule, which is no business of the sources.
    let words =
        markdown.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_:".contains(letter)));
    let words = words
        .map(|word| word.trim_matches(':'))
        .filter(|word| !word.contains(':'));
    // What ends in the separator is the start of a pattern.
    let names: BTreeSet<&str> = words
        .filter(|word| word.starts_with("redrive_") && !word.ends_with('_'))
        .collect();
    let unknown = names.into_iter().filter(|name| {
        let literal = format!("\"{name}\"");
        !sources.iter().any(|source| source.contains(&literal))
    });
    unknown
        .map(|name| format!("README.md names the metric `{name}`, which nothing registers"))
        .collect()
}

/// Reads a line as an invocation, if it is one.
fn invocation(line: &str) -> Option<Use> {
    let line = line.trim().trim_start_matches("$ ");
    // What follows a comment sign or a pipe is somebody else's.
    let line = line.split(['#', '|', ';', '&']).next()?;
    let mut words = line
        .split_whitespace()
        .skip_while(|word| is_variable(word))
        .peekable();
    let program = words.next()?;
    if program == "cargo" {
        // `cargo run [--release] -- NAME`: what comes before the dashes is cargo's.
        words.next_if_eq(&"run")?;
        words.find(|word| *word == "--")?;
    } else if program.rsplit('/').next() != Some("redrive") {
        return None;
    }
    let command = words
        .next_if(|word| word.chars().all(|letter| letter.is_ascii_lowercase()))
        .map(str::to_owned);
    let flags = words
        .filter(|word| word.starts_with("--"))
        .map(|word| word.split('=').next().unwrap_or(word).to_owned())
        .collect();
    Some(Use { command, flags })
}

/// `NAME=value` before a program.
fn is_variable(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name
                .chars()
                .all(|letter| letter.is_ascii_uppercase() || letter == '_')
    })
}

/// Whether a help page has a line for this command.
fn lists_command(help: &str, command: &str) -> bool {
    help.lines()
        .any(|line| line.starts_with(' ') && line.split_whitespace().next() == Some(command))
}

/// Whether a help page names a flag, whole: `--listen` is not in `--listen-backlog`.
fn has_word(help: &str, flag: &str) -> bool {
    help.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'))
        .any(|word| word == flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "A proxy.\n\nCommands:\n  run    proxies\n  check  validates\n\nOptions:\n      --upstream <URL>\n";

    #[track_caller]
    fn check(markdown: &str, expected: &[&str]) {
        let help = |command: Option<&str>| match command {
            None => HELP.to_owned(),
            Some("check") => "      --print-all  prints\n".to_owned(),
            Some(_) => "      --listen <ADDR>\n".to_owned(),
        };

        let found = faults(&uses(markdown), help);

        assert_eq!(found, expected, "in {markdown}");
    }

    #[test]
    fn a_command_that_the_help_does_not_list_is_a_fault() {
        check("`redrive run` and `redrive check`", &[]);
        check(
            "Try `redrive fly`.",
            &["README.md names the command `fly`, which --help does not list"],
        );
    }

    #[test]
    fn a_word_of_a_description_is_no_command() {
        check(
            "`redrive proxies`",
            &["README.md names the command `proxies`, which --help does not list"],
        );
    }

    #[test]
    fn a_flag_that_its_command_s_help_does_not_list_is_a_fault() {
        check("`redrive run --listen 127.0.0.1:1`", &[]);
        check(
            "`redrive run --lisp`",
            &["README.md gives `run` the flag `--lisp`, which its --help does not list"],
        );
    }

    #[test]
    fn a_flag_is_compared_whole() {
        check(
            "`redrive check --print`",
            &["README.md gives `check` the flag `--print`, which its --help does not list"],
        );
    }

    #[test]
    fn a_flag_without_a_command_belongs_to_the_program() {
        check("`redrive --upstream https://a.example`", &[]);
        check(
            "`redrive --downstream=x`",
            &["README.md gives `redrive` the flag `--downstream`, which its --help does not list"],
        );
    }

    #[test]
    fn code_blocks_are_read_line_by_line() {
        check(
            "```sh\ncargo build --release\n$ REDRIVE_LISTEN=a:1 ./target/release/redrive fly  # up\ncargo run --release -- swim | jq --raw x\n```\n",
            &[
                "README.md names the command `fly`, which --help does not list",
                "README.md names the command `swim`, which --help does not list",
            ],
        );
    }

    #[test]
    fn a_metric_that_nothing_registers_is_a_fault() {
        let markdown =
            "| `redrive_a_total`, `redrive_b` | and ^redrive_(a|c)_total, job:redrive_c:rate5m";

        let found = metric_faults(markdown, &["new(\"redrive_a_total\")", "\"redrive_bytes\""]);

        assert_eq!(
            found,
            ["README.md names the metric `redrive_b`, which nothing registers"]
        );
    }

    #[test]
    fn prose_and_other_programs_are_not_looked_at() {
        check(
            "redrive flies, and `curl --silent` and `redrive_requests_total` do not.",
            &[],
        );
        assert!(uses("redrive flies").is_empty());
    }
}
