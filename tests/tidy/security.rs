//! What SECURITY.md says is defended, held against the tests that it names.
//!
//! Looked at are tables whose last column is headed `tests`: each row names at least one, in backticks.

use std::collections::BTreeSet;

/// Every row without a test, and every test that is none in the sources.
pub(crate) fn faults(markdown: &str, sources: &[&str]) -> Vec<String> {
    let known: BTreeSet<&str> = sources.iter().flat_map(|source| tests(source)).collect();
    let mut faults = Vec::new();
    let mut is_looked_at = false;
    for line in markdown.lines() {
        let Some(row) = line.strip_prefix('|').and_then(|it| it.strip_suffix('|')) else {
            is_looked_at = false;
            continue;
        };
        let last = row.rsplit('|').next().unwrap_or_default().trim();
        if last == "tests" {
            is_looked_at = true;
            continue;
        }
        let is_ruler = !last.is_empty() && last.bytes().all(|byte| byte == b'-');
        if !is_looked_at || is_ruler {
            continue;
        }
        // Between the backticks is every second piece.
        let named: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            faults.push(format!("SECURITY.md names no test in: {line}"));
        }
        let unknown = named.iter().filter(|name| !known.contains(*name));
        faults.extend(
            unknown.map(|name| format!("SECURITY.md names the test `{name}`, and there is none")),
        );
    }
    faults
}

/// The names of the tests in a source file.
fn tests(source: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    source.lines().filter_map(move |line| {
        let line = line.trim_start();
        if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            return None;
        }
        if !std::mem::take(&mut is_test) {
            return None;
        }
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ")?.split('(').next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "#[test]\nfn it_holds() {}\nfn it_helps() {}\n\
        #[tokio::test(start_paused = true)]\n#[cfg(unix)]\nasync fn it_waits() {}\n";

    #[track_caller]
    fn check(rows: &str, expected: &[&str]) {
        let markdown = format!("| threat | tests |\n|---|---|\n{rows}\n");

        assert_eq!(faults(&markdown, &[SOURCE]), expected);
    }

    #[test]
    fn a_test_that_exists_may_be_named() {
        check("| a | `it_holds`, `it_waits` |", &[]);
    }

    #[test]
    fn a_name_that_is_no_test_is_a_fault() {
        check(
            "| a | `it_holds`, `it_helps` |",
            &["SECURITY.md names the test `it_helps`, and there is none"],
        );
    }

    #[test]
    fn a_row_without_a_test_is_a_fault() {
        check("| a | |", &["SECURITY.md names no test in: | a | |"]);
    }

    #[test]
    fn other_tables_and_prose_are_not_looked_at() {
        let markdown = "| a | b |\n|---|---|\n| c | `d` |\n\n`e`\n";

        assert!(faults(markdown, &[SOURCE]).is_empty());
    }
}
