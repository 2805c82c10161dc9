//! Something that is made of files, and made again when they change.
//!
//! Files are compared by content and not by time: a symlink that is swapped under them (as Kubernetes does with `..data`), a
//! copy that keeps the old time and a rename all come out the same. Whatever cannot be read or does not fit together leaves
//! the last good one in use, and says so once for each change.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::Error;
use super::files::{Contents, File};

/// Something that is made of files, the latest good one.
pub struct Reloading<T> {
    current: ArcSwap<T>,
    /// What was found last, good or not, so that it is judged once.
    seen: Mutex<Result<Contents, String>>,
    files: Vec<File>,
    build: Box<Build<T>>,
}

type Build<T> = dyn Fn(&Contents) -> Result<T, Error> + Send + Sync;

/// What came of reading the files again, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reloaded {
    /// They hold what they held.
    Same,
    /// The new ones are in use.
    New,
    /// The old ones stay in use: the new ones cannot be used.
    Kept,
}

impl<T> Reloading<T> {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(super) fn new(
        files: Vec<File>,
        build: impl Fn(&Contents) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let held = Contents::read(&files)?;
        let first = build(&held)?;
        Ok(Self {
            current: ArcSwap::from_pointee(first),
            seen: Mutex::new(Ok(held)),
            files,
            build: Box::new(build),
        })
    }

    /// What to use now.
    pub fn load(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Whether there is any file to read again.
    pub fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Reads the files again; blocks for as long as that takes.
    pub fn reload(&self) -> Reloaded {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = || {
            let keys: Vec<&str> = self.files.iter().map(|file| file.key).collect();
            keys.join(", ")
        };
        let kept = |error: &Error| {
            let error = error as &dyn std::error::Error;
            tracing::warn!(
                files = keys(),
                error,
                "changed files cannot be used: the old ones stay"
            );
            Reloaded::Kept
        };
        let held = match Contents::read(&self.files) {
            Ok(held) => held,
            Err(error) => {
                let found = Err(format!("{error:?}"));
                if *seen == found {
                    return Reloaded::Same;
                }
                *seen = found;
                return kept(&error);
            }
        };
        if seen.as_ref() == Ok(&held) {
            return Reloaded::Same;
        }
        let outcome = match (self.build)(&held) {
            Ok(new) => {
                self.current.store(Arc::new(new));
                tracing::info!(files = keys(), "changed files are in use");
                Reloaded::New
            }
            Err(error) => kept(&error),
        };
        *seen = Ok(held);
        outcome
    }
}
