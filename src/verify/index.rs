//! The index: where the stack says that each case is.
//!
//! A URL names one API, and the cases are on several: the stack's first API has an index with the addresses of all. Every
//! address there is asked, so the index is taken only from the address that the user gave, and keeps to its scheme: it leads
//! from https nowhere else.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;

use super::Error;
use super::address::{Address, NoAddress};
use super::case::{CASES, Case};
use super::probe::Prober;

/// Where every case is.
#[derive(Debug)]
pub(super) struct Index(BTreeMap<String, Place>);

/// Where one case is.
#[derive(Debug)]
pub(super) struct Place {
    /// Its address.
    pub(super) at: Address,
    /// What goes into `x-api-key`, where it wants one.
    pub(super) key: Option<String>,
}

/// Why an answer is not the stack's index.
#[derive(Debug, thiserror::Error)]
pub enum NotTheStack {
    /// No index there.
    #[error("GET {path} is answered {status}")]
    Status {
        /// What was asked.
        path: String,
        /// What came back.
        status: StatusCode,
    },
    /// Something else there.
    #[error("GET {path} is answered by something that is no index of cases")]
    Unreadable {
        /// What was asked.
        path: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The stack of another release.
    #[error("its index has version {found}, and this redrive knows version {VERSION}")]
    Version {
        /// The index's version.
        found: u64,
    },
    /// A case is where no request can go.
    #[error("its index gives {case:?} the address {at:?}")]
    Address {
        /// The case.
        case: String,
        /// What stands there.
        at: String,
    },
    /// Nothing to ask.
    #[error("its index names no case that this redrive knows")]
    NoCases,
}

/// The index as the stack writes it.
#[derive(Deserialize)]
struct Written {
    redrive_verify: u64,
    cases: BTreeMap<String, WrittenPlace>,
}

#[derive(Deserialize)]
struct WrittenPlace {
    /// A path below the index's own API, or a whole address.
    at: String,
    key: Option<String>,
}

impl Index {
    /// Asks the stack for its index.
    ///
    /// # Errors
    /// When nobody answers, or it is no index.
    pub(super) async fn ask(prober: &Prober, url: &Address) -> Result<Self, Error> {
        let at = url.below(PATH);
        let answer = prober.site(&at)?.get(&at.path).await;
        let (status, body) = answer.map_err(|fault| Error::Unreachable {
            url: url.clone(),
            because: fault.kind.describe(),
        })?;
        read(url, &at.path, status, &body).map_err(|source| Error::NotTheStack {
            url: url.clone(),
            source,
        })
    }

    /// Where the case is, if the stack has it.
    pub(super) fn place(&self, case: &Case) -> Option<&Place> {
        self.0.get(case.name)
    }

    /// The cases that this redrive does not know, fit for a terminal: the stack is of a later one.
    pub(super) fn unknown(&self) -> Vec<String> {
        let known = |name: &String| CASES.iter().any(|case| case.name == name);
        let unknown = self.0.keys().filter(|name| !known(name));
        unknown
            .map(|name| name.escape_debug().to_string())
            .collect()
    }
}

fn read(url: &Address, path: &str, status: StatusCode, body: &[u8]) -> Result<Index, NotTheStack> {
    if status != StatusCode::OK {
        let path = path.to_owned();
        return Err(NotTheStack::Status { path, status });
    }
    let written: Written =
        serde_json::from_slice(body).map_err(|source| NotTheStack::Unreadable {
            path: path.to_owned(),
            source,
        })?;
    if written.redrive_verify != VERSION {
        return Err(NotTheStack::Version {
            found: written.redrive_verify,
        });
    }
    let mut places = BTreeMap::new();
    for (case, WrittenPlace { at, key }) in written.cases.into_iter().take(CASES_MAX) {
        match resolved(url, &at) {
            Ok(at) => places.insert(case, Place { at, key }),
            Err(NoAddress) => return Err(NotTheStack::Address { case, at }),
        };
    }
    if !CASES.iter().any(|case| places.contains_key(case.name)) {
        return Err(NotTheStack::NoCases);
    }
    Ok(Index(places))
}

/// A path is below the API that the index is of. An address keeps to the scheme that the user gave.
fn resolved(url: &Address, at: &str) -> Result<Address, NoAddress> {
    if at.starts_with('/') {
        // Through the same eyes, so that a path, too, has no query and no blank in it.
        return format!("{}{at}", url.below("")).parse();
    }
    let address: Address = at.parse()?;
    if address.scheme == url.scheme {
        Ok(address)
    } else {
        Err(NoAddress)
    }
}

/// Where the index is below the stack's URL.
const PATH: &str = "/index";
/// The index's version. A case more is none; one that means something else is.
const VERSION: u64 = 1;
/// The most entries that are looked at; the stack has about thirty.
const CASES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(body: &str) -> Result<Index, String> {
        let url: Address = "https://a.example/stage".parse().unwrap();
        read(&url, "/stage/index", StatusCode::OK, body.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_path_is_below_the_api_and_an_address_stands_for_itself() {
        let index = reading(
            r#"{"redrive_verify":1,"cases":{"rest-ok":{"at":"/ok"},"http-ok":{"at":"https://b.example/x/y","key":"k"},"n\u001bew":{"at":"/new"}}}"#,
        )
        .unwrap();
        let places: Vec<String> = index.0.values().map(|it| it.at.to_string()).collect();

        assert_eq!(
            places,
            [
                "https://b.example/x/y",
                "https://a.example/stage/new",
                "https://a.example/stage/ok"
            ]
        );
        assert_eq!(index.unknown(), [r"n\u{1b}ew"]);
    }

    #[test]
    fn what_leads_elsewhere_or_nowhere_is_no_index() {
        let with =
            |at: &str| format!(r#"{{"redrive_verify":1,"cases":{{"rest-ok":{{"at":{at:?}}}}}}}"#);
        for at in [
            "http://a.example/",
            "ftp://a.example/",
            "ok",
            "",
            "/a?b",
            "https://u@a.example/",
        ] {
            let error = reading(&with(at)).unwrap_err();
            assert_eq!(
                error,
                format!("its index gives \"rest-ok\" the address {at:?}")
            );
        }
        for (body, said) in [
            (
                "{}",
                "GET /stage/index is answered by something that is no index of cases",
            ),
            (
                r#"{"redrive_verify":2,"cases":{}}"#,
                "its index has version 2, and this redrive knows version 1",
            ),
            (
                r#"{"redrive_verify":1,"cases":{"x":{"at":"/x"}}}"#,
                "its index names no case that this redrive knows",
            ),
        ] {
            assert_eq!(reading(body).unwrap_err(), said);
        }
    }
}
