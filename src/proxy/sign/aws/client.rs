//! How the chain asks whoever has credentials: over our own hyper and rustls, with limits.

use std::fmt;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector as Connector, HttpConnectorFuture, HttpConnectorSettings,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::tls;

/// The chain's client; every clone is the same one.
#[derive(Clone)]
pub(super) struct Client {
    inner: legacy::Client<HttpsConnector<HttpConnector>, SdkBody>,
    answer: Duration,
}

impl Client {
    /// A client that connects when there is something to ask.
    pub(super) fn new() -> Self {
        // A machine or a container is asked in the clear, so that an image without roots is enough for it.
        let tls = tls::with_system_roots().or_else(|error| {
            tracing::debug!(%error, "no credentials can be had over TLS: there are no roots");
            tls::with_no_roots()
        });
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_MAX));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.expect("the provider has a usable version of TLS"))
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Self {
            inner,
            answer: ANSWER_MAX,
        }
    }
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let answer = settings.read_timeout().unwrap_or(ANSWER_MAX);
        SharedHttpConnector::new(Self {
            answer: answer.min(ANSWER_MAX),
            ..self.clone()
        })
    }
}

impl Connector for Client {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.clone();
        HttpConnectorFuture::new(async move {
            let limit = client.answer;
            let answer = tokio::time::timeout(limit, client.exchange(request)).await;
            answer.unwrap_or_else(|late| Err(ConnectorError::timeout(late.into())))
        })
    }
}

impl Client {
    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request
            .try_into_http1x()
            .map_err(|error| ConnectorError::user(error.into()))?;
        let answer = self.inner.request(request).await.map_err(|error| {
            let was_made = !error.is_connect();
            let error = ConnectorError::io(error.into());
            if was_made {
                error
            } else {
                error.never_connected()
            }
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(ConnectorError::io)?;
        let answer = http::Response::from_parts(head, SdkBody::from(body.to_bytes()));
        HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// How long a connection may take: whoever has credentials is near, but for STS, which is in the same region.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long one of the chain may take to answer, connection included; the next one is asked then, or it is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What is read of an answer: credentials are a few kilobytes, most of them the token. More fails it.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
