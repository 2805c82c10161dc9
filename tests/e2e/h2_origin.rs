//! An upstream that speaks HTTP/2 over TLS: one that a script answers, and one whose frames the test reads and writes itself.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::frames::{self, Frame};
use crate::support::{Authority, Files, Peer, Sidecar, in_time};

/// One connection to an upstream.
pub(crate) type Secured = Peer<TlsStream<TcpStream>>;

/// A port with a certificate, and the file that makes redrive trust it.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) addr: SocketAddr,
    /// Who vouches for it.
    pub(crate) authority: Authority,
    acceptor: TlsAcceptor,
    files: Files,
}

impl Door {
    /// Takes the first of these protocols (ALPN) that is offered.
    pub(crate) async fn new(protocols: &[&[u8]]) -> Self {
        Self::asking(protocols, None).await
    }

    /// The same, asking clients for a certificate of this authority, if there is one.
    pub(crate) async fn asking(protocols: &[&[u8]], clients: Option<&Authority>) -> Self {
        let authority = Authority::new();
        let issued = authority.issue("127.0.0.1");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let roots = Arc::new(clients.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let mut config = builder
            .with_single_cert(issued.chain(), issued.secret())
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            addr: listener.local_addr().unwrap(),
            listener,
            authority,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            files: Files::new(),
        }
    }

    /// The next connection, before its handshake.
    pub(crate) async fn accept_tcp(&self) -> TcpStream {
        let (stream, _) = in_time("a connection", self.listener.accept())
            .await
            .unwrap();
        stream
    }

    /// The next connection, whose handshake has begun: what the other side trusts is settled from its first byte on.
    pub(crate) async fn accept_begun(&self) -> TcpStream {
        let stream = self.accept_tcp().await;
        let began = in_time("a handshake", stream.peek(&mut [0])).await;
        assert_eq!(began.unwrap(), 1, "the other side left");
        stream
    }

    /// Whether a connection waits to be accepted.
    pub(crate) async fn is_asked(&self) -> bool {
        tokio::select! {
            biased;
            _ = self.listener.accept() => true,
            () = tokio::task::yield_now() => false,
        }
    }

    /// The next connection, and the protocol that it speaks.
    pub(crate) async fn accept(&self) -> (Secured, Vec<u8>) {
        let stream = self.accept_tcp().await;
        self.secure(stream).await
    }

    async fn secure(&self, stream: TcpStream) -> (Secured, Vec<u8>) {
        let stream = in_time("a handshake", self.acceptor.accept(stream)).await;
        let stream = stream.unwrap();
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        (Peer { stream }, protocol.unwrap_or_default())
    }

    /// Whether the next connection fails in its handshake.
    pub(crate) async fn refuses(&self) -> bool {
        let stream = self.accept_tcp().await;
        let stream = in_time("a handshake", self.acceptor.accept(stream)).await;
        // In TLS 1.3 the other side may turn down our certificate after our end of the handshake.
        match stream {
            Ok(mut stream) => in_time("an alert", stream.read_u8()).await.is_err(),
            Err(_) => true,
        }
    }

    /// The next connection, as frames: the client's preface is read and our settings sent.
    pub(crate) async fn accept_frames(&self, settings: &[(u16, u32)]) -> Secured {
        let stream = self.accept_tcp().await;
        self.greet(stream, settings).await
    }

    /// The same for a connection that was accepted already.
    pub(crate) async fn greet(&self, stream: TcpStream, settings: &[(u16, u32)]) -> Secured {
        let (mut peer, protocol) = self.secure(stream).await;
        assert_eq!(protocol, b"h2");
        assert_eq!(peer.read(frames::PREFACE.len()).await, frames::PREFACE);
        peer.write(Frame::settings(settings).bytes()).await;
        peer
    }

    /// Redrive before it, with this configuration.
    pub(crate) async fn sidecar(&self, toml: &str) -> Sidecar {
        let ca = self.trust(&self.authority);
        let port = self.addr.port();
        let toml = format!(
            "upstream = \"https://127.0.0.1:{port}\"\n{toml}\n[tls.upstream]\nca_file = \"{ca}\"\n"
        );
        Sidecar::configured(&toml, &[]).await
    }

    /// Makes redrive trust this authority alone, once it reads its files.
    pub(crate) fn trust(&self, authority: &Authority) -> String {
        self.files.write("ca.pem", &authority.pem())
    }
}

/// The next frame of this kind.
pub(crate) async fn next(peer: &mut Secured, kind: u8) -> Frame {
    in_time("a frame", async {
        loop {
            let frame = frames::read(&mut peer.stream)
                .await
                .expect("a frame before the end");
            if frame.kind == kind {
                return frame;
            }
        }
    })
    .await
}

/// A request as an HTTP/2 origin sees it.
pub(crate) struct Call {
    /// How many came before it.
    pub(crate) index: usize,
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
}

type Handling = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An HTTP/2 origin; every request goes to the script.
pub(crate) struct Origin {
    pub(crate) door: Arc<Door>,
    connections: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Origin {
    /// One that takes so many streams a connection.
    pub(crate) async fn new<F>(
        streams: u32,
        script: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let door = Arc::new(Door::new(&[b"h2", b"http/1.1"]).await);
        let (connections, calls) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let script: Arc<dyn Fn(Call) -> Handling + Send + Sync> =
            Arc::new(move |call| Box::pin(script(call)));
        let mut tasks = JoinSet::new();
        let (listening, accepted, called) = (
            Arc::clone(&door),
            Arc::clone(&connections),
            Arc::clone(&calls),
        );
        tasks.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listening.listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                let (listening, script, called) = (
                    Arc::clone(&listening),
                    Arc::clone(&script),
                    Arc::clone(&called),
                );
                served.spawn(async move {
                    let stream = listening.acceptor.accept(stream).await.unwrap();
                    let mut builder = h2::server::Builder::new();
                    let mut connection = builder
                        .max_concurrent_streams(streams)
                        .handshake(stream)
                        .await
                        .unwrap();
                    let mut handling = JoinSet::new();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        let index = called.fetch_add(1, Ordering::SeqCst);
                        handling.spawn(script(Call {
                            index,
                            request,
                            respond,
                        }));
                    }
                });
            }
        });
        Self {
            door,
            connections,
            calls,
            _tasks: tasks,
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Call {
    /// The whole body, with what it ends in.
    pub(crate) async fn body(&mut self) -> (Vec<u8>, Option<HeaderMap>) {
        let body = self.request.body_mut();
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            let Ok(data) = data else { break };
            bytes.extend_from_slice(&data);
            let _gone = body.flow_control().release_capacity(data.len());
        }
        (bytes, body.trailers().await.ok().flatten())
    }

    pub(crate) fn answer(&mut self, status: u16, headers: &[(&str, &str)], body: Vec<u8>) {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(()).unwrap();
        // Whoever asked may be gone.
        if let Ok(mut stream) = self.respond.send_response(response, false) {
            let _gone = stream.send_data(body.into(), true);
        }
    }
}
