//! The API key and the file that holds it: read at the start, and again when it changes.
//!
//! No error holds anything of what stands in the file.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::HeaderValue;

use crate::tls::Reloaded;

/// Why there is no API key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is missing or cannot be read.
    #[error("{KEY} = {path:?} cannot be read")]
    Unreadable {
        /// The file named there.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file holds no key.
    #[error("{KEY} = {path:?} holds no API key")]
    Unfit {
        /// The file named there.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Unfit,
    },
}

/// Why something is no API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// There is too much.
    #[error("it is longer than {KEY_BYTES_MAX} bytes")]
    TooLong,
    /// A byte that no key has.
    #[error("byte {0} is no visible ASCII character")]
    Byte(
        /// Its place, counted from 1.
        usize,
    ),
}

/// A key that is followed in its file.
pub(super) struct Followed {
    path: PathBuf,
    key: ArcSwap<HeaderValue>,
    /// What was found last, a key or what was wrong, so that it is judged once.
    seen: Mutex<Result<HeaderValue, String>>,
}

impl Followed {
    /// Reads the file for the first time.
    pub(super) fn read(path: &Path) -> Result<Self, KeyError> {
        let key = read(path)?;
        Ok(Self {
            path: path.to_owned(),
            key: ArcSwap::from_pointee(key.clone()),
            seen: Mutex::new(Ok(key)),
        })
    }

    /// The latest good key.
    pub(super) fn key(&self) -> HeaderValue {
        HeaderValue::clone(&self.key.load())
    }

    /// Reads the file again. What is no key leaves the last good one in use, and is told once for each change.
    pub(super) fn reload(&self) -> Reloaded {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = read(&self.path);
        let now = found
            .as_ref()
            .map_err(|error| format!("{error:?}"))
            .cloned();
        if *seen == now {
            return Reloaded::Same;
        }
        *seen = now;
        match found {
            Ok(key) => {
                self.key.store(key.into());
                tracing::info!(files = KEY, "changed files are in use");
                Reloaded::New
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    files = KEY,
                    error,
                    "changed files cannot be used: the old ones stay"
                );
                Reloaded::Kept
            }
        }
    }
}

/// Reads the key that stands alone in this file, with or without a line's end behind it.
pub(super) fn read(path: &Path) -> Result<HeaderValue, KeyError> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|source| KeyError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    api_key(text).map_err(|source| KeyError::Unfit {
        path: path.to_owned(),
        source,
    })
}

/// An API key as a header's value that is marked as sensitive: no `Debug` shows it, and HTTP/2 enters it in no table.
///
/// # Errors
/// When it is empty, longer than 1024 bytes, or holds anything but visible ASCII, of which API Gateway's keys are
/// made: a blank or a line's end inside is a mistake in the file, and would be refused by the API without a word why.
pub fn api_key(text: &[u8]) -> Result<HeaderValue, Unfit> {
    if text.is_empty() {
        return Err(Unfit::Empty);
    }
    if text.len() > KEY_BYTES_MAX {
        return Err(Unfit::TooLong);
    }
    if let Some(at) = text.iter().position(|byte| !byte.is_ascii_graphic()) {
        return Err(Unfit::Byte(at + 1));
    }
    let mut key = HeaderValue::from_bytes(text).expect("visible ASCII makes a header's value");
    key.set_sensitive(true);
    Ok(key)
}

/// The configuration's key.
const KEY: &str = "sign.api_key_file";

/// The longest API key: eight times what API Gateway takes (20 to 128 characters).
pub(super) const KEY_BYTES_MAX: usize = 1024;

/// What is read of the file: enough to tell a key that is too long from one with a line's end behind it.
const FILE_BYTES_MAX: u64 = KEY_BYTES_MAX as u64 + 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_and_nothing_else() {
        assert_eq!(api_key(b"aB3-_.~+/=").unwrap(), "aB3-_.~+/=");
        assert_eq!(api_key(b""), Err(Unfit::Empty));
        assert_eq!(api_key(b"a b"), Err(Unfit::Byte(2)));
        assert_eq!(api_key(b"ab\r\nx-evil: 1"), Err(Unfit::Byte(3)));
        assert_eq!(api_key("k\u{e9}y".as_bytes()), Err(Unfit::Byte(2)));
        assert!(api_key(&[b'a'; KEY_BYTES_MAX]).is_ok());
        assert_eq!(api_key(&[b'a'; KEY_BYTES_MAX + 1]), Err(Unfit::TooLong));
    }

    #[test]
    fn one_end_of_line_behind_the_key_is_not_part_of_it_and_no_error_repeats_the_file() {
        let path = std::env::temp_dir().join(format!("redrive-key-{}", std::process::id()));
        let read_back = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read(&path)
        };

        for bytes in [&b"hunter2"[..], b"hunter2\n", b"hunter2\r\n"] {
            assert_eq!(read_back(bytes).unwrap(), "hunter2");
        }
        for bytes in [
            &b"hunter2\n\n"[..],
            b"hunter2 \n",
            b"\nhunter2",
            b"hunter2\0",
        ] {
            let error = read_back(bytes).unwrap_err();

            let printed = format!("{error} {error:?}");
            assert!(!printed.contains("hunter2"), "{printed}");
            assert!(
                printed.contains("redrive-key"),
                "it names the file: {printed}"
            );
        }
        assert!(read_back(&[b'a'; KEY_BYTES_MAX + 20]).is_err());
        fs::remove_file(&path).unwrap();
    }
}
