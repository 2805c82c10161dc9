//! Certificates and keys: what TLS on either side reads from files, and reads again when they change.
//!
//! Both sides are given parameters that name files ([`ServerParams`], [`ClientParams`]) and make of them what rustls
//! needs, as a whole: chain, key and roots are swapped together, so that no handshake sees the new half of a pair with
//! the old one. What is swapped in serves handshakes from then on; connections that exist keep what they began with.
//!
//! Knows neither listeners nor upstreams: a [`Reloading`] is looked at for each handshake, and told when to read again by
//! whoever owns it.

mod client;
mod expiry;
mod files;
mod reload;
mod server;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem;
use rustls::server::VerifierBuilderError;

pub use self::client::ClientParams;
#[cfg(feature = "otlp")]
pub use self::client::{with_no_roots, with_system_roots};
pub use self::expiry::{Expiries, Expiry};
pub use self::reload::{Reloaded, Reloading};
pub use self::server::ServerParams;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or cannot be read.
    #[error("{key} = {path:?} cannot be read")]
    Unreadable {
        /// The configuration's key.
        key: &'static str,
        /// The file named there.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{key} = {path:?} holds no {what} in PEM form")]
    NoPem {
        /// The configuration's key.
        key: &'static str,
        /// The file named there.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Where reading it ended.
        #[source]
        source: pem::Error,
    },
    /// A file holds what it should, and it is of no use.
    #[error("{key} = {path:?} cannot be used")]
    Unusable {
        /// The configuration's key.
        key: &'static str,
        /// The file named there.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// A key that belongs to another certificate.
    #[error("{key} = {path:?} does not belong to the certificate")]
    Mismatched {
        /// The configuration's key.
        key: &'static str,
        /// The file named there.
        path: PathBuf,
    },
    /// Roots of which no verifier of client certificates can be made.
    #[error("{key} = {path:?} cannot be used")]
    Verifier {
        /// The configuration's key.
        key: &'static str,
        /// The file named there.
        path: PathBuf,
        /// What is wrong with them.
        #[source]
        source: VerifierBuilderError,
    },
    /// The pieces are readable, and make no TLS client or server.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

impl Error {
    /// The configuration's key whose file is at fault, where it is one file.
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { key, .. }
            | Self::NoPem { key, .. }
            | Self::Unusable { key, .. }
            | Self::Mismatched { key, .. }
            | Self::Verifier { key, .. } => Some(key),
            Self::Setup(_) => None,
        }
    }
}

/// The one provider of both sides; a second one in the process would panic at the first handshake.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
