//! The corpus: what fuzzing found worth keeping, input by input through the property that it is kept for.
//!
//! [`properties`] says what must hold, `inputs` has a directory for each. `.ci/fuzz` searches for more.

#[expect(unreachable_pub, reason = "the library of tests/fuzz, too")]
mod properties;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// One test a property, which goes through the directory of its name.
macro_rules! properties {
    ($($test:ident: $property:ident,)*) => {
        $(#[test]
        fn $test() {
            go_through(stringify!($property), properties::$property::holds);
        })*

        #[test]
        fn every_directory_of_inputs_has_its_property() {
            let known = [$(stringify!($property)),*].map(|name| inputs().join(name));

            let found: BTreeSet<PathBuf> = entries(&inputs()).into_iter().collect();

            assert_eq!(found, BTreeSet::from(known));
        }
    };
}

properties! {
    an_answers_class_is_the_same_every_time_and_proves_only_what_it_can: classify,
    a_text_is_a_configuration_or_has_faults_that_can_be_shown: config,
    what_is_meant_for_one_hop_does_not_pass_the_filter_and_the_rest_does: filter,
    however_a_stream_is_cut_it_is_read_in_one_way_or_refused: framing,
    a_head_is_refused_or_written_in_one_form: head,
    hints_are_bounded_and_the_same_every_time: hints,
}

/// Holds every input of a directory against its property, and tells all that failed at once.
fn go_through(name: &str, holds: fn(&[u8])) {
    let files = entries(&inputs().join(name));
    assert!(!files.is_empty(), "no input of {name}");

    let failed = files.iter().filter(|file| {
        let bytes = fs::read(file).expect("an input is a readable file");
        catch_unwind(|| holds(&bytes)).is_err()
    });

    let failed: Vec<&PathBuf> = failed.collect();
    assert!(failed.is_empty(), "{name} does not hold: {failed:#?}");
}

/// What stands in a directory, in the order of the names.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("inputs can be listed");
    let paths = entries.map(|entry| entry.expect("an entry is readable").path());
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort();
    paths
}

fn inputs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/inputs")
}
