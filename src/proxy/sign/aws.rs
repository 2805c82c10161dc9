//! Signatures of AWS (SigV4): with which credentials, and over what.
//!
//! Signed is what the API must check and nobody on the way changes: method, path, query, `host`, `content-type`, the date,
//! the credentials' token and the body's hash. Whatever else a head holds may be added to or left out by proxies.
//! `now` is an argument of what signs; where the credentials come from stands in `aws/chain.rs`, who keeps them fresh in
//! `aws/keeper.rs`.

mod chain;
mod client;
mod keeper;

use std::time::{Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request};
use sha2::{Digest, Sha256};

use self::keeper::Keeper;
use super::Unsigned;
use crate::clock;

/// Who signs.
pub(super) struct Signatory {
    scope: Scope,
    keeper: Keeper,
}

/// The SHA-256 of a body, in hexadecimal digits.
pub struct Payload(String);

/// What a signature is good for.
#[derive(Clone, Debug)]
struct Scope {
    region: String,
    service: String,
}

impl Signatory {
    /// Signs for this region and service, with credentials that are looked for from now on.
    pub(super) fn new(region: &str, service: &str) -> Option<Self> {
        let chain = chain::Chain::new(region);
        let fetch = move || {
            let chain = chain.clone();
            async move { chain.credentials().await }
        };
        Some(Self {
            scope: Scope {
                region: region.to_owned(),
                service: service.to_owned(),
            },
            keeper: Keeper::start(fetch),
        })
    }

    /// The body's hash, which every attempt's signature covers.
    pub(super) fn payload(&self, body: &[Bytes]) -> Payload {
        let mut hash = Sha256::new();
        for piece in body {
            hash.update(piece);
        }
        let hash = hash.finalize();
        Payload(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Signs a request that is about to be sent; waits until `by`, at most, for the first credentials.
    ///
    /// # Errors
    /// When there are no credentials, or the request cannot be signed.
    pub(super) async fn sign<B>(
        &self,
        request: &mut Request<B>,
        payload: &Payload,
        by: Instant,
    ) -> Result<(), Unsigned> {
        let credentials = self.keeper.credentials(by).await.ok_or(Unsigned)?;
        sign(request, payload, &credentials, &self.scope, clock::wall())
    }
}

/// Signs the request as of `now`, in the place of whatever it holds of another signature.
fn sign<B>(
    request: &mut Request<B>,
    payload: &Payload,
    credentials: &Credentials,
    scope: &Scope,
    now: SystemTime,
) -> Result<(), Unsigned> {
    for name in [
        AUTHORIZATION,
        X_AMZ_DATE,
        X_AMZ_SECURITY_TOKEN,
        X_AMZ_CONTENT_SHA256,
    ] {
        request.headers_mut().remove(name);
    }
    let unsigned = |error: &(dyn std::error::Error + 'static)| {
        tracing::warn!(error, "a request cannot be signed");
        Unsigned
    };
    let identity = credentials.clone().into();
    // As they are for every service but S3: the path is normalised, and encoded once more than it was sent.
    let settings = SigningSettings::default();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&scope.region)
        .name(&scope.service)
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| unsigned(&error))?
        .into();
    let signed = request
        .headers()
        .iter()
        .filter(|(name, _)| SIGNED.contains(name));
    // What is no text cannot be signed; it goes up unsigned, but for `host`, without which nothing is.
    let signed = signed.filter_map(|(name, value)| {
        Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?))
    });
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", PathAndQuery::as_str);
    let uri = format!("https://{}{target}", host.ok_or(Unsigned)?);
    let body = SignableBody::Precomputed(payload.0.clone());
    let signable = SignableRequest::new(request.method().as_str(), uri, signed, body);
    let signable = signable.map_err(|error| unsigned(&error))?;
    let signature = http_request::sign(signable, &params).map_err(|error| unsigned(&error))?;
    let (headers, _) = signature.into_parts().0.into_parts();
    for header in headers {
        let mut value = HeaderValue::try_from(header.value()).map_err(|error| unsigned(&error))?;
        value.set_sensitive(header.sensitive());
        request.headers_mut().insert(header.name(), value);
    }
    Ok(())
}

/// What of a head is signed, beside what the signature adds.
const SIGNED: [HeaderName; 2] = [HOST, CONTENT_TYPE];

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// Not needed; but one that says another hash than the body's might be believed.
const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

#[cfg(test)]
mod tests;
