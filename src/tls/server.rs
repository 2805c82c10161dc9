//! TLS towards clients (`[tls.listen]`).

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::files::{self, Contents, File, Holds};
use super::{Error, Expiry, Reloading, provider};

/// TLS towards clients (`[tls.listen]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerParams {
    /// The PEM chain shown to clients.
    pub cert: PathBuf,
    /// The PEM key that belongs to it.
    pub key: PathBuf,
    /// PEM roots that clients' certificates must come from; `None`: nobody is asked for one.
    pub client_ca: Option<PathBuf>,
}

impl ServerParams {
    /// Reads the files; `expiry` is told when the certificate expires.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn read(&self, expiry: Expiry) -> Result<Reloading<ServerConfig>, Error> {
        let asks = self.client_ca.is_some();
        Reloading::new(self.files(), move |held| {
            let config = config(held, asks)?;
            expiry.note(&held.identity(CERT, KEY)?.0);
            Ok(config)
        })
    }

    /// Everything that is wrong with the files now.
    pub fn faults(&self) -> Vec<Error> {
        let asks = self.client_ca.is_some();
        files::faults(&self.files(), |held| config(held, asks))
    }

    fn files(&self) -> Vec<File> {
        let mut files = vec![
            File::new(CERT, &self.cert, Holds::Chain),
            File::new(KEY, &self.key, Holds::Key),
        ];
        let roots = self.client_ca.iter();
        files.extend(roots.map(|path| File::new(CLIENT_CA, path, Holds::Roots)));
        files
    }
}

fn config(held: &Contents, asks: bool) -> Result<ServerConfig, Error> {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?; // 1.2 and 1.3
    let builder = if asks {
        let roots = Arc::new(held.roots(CLIENT_CA)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|source| Error::Verifier {
                key: CLIENT_CA,
                path: held.path(CLIENT_CA),
                source,
            })?;
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let (chain, secret) = held.identity(CERT, KEY)?;
    let mut config = builder
        .with_single_cert(chain, secret)
        .map_err(|source| held.blame(KEY, source))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

const CERT: &str = "tls.listen.cert";
const KEY: &str = "tls.listen.key";
const CLIENT_CA: &str = "tls.listen.client_ca";
