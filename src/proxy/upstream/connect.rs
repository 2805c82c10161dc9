//! Makes connections to one upstream: name, TCP, TLS; and says which of them failed.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::Service;

use super::offer::{HTTP1, HTTP2, Offer};
use super::wire::Transport;
use super::{Params, distrust};
use crate::dns::{Resolver, Unresolved};
use crate::retry::classify::{Fault, FaultKind, Sent};
use crate::tcp::SharedTcp;
use crate::tls::{self, Expiry, Reloading};

/// Why an upstream's connections can never be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// What it needs is missing or unreadable.
    #[error(transparent)]
    Files(#[from] tls::Error),
    /// The name to expect is not a name.
    #[error("{0:?} is no name that a certificate can carry")]
    Name(String),
}

/// What handshakes are made with; read again when its files change.
pub(super) type Tls = Reloading<Handshakes>;

/// What handshakes are made with, by what they offer.
pub(super) struct Handshakes {
    both: TlsConnector,
    http1: TlsConnector,
}

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    uri: Uri,
    tcp: HttpConnector<Resolver>,
    tls: Option<(Arc<Tls>, ServerName<'static>)>,
}

impl Connector {
    /// Reads what TLS needs.
    pub(super) fn new(
        params: &Params,
        resolver: Resolver,
        expiry: &Expiry,
    ) -> Result<Self, TlsError> {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let uri = Uri::builder()
            .scheme(params.scheme.clone())
            .authority(params.authority.clone())
            .path_and_query("/")
            .build()
            .expect("scheme, authority and path make a URI");
        let tls = if params.scheme == Scheme::HTTPS {
            Some(secured(params, expiry)?)
        } else {
            None
        };
        Ok(Self { uri, tcp, tls })
    }

    /// Whether an upstream has a say in which protocol is spoken.
    pub(super) fn negotiates(&self) -> bool {
        self.tls.is_some()
    }

    /// What handshakes are made with, if any are.
    pub(super) fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.as_ref().map(|(tls, _)| Arc::clone(tls))
    }

    /// A new connection, or what prevented it, within `limit`. Nothing of any request was sent either way.
    pub(super) async fn connect(&self, offer: Offer, limit: Duration) -> Result<Transport, Fault> {
        tokio::time::timeout(limit, self.dial(offer))
            .await
            .unwrap_or(Err(FaultKind::ConnectTimeout))
            .map_err(|kind| Fault {
                kind,
                sent: Sent::Nothing,
            })
    }

    async fn dial(&self, offer: Offer) -> Result<Transport, FaultKind> {
        let mut tcp = self.tcp.clone();
        std::future::poll_fn(|cx| tcp.poll_ready(cx))
            .await
            .map_err(|_| FaultKind::Refused)?;
        let stream: TokioIo<TcpStream> = tcp.call(self.uri.clone()).await.map_err(|error| {
            let error = &error as &dyn std::error::Error;
            let kind = why_unconnected(error);
            if kind == FaultKind::Dns {
                tracing::warn!(upstream = %self.uri, error, "the upstream's name does not resolve");
            } else {
                tracing::debug!(error, "connect failed");
            }
            kind
        })?;
        let shared = SharedTcp::new(stream.into_inner());
        let transport = match &self.tls {
            None => Transport::Plain(shared),
            Some((tls, name)) => {
                let handshakes = tls.load();
                let connector = match offer {
                    Offer::Both => &handshakes.both,
                    Offer::Http1 => &handshakes.http1,
                };
                let connecting = connector.connect(name.clone(), shared);
                let stream = connecting.await.map_err(|error| {
                    let kind = distrust::kind(&error);
                    tracing::warn!(
                        upstream = %self.uri,
                        because = kind.describe(),
                        %error,
                        "TLS handshake with the upstream failed"
                    );
                    kind
                })?;
                Transport::Tls(Box::new(stream))
            }
        };
        Ok(transport)
    }
}

/// Why no connection came about. A name may go unresolved, too, for want of a descriptor.
fn why_unconnected(error: &(dyn std::error::Error + 'static)) -> FaultKind {
    let mut kind = if Unresolved::is_behind(error) {
        FaultKind::Dns
    } else {
        FaultKind::Refused
    };
    let mut cause = Some(error);
    while let Some(error) = cause {
        let errno = error.downcast_ref().and_then(Errno::from_io_error);
        if matches!(errno, Some(Errno::MFILE | Errno::NFILE)) {
            kind = FaultKind::NoDescriptor;
        }
        cause = error.source();
    }
    kind
}

fn secured(params: &Params, expiry: &Expiry) -> Result<(Arc<Tls>, ServerName<'static>), TlsError> {
    let name = params.tls.server_name.clone();
    let name = name.unwrap_or_else(|| params.authority.host().trim_matches(['[', ']']).to_owned());
    let name = ServerName::try_from(name.clone()).map_err(|_| TlsError::Name(name))?;
    let tls = params.tls.read(expiry, |config| {
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        Handshakes {
            both: offering(&[HTTP2, HTTP1]),
            http1: offering(&[HTTP1]),
        }
    })?;
    Ok((Arc::new(tls), name))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[track_caller]
    fn check(error: &(dyn std::error::Error + 'static), kind: FaultKind) {
        assert_eq!(why_unconnected(error), kind, "{error:?}");
    }

    #[test]
    fn a_lack_of_descriptors_is_not_the_upstreams_fault() {
        let system = |errno: Errno| io::Error::from(errno);
        let unresolved = |cause: io::Error| Unresolved(Box::new(cause));

        check(&system(Errno::CONNREFUSED), FaultKind::Refused);
        check(&unresolved(io::Error::other("unknown")), FaultKind::Dns);
        for errno in [Errno::MFILE, Errno::NFILE] {
            check(&system(errno), FaultKind::NoDescriptor);
            check(&unresolved(system(errno)), FaultKind::NoDescriptor);
        }
    }
}
