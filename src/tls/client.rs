//! TLS towards the upstream (`[tls.upstream]`).

use std::path::PathBuf;

use rustls::ClientConfig;
#[cfg(feature = "otlp")]
use rustls::RootCertStore;
use rustls_platform_verifier::BuilderVerifierExt;

use super::files::{self, Contents, File, Holds};
use super::{Error, Expiry, Reloading, provider};

/// TLS towards the upstream (`[tls.upstream]`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientParams {
    /// PEM roots that replace the system's.
    pub ca_file: Option<PathBuf>,
    /// Our PEM certificate chain, where the upstream asks for one.
    pub client_cert: Option<PathBuf>,
    /// The key that belongs to it.
    pub client_key: Option<PathBuf>,
    /// The name to expect in the certificate, if not the authority's host.
    pub server_name: Option<String>,
}

impl ClientParams {
    /// Reads the files; `expiry` is told when our certificate expires, where there is one. `finish` makes of the
    /// configuration what the caller wants to keep.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn read<T>(
        &self,
        expiry: &Expiry,
        finish: impl Fn(ClientConfig) -> T + Send + Sync + 'static,
    ) -> Result<Reloading<T>, Error> {
        let (params, expiry) = (self.clone(), expiry.clone());
        Reloading::new(self.files(), move |held| {
            let config = params.config(held)?;
            if params.has_identity() {
                expiry.note(&held.identity(CLIENT_CERT, CLIENT_KEY)?.0);
            }
            Ok(finish(config))
        })
    }

    /// Everything that is wrong with the files now.
    pub fn faults(&self) -> Vec<Error> {
        let files = self.files();
        if files.is_empty() {
            return Vec::new(); // whether the system's roots can be read is found out by whoever uses them
        }
        files::faults(&files, |held| self.config(held))
    }

    fn has_identity(&self) -> bool {
        self.client_cert.is_some() && self.client_key.is_some()
    }

    fn files(&self) -> Vec<File> {
        let named = [
            (CA_FILE, &self.ca_file, Holds::Roots),
            (CLIENT_CERT, &self.client_cert, Holds::Chain),
            (CLIENT_KEY, &self.client_key, Holds::Key),
        ];
        let files = named.into_iter();
        files
            .filter_map(|(key, path, holds)| Some(File::new(key, path.as_deref()?, holds)))
            .collect()
    }

    fn config(&self, held: &Contents) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?;
        let builder = match self.ca_file {
            None => builder.with_platform_verifier()?,
            Some(_) => builder.with_root_certificates(held.roots(CA_FILE)?),
        };
        if !self.has_identity() {
            return Ok(builder.with_no_client_auth());
        }
        let (chain, secret) = held.identity(CLIENT_CERT, CLIENT_KEY)?;
        builder
            .with_client_auth_cert(chain, secret)
            .map_err(|source| held.blame(CLIENT_KEY, source))
    }
}

/// TLS towards whoever is no upstream: with the system's roots, and without a certificate of ours.
///
/// # Errors
/// When the system has no roots.
#[cfg(feature = "otlp")]
pub fn with_system_roots() -> Result<ClientConfig, rustls::Error> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}

/// TLS that trusts nobody, for a client that has to have some and never uses it: an image may have no roots at all.
///
/// # Errors
/// When the provider has no usable version of TLS.
#[cfg(feature = "otlp")]
pub fn with_no_roots() -> Result<ClientConfig, rustls::Error> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(RootCertStore::empty());
    Ok(builder.with_no_client_auth())
}

const CA_FILE: &str = "tls.upstream.ca_file";
const CLIENT_CERT: &str = "tls.upstream.client_cert";
const CLIENT_KEY: &str = "tls.upstream.client_key";
