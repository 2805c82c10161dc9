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
use crate::tls;

/// Where each key that names a file of TLS was written.
pub(super) type Places = BTreeMap<&'static str, Place>;

/// Where the files of TLS are named.
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
        let faults = found.iter().map(|error| self.fault(error)).collect();
        Error::from_faults(faults).map_or(Ok(()), Err)
    }

    fn fault(&self, error: &tls::Error) -> Fault {
        let place = error.key().and_then(|key| self.tls_places.get(key));
        let mut what = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            what = format!("{what}: {error}");
            cause = error.source();
        }
        let expected = match error {
            tls::Error::Unreadable { .. } => "expected a file that redrive may read",
            tls::Error::NoPem { .. } => "expected PEM: -----BEGIN ...",
            tls::Error::Mismatched { .. } => "expected the key that the certificate was made for",
            _ => "expected a certificate that TLS can use",
        };
        Fault::new(place.cloned(), what, expected)
    }
}

const KEYS: [&str; 6] = [
    "tls.listen.cert",
    "tls.listen.key",
    "tls.listen.client_ca",
    "tls.upstream.ca_file",
    "tls.upstream.client_cert",
    "tls.upstream.client_key",
];
