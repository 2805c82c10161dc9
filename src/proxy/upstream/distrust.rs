//! Why a TLS handshake with the upstream failed, as one of the words that its client, the log and the classes know.

use std::io;

use rustls::{CertificateError, Error};

use crate::retry::classify::{Distrust, FaultKind};

/// What the handshake's error means.
pub(super) fn kind(error: &io::Error) -> FaultKind {
    let cause = error.get_ref().and_then(|it| it.downcast_ref::<Error>());
    match cause {
        Some(Error::InvalidCertificate(error)) => FaultKind::Certificate(distrust(error)),
        Some(Error::AlertReceived(_)) => FaultKind::TlsAlert,
        _ => FaultKind::Tls,
    }
}

/// Whether the peer broke off TLS with an alert.
pub(super) fn is_alert(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|it| it.downcast_ref::<Error>());
    matches!(cause, Some(Error::AlertReceived(_)))
}

fn distrust(error: &CertificateError) -> Distrust {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Distrust::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Distrust::NotYetValid
        }
        // An authority that has a new key and its old name, or one that borrows the name: either way not the one that is trusted.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Distrust::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Distrust::OtherName
        }
        CertificateError::Revoked => Distrust::Revoked,
        _ => Distrust::Unusable,
    }
}
