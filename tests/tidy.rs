//! The house rules as tests: who may import whom, how long a thing may be, and that the README tells the truth.
//!
//! Each rule is a plain function from source text to a list of faults, so that it can be shown to fail on a few lines of
//! text before it is held against the real tree. The rules stand in `tidy/`: [`source`] reads and parses, [`layers`]
//! holds the table of who stands on whom, [`shape`] the sizes and forbidden words, [`readme`] the commands and flags
//! that the README names, [`security`] the tests that SECURITY.md names. A rule that is in the way of better code is changed here, in the same commit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/readme.rs"]
mod readme;
#[path = "tidy/security.rs"]
mod security;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;

use redrive::retry::Reason;
use source::{Source, Tree};

#[test]
fn every_source_file_imports_only_from_the_layers_below_it() {
    let tree = real_tree();

    none(layers::faults(&tree));
}

#[test]
fn every_source_file_begins_by_saying_what_it_is_for() {
    none(each_production_file(shape::module_doc_faults));
}

#[test]
fn no_source_file_needs_two_nouns_to_describe_it() {
    none(each_production_file(shape::file_length_faults));
}

#[test]
fn no_function_needs_scrolling() {
    none(each_production_file(shape::function_length_faults));
}

#[test]
fn no_stub_or_debugging_aid_is_left_behind() {
    none(each_file(shape::stub_faults));
}

#[test]
fn modules_are_nouns_of_the_domain() {
    none(each_file(shape::name_faults));
}

#[test]
fn no_tracked_text_knows_the_machine_it_was_written_on() {
    let mut faults = Vec::new();
    for path in tracked_files() {
        // What is not UTF-8 is not text, and what is gone was deleted since the index was written.
        if let Ok(text) = fs::read_to_string(root().join(&path)) {
            faults.extend(shape::machine_path_faults(&path, &text));
        }
    }

    none(faults);
}

#[test]
fn every_command_and_flag_in_the_readme_is_in_the_help() {
    let uses = readme::uses(&readme_text());
    assert!(
        uses.iter().any(|used| used.command.is_some()),
        "the README names no command; is its form still `redrive NAME`?"
    );

    none(readme::faults(&uses, help));
}

#[test]
fn every_metric_in_the_readme_is_registered_somewhere() {
    let tree = real_tree();
    let sources: Vec<&str> = tree.files().map(|file| file.text.as_str()).collect();

    none(readme::metric_faults(&readme_text(), &sources));
}

#[test]
fn every_reason_has_its_row_in_the_readme() {
    let text = readme_text();
    let missing = Reason::ALL
        .iter()
        .map(|reason| reason.as_str())
        .filter(|word| !text.contains(&format!("\n| `{word}` | ")));

    none(
        missing
            .map(|word| format!("README.md has no row for the reason `{word}`"))
            .collect(),
    );
}

#[test]
fn every_test_that_security_md_names_exists() {
    let text = fs::read_to_string(root().join("SECURITY.md")).expect("it stands at the root");
    let tests = sources(&root().join("tests"));
    let tree = real_tree();
    let sources: Vec<&str> = tree
        .files()
        .chain(&tests)
        .map(|it| it.text.as_str())
        .collect();

    let faults = security::faults(&text, &sources);

    assert!(text.contains("| tests |"), "is the table still there?");
    none(faults);
}

fn readme_text() -> String {
    fs::read_to_string(root().join("README.md")).expect("README.md stands at the root")
}

/// What `redrive [COMMAND] --help` prints.
fn help(command: Option<&str>) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_redrive"))
        .args(command)
        .arg("--help")
        .output()
        .expect("the binary under test runs");
    String::from_utf8(output.stdout).expect("help is UTF-8")
}

fn each_file(rule: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    let benches = sources(&root().join("benches"));
    real_tree().files().chain(&benches).flat_map(rule).collect()
}

fn each_production_file(rule: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    let tree = real_tree();
    let benches = sources(&root().join("benches"));
    let files = tree.production_files().chain(&benches);
    files.flat_map(rule).collect()
}

/// The crate's own sources.
fn real_tree() -> Tree {
    Tree::new(sources(&root().join("src")))
}

/// The source files below `dir`.
fn sources(dir: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    for path in walk(dir) {
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is readable UTF-8");
            files.push(Source::parse(&relative(dir, &path), &text));
        }
    }
    assert!(!files.is_empty(), "there are sources to look at");
    files
}

/// Every file that git tracks or would track; where there is no git (an unpacked archive), every file but build products.
fn tracked_files() -> Vec<String> {
    let git = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    match git {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect(),
        _ => walk(root())
            .iter()
            .map(|path| relative(root(), path))
            .collect(),
    }
}

/// Every file below `dir`, in the order of their names; `target` and `.git` are nobody's prose.
fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).expect("a directory of the tree is readable") {
            let path = entry.expect("a directory entry is readable").path();
            if path.is_dir() {
                if !path.ends_with("target") && !path.ends_with(".git") {
                    pending.push(path);
                }
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn relative(base: &Path, path: &Path) -> String {
    let below = path
        .strip_prefix(base)
        .expect("the walk stays below its base");
    below.to_string_lossy().replace('\\', "/")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n  {}\n", faults.join("\n  "));
}
