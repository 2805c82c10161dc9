//! The PEM files that a side of TLS needs, read and understood one by one.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Error;

/// What a file should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// A certificate, and those between it and its root.
    Chain,
    /// A private key.
    Key,
    /// Certificates that are trusted.
    Roots,
}

/// A file that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// The configuration's key.
    pub(super) key: &'static str,
    path: PathBuf,
    holds: Holds,
}

/// What the files of one side held at one moment.
#[derive(PartialEq, Eq)]
pub(super) struct Contents(Vec<(File, Vec<u8>)>);

impl File {
    /// The file that is named under `key`.
    pub(super) fn new(key: &'static str, path: &Path, holds: Holds) -> Self {
        Self {
            key,
            path: path.to_owned(),
            holds,
        }
    }

    fn read(&self) -> Result<Vec<u8>, Error> {
        let read = || {
            let mut bytes = Vec::new();
            fs::File::open(&self.path)?
                .take(FILE_BYTES_MAX + 1)
                .read_to_end(&mut bytes)?;
            if bytes.len() as u64 > FILE_BYTES_MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(bytes)
        };
        read().map_err(|source| Error::Unreadable {
            key: self.key,
            path: self.path.clone(),
            source,
        })
    }

    fn certificates(&self, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(bytes)
            .collect::<Result<_, _>>()
            .map_err(|source| self.no_pem("certificate", source))?;
        if certificates.is_empty() {
            return Err(self.no_pem("certificate", pem::Error::NoItemsFound));
        }
        Ok(certificates)
    }

    fn secret(&self, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
        PrivateKeyDer::from_pem_slice(bytes).map_err(|source| self.no_pem("private key", source))
    }

    fn roots(&self, bytes: &[u8]) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(bytes)? {
            roots
                .add(certificate)
                .map_err(|source| self.unusable(source))?;
        }
        Ok(roots)
    }

    fn no_pem(&self, what: &'static str, source: pem::Error) -> Error {
        Error::NoPem {
            key: self.key,
            path: self.path.clone(),
            what,
            source,
        }
    }

    fn unusable(&self, source: rustls::Error) -> Error {
        let (key, path) = (self.key, self.path.clone());
        match source {
            rustls::Error::InconsistentKeys(_) => Error::Mismatched { key, path },
            source => Error::Unusable { key, path, source },
        }
    }

    /// What is wrong with the file, looked at alone.
    fn fault(&self) -> Option<Error> {
        let looked_at = self.read().and_then(|bytes| match self.holds {
            Holds::Chain => self.certificates(&bytes).map(drop),
            Holds::Key => self.secret(&bytes).map(drop),
            Holds::Roots => self.roots(&bytes).map(drop),
        });
        looked_at.err()
    }
}

impl Contents {
    /// Reads all the files.
    ///
    /// # Errors
    /// The first that cannot be read.
    pub(super) fn read(files: &[File]) -> Result<Self, Error> {
        let read = |file: &File| Ok((file.clone(), file.read()?));
        files.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The chain and the secret of these two keys.
    ///
    /// # Errors
    /// Where they are not what their files hold.
    pub(super) fn identity(
        &self,
        chain: &'static str,
        secret: &'static str,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let (file, bytes) = self.of(chain);
        let chain = file.certificates(bytes)?;
        let (file, bytes) = self.of(secret);
        Ok((chain, file.secret(bytes)?))
    }

    /// The roots of this key.
    ///
    /// # Errors
    /// Where its file holds none.
    pub(super) fn roots(&self, key: &'static str) -> Result<RootCertStore, Error> {
        let (file, bytes) = self.of(key);
        file.roots(bytes)
    }

    /// Whose fault it is that rustls refuses what this file holds.
    pub(super) fn blame(&self, key: &'static str, source: rustls::Error) -> Error {
        self.of(key).0.unusable(source)
    }

    /// The path under this key.
    pub(super) fn path(&self, key: &'static str) -> PathBuf {
        self.of(key).0.path.clone()
    }

    fn of(&self, key: &'static str) -> (&File, &[u8]) {
        let entry = self.0.iter().find(|(file, _)| file.key == key);
        let (file, bytes) = entry.expect("a side asks for the files that it named");
        (file, bytes)
    }
}

/// Everything that is wrong with the files: each alone, and what `build` says to all of them where each is fine.
pub(super) fn faults<T>(
    files: &[File],
    build: impl Fn(&Contents) -> Result<T, Error>,
) -> Vec<Error> {
    let mut faults: Vec<Error> = files.iter().filter_map(File::fault).collect();
    if faults.is_empty() {
        faults.extend(Contents::read(files).and_then(|held| build(&held)).err());
    }
    faults
}

/// The largest file that is read: the roots of a whole operating system are a quarter of it.
const FILE_BYTES_MAX: u64 = 1 << 20;
