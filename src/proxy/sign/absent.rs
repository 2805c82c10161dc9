//! What stands for signatures in a redrive without the feature `sigv4`: nobody who could make one.

use std::time::Instant;

use bytes::Bytes;
use http::Request;

use super::Unsigned;

/// There is none: the configuration refuses `sign.region`.
pub(super) enum Signatory {}

/// Nothing of a body is signed.
pub struct Payload;

impl Signatory {
    /// Nobody.
    pub(super) fn new(_region: &str, _service: &str) -> Option<Self> {
        None
    }

    /// Never called.
    pub(super) fn payload(&self, _body: &[Bytes]) -> Payload {
        match *self {}
    }

    /// Never called.
    pub(super) async fn sign(
        &self,
        _request: &mut Request<()>,
        _payload: &Payload,
        _by: Instant,
    ) -> Result<(), Unsigned> {
        match *self {}
    }
}
