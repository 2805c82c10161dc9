//! The upstream: always the same answer, at as little cost as possible, since it shares its core with the clients.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Fault;
use super::load::Message;
use super::scenario::Scenario;

/// A running upstream; ends when it is dropped.
pub(crate) struct Origin {
    pub(crate) addr: SocketAddr,
    /// Where its certificate is, if it speaks TLS.
    pub(crate) certificate: Option<PathBuf>,
    _running: JoinSet<()>,
}

impl Origin {
    /// Listens on a free port of loopback, and serves.
    pub(crate) async fn start(scenario: &Scenario, dir: &Path) -> Result<Self, Fault> {
        let (tls, certificate) = if scenario.is_secure {
            let (config, file) = secured(dir)?;
            (Some(TlsAcceptor::from(Arc::new(config))), Some(file))
        } else {
            (None, None)
        };
        Self::listen(tls, certificate, scenario.answer().into()).await
    }

    /// One that takes requests and never answers.
    #[allow(dead_code, reason = "only what waiting requests weigh needs it")]
    pub(crate) async fn silent() -> Result<Self, Fault> {
        Self::listen(None, None, Arc::new([])).await
    }

    async fn listen(
        tls: Option<TlsAcceptor>,
        certificate: Option<PathBuf>,
        answer: Arc<[u8]>,
    ) -> Result<Self, Fault> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let mut running = JoinSet::new();
        running.spawn(serve(listener, tls, answer));
        Ok(Self {
            addr,
            certificate,
            _running: running,
        })
    }
}

/// Serves until it is dropped, which closes every connection.
async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, answer: Arc<[u8]>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // One that cannot be accepted shows as a request without an answer.
                let Ok((stream, _)) = accepted else { continue };
                stream.set_nodelay(true).ok();
                let (tls, answer) = (tls.clone(), Arc::clone(&answer));
                connections.spawn(async move {
                    // A connection ends when its peer wants it to.
                    match tls {
                        None => converse(stream, &answer).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => converse(stream, &answer).await,
                            Err(error) => Err(error.into()),
                        },
                    }
                    .ok();
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers every request of one connection.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &[u8],
) -> Result<(), Fault> {
    let mut message = Message::new();
    while message.read(&mut stream).await? {
        stream.write_all(answer).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// A certificate for loopback, and where it is for those who are to trust it.
fn secured(dir: &Path) -> Result<(ServerConfig, PathBuf), Fault> {
    let made = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()])?;
    let file = dir.join("origin.pem");
    fs::write(&file, made.cert.pem())?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())?;
    Ok((config, file))
}
