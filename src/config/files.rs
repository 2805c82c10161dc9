//! Faults of the files that a configuration names: found where they are asked for, and told at the key that names them.
//!
//! Apart from [`load`](super::Config::load), which reads the configuration and nothing else: whoever only asks what an answer
//! means, or whether the sidecar is ready, needs no private key.

use std::collections::BTreeMap;

use http::uri::Scheme;

use super::Loaded;
use super::fault::{Error, Fault};
use super::layer::{Layers, View};
use super::origin::Place;
use crate::proxy::sign::KeyError;
use crate::tls;

/// Where each key that names a file was written.
pub(super) type Places = BTreeMap<&'static str, Place>;

/// Where the files are named.
pub(super) fn places(layers: &Layers) -> Places {
    let top = View::top(layers);
    let places = KEYS.map(|key| Some((key, top.place(&[key])?)));
    places.into_iter().flatten().collect()
}

impl Loaded {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// Every one that is missing, unreadable, or of no use with the others.
    pub fn check_files(&self) -> Result<(), Error> {
        let mut found = Vec::new();
        if let Some(listen) = &self.config.server.tls {
            found.extend(listen.faults());
        }
        let mut upstreams = self.config.proxy.routes.iter().map(|it| &it.upstream);
        // One table holds for all upstreams, and for those alone that are reached over TLS.
        if let Some(upstream) = upstreams.find(|it| it.scheme == Scheme::HTTPS) {
            found.extend(upstream.tls.faults());
        }
        let mut faults: Vec<Fault> = found.iter().map(|error| self.fault(error)).collect();
        if let Err(error) = self.config.proxy.sign.check() {
            let expected = match error {
                KeyError::Unreadable { .. } => UNREADABLE,
                KeyError::Unfit { .. } => "expected a file with the API key and nothing else",
            };
            faults.push(self.told(Some(API_KEY_FILE), &error, expected));
        }
        Error::from_faults(faults).map_or(Ok(()), Err)
    }

    fn fault(&self, error: &tls::Error) -> Fault {
        let expected = match error {
            tls::Error::Unreadable { .. } => UNREADABLE,
            tls::Error::NoPem { .. } => "expected PEM: -----BEGIN ...",
            tls::Error::Mismatched { .. } => "expected the key that the certificate was made for",
            _ => "expected a certificate that TLS can use",
        };
        self.told(error.key(), error, expected)
    }

    /// The fault of this key, with all its causes.
    fn told(&self, key: Option<&str>, error: &dyn std::error::Error, expected: &str) -> Fault {
        let place = key.and_then(|key| self.places.get(key));
        let mut what = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            what = format!("{what}: {error}");
            cause = error.source();
        }
        Fault::new(place.cloned(), what, expected)
    }
}

const UNREADABLE: &str = "expected a file that redrive may read";

const API_KEY_FILE: &str = "sign.api_key_file";

const KEYS: [&str; 7] = [
    API_KEY_FILE,
    "tls.listen.cert",
    "tls.listen.key",
    "tls.listen.client_ca",
    "tls.upstream.ca_file",
    "tls.upstream.client_cert",
    "tls.upstream.client_key",
];
