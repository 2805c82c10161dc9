//! Makes connections to one upstream: name, TCP, TLS; and says which of them failed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::util::{BoxCloneSyncService, ServiceExt};
use tower::{Service, service_fn};

use super::wire::Transport;
use super::{Params, TlsParams};
use crate::retry::classify::{Fault, FaultKind, Sent};
use crate::tcp::SharedTcp;

/// Why an upstream's connections can never be made: what it needs is missing or unreadable.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates or keys is missing or unreadable.
    #[error("{key} = {path:?} cannot be read")]
    File {
        /// The configuration's key.
        key: &'static str,
        /// The file named there.
        path: std::path::PathBuf,
        /// What went wrong.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The pieces are readable and do not make a TLS client.
    #[error("TLS towards the upstream cannot be set up")]
    Setup(#[from] rustls::Error),
    /// The name to expect is not a name.
    #[error("{0:?} is no name that a certificate can carry")]
    Name(String),
}

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    uri: Uri,
    tcp: HttpConnector<Resolver>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

type Resolver = BoxCloneSyncService<Name, Addresses, Unresolved>;
type Addresses = std::vec::IntoIter<std::net::SocketAddr>;

/// The upstream's name did not resolve; kept apart from other failures since hyper-util's error does not tell.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's name does not resolve")]
struct Unresolved(#[source] io::Error);

impl Connector {
    /// Reads what TLS needs, once.
    pub(super) fn new(params: &Params) -> Result<Self, TlsError> {
        let resolver = service_fn(|name: Name| async move {
            let addresses = GaiResolver::new().oneshot(name).await.map_err(Unresolved)?;
            Ok(addresses.collect::<Vec<_>>().into_iter())
        });
        let mut tcp = HttpConnector::new_with_resolver(BoxCloneSyncService::new(resolver));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let uri = Uri::builder()
            .scheme(params.scheme.clone())
            .authority(params.authority.clone())
            .path_and_query("/")
            .build()
            .expect("scheme, authority and path make a URI");
        let tls = if params.scheme == Scheme::HTTPS {
            Some(tls(params)?)
        } else {
            None
        };
        Ok(Self { uri, tcp, tls })
    }

    /// Whether an upstream has a say in which protocol is spoken.
    pub(super) fn negotiates(&self) -> bool {
        self.tls.is_some()
    }

    /// A new connection, or what prevented it, within `limit`. Nothing of any request was sent either way.
    pub(super) async fn connect(&self, limit: Duration) -> Result<(SharedTcp, Transport), Fault> {
        tokio::time::timeout(limit, self.dial())
            .await
            .unwrap_or(Err(FaultKind::ConnectTimeout))
            .map_err(|kind| Fault {
                kind,
                sent: Sent::Nothing,
            })
    }

    async fn dial(&self) -> Result<(SharedTcp, Transport), FaultKind> {
        let mut tcp = self.tcp.clone();
        std::future::poll_fn(|cx| tcp.poll_ready(cx))
            .await
            .map_err(|_| FaultKind::Refused)?;
        let stream: TokioIo<TcpStream> = tcp.call(self.uri.clone()).await.map_err(|error| {
            tracing::debug!(error = &error as &dyn std::error::Error, "connect failed");
            if is_unresolved(&error) {
                FaultKind::Dns
            } else {
                FaultKind::Refused
            }
        })?;
        let shared = SharedTcp::new(stream.into_inner());
        let transport = match &self.tls {
            None => Transport::Plain(shared.clone()),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), shared.clone()).await.map_err(|error| {
                    tracing::warn!(upstream = %self.uri, %error, "TLS handshake with the upstream failed");
                    FaultKind::Tls
                })?;
                Transport::Tls(Box::new(stream))
            }
        };
        Ok((shared, transport))
    }
}

fn is_unresolved(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<Unresolved>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn tls(params: &Params) -> Result<(TlsConnector, ServerName<'static>), TlsError> {
    let TlsParams {
        ca_file,
        client_cert,
        client_key,
        server_name,
    } = &params.tls;
    let builder = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()?;
    let builder = match ca_file {
        None => builder.with_platform_verifier()?,
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("tls.upstream.ca_file", path)? {
                roots.add(certificate)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    let mut config = match (client_cert, client_key) {
        (Some(cert), Some(key)) => {
            let chain = certificates("tls.upstream.client_cert", cert)?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::File {
                key: "tls.upstream.client_key",
                path: key.clone(),
                source,
            })?;
            builder.with_client_auth_cert(chain, secret)?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = server_name
        .clone()
        .unwrap_or_else(|| params.authority.host().trim_matches(['[', ']']).to_owned());
    let name = ServerName::try_from(name.clone()).map_err(|_| TlsError::Name(name))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

fn certificates(
    key: &'static str,
    path: &std::path::Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::File {
        key,
        path: path.to_owned(),
        source,
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    if chain.is_empty() {
        return Err(failed(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(chain)
}
