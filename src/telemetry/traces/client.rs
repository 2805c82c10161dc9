//! How the exporter asks the collector: over our own hyper, on the process's runtime.
//!
//! The SDK calls from a thread of its own that has no runtime, so the request is a task, and that thread waits for it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

use super::losses::Losses;
use crate::tls;

type Inner = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The exporter's client.
pub(super) struct Client {
    inner: Inner,
    runtime: Handle,
    losses: Arc<Losses>,
}

impl Client {
    /// A client on the runtime that this is called from; it connects when there is something to send. `uses_tls`: the endpoint
    /// is one of https.
    ///
    /// # Errors
    /// When the system cannot verify the certificate of a collector that is asked over TLS.
    pub(super) fn new(uses_tls: bool, losses: Arc<Losses>) -> Result<Self, rustls::Error> {
        let tls = if uses_tls {
            tls::with_system_roots()?
        } else {
            tls::with_no_roots()?
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self {
            inner,
            runtime: Handle::current(),
            losses,
        })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.runtime.spawn(exchange(self.inner.clone(), request));
        let answer = answer.await?;
        match &answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self
                .losses
                .note(format_args!("answered {}", answer.status())),
            Err(error) => self.losses.note(Chain(&**error)),
        }
        answer
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// One exchange, on the runtime: its limit of time needs one, too.
async fn exchange(client: Inner, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let exchange = async {
        let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    let answer = tokio::time::timeout(ANSWER_MAX, exchange).await;
    answer.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_MAX:?}").into()))
}

/// An error with everything that it says about its cause.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// How long a collector has for a batch; what it has not taken by then is lost. OpenTelemetry's own default.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What is read of a collector's answer: it says which spans it refused, in a sentence. More fails the batch.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A connection that is not used for this long is closed: longer than the pause between two batches.
const IDLE_MAX: Duration = Duration::from_secs(30);
