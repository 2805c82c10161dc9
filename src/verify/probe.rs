//! Sends one request as the proxy would, once, and classifies what comes back as the proxy would.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use prometheus::{IntCounter, IntGauge, Registry};

use super::Error;
use super::address::Address;
use super::observation::Seen;
use crate::clock;
use crate::config::{self, Config, Flags, Sources};
use crate::dns::Resolver;
use crate::proxy::body::{BoxError, RequestBody};
use crate::proxy::peek::{BodyHead, Peeked};
use crate::proxy::upstream::{self, AnswerBody, Head, HeaderCase, Tally, Trust, Upstream};
use crate::retry::classify::{Fault, FaultKind, Outcome, Rules, Sent};
use crate::tls::{Expiries, Expiry};

/// What every request has in common.
pub(super) struct Prober {
    defaults: upstream::Params,
    rules: Rules,
    resolver: Resolver,
    expiry: Expiry,
    open: IntGauge,
    uncounted: IntCounter,
}

/// One server, and connections to it that live as long as this.
pub(super) struct Site<'a> {
    prober: &'a Prober,
    upstream: Upstream,
    host: HeaderValue,
}

impl Prober {
    /// Everything as it is where nothing is configured: what the table says is verified, and not what an operator made of it.
    ///
    /// # Errors
    /// When the defaults cannot be used.
    pub(super) fn new() -> Result<Self, Error> {
        let sources = Sources {
            flags: Flags {
                upstream: Some(NO_UPSTREAM.to_owned()),
                ..Flags::default()
            },
            env: BTreeMap::new(),
            read: &config::read_file,
        };
        let config = Config::load(&sources)?.config;
        let mut routes = config.proxy.routes;
        let route = routes.pop().expect("there is always the default route");
        let (open, uncounted) = (
            IntGauge::new("open", "open").expect("a name"),
            IntCounter::new("uncounted", "uncounted").expect("a name"),
        );
        Ok(Self {
            defaults: route.upstream,
            rules: route.retry.rules,
            resolver: Resolver::of_system(),
            // Nobody reads these numbers; the proxy's code wants a place for them.
            expiry: Expiries::register(&Registry::new())
                .expect("a new registry")
                .place(),
            open,
            uncounted,
        })
    }

    /// The server of an address.
    ///
    /// # Errors
    /// When TLS to any server is out of the question.
    pub(super) fn site(&self, at: &Address) -> Result<Site<'_>, Error> {
        let params = upstream::Params {
            scheme: at.scheme.clone(),
            authority: at.authority.clone(),
            base_path: String::new(),
            ..self.defaults.clone()
        };
        let upstream = Upstream::new(
            &params,
            HeaderCase::default(),
            self.open.clone(),
            self.resolver.clone(),
            &self.expiry,
        )?;
        Ok(Site {
            prober: self,
            upstream,
            host: HeaderValue::from_str(at.authority.as_str())
                .expect("an authority is visible ASCII"),
        })
    }
}

impl Site<'_> {
    /// One request, and what the classifier makes of its end.
    pub(super) async fn ask(&self, path: &str, key: Option<&str>) -> Seen {
        let rules = &self.prober.rules;
        match self.attempt(path, key).await {
            Ok(seen) => seen,
            Err(fault) => Seen::nothing(rules.classify(&Outcome::Failed(fault))),
        }
    }

    /// One request, and its whole answer.
    ///
    /// # Errors
    /// When there is none, or only a part of one.
    pub(super) async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), Fault> {
        let (response, _) = self.send(path, None).await?;
        let (head, body) = response.into_parts();
        let whole = Limited::new(body, ANSWER_BYTES_MAX).collect();
        match tokio::time::timeout(BODY_TIME_MAX, whole).await {
            Ok(Ok(body)) => Ok((head.status, body.to_bytes())),
            _ => Err(BROKEN),
        }
    }

    async fn attempt(&self, path: &str, key: Option<&str>) -> Result<Seen, Fault> {
        let rules = &self.prober.rules;
        let (response, elapsed) = self.send(path, key).await?;
        let (head, body) = response.into_parts();
        // The proxy looks at no more than this; a body that is no evidence is shown all the same.
        let is_evidence = rules.wants_body(head.status, &head.headers);
        let ahead = Peeked::read_ahead(body, BODY_TIME_MAX).await;
        let (_, BodyHead { bytes, complete }) = ahead.map_err(|_| BROKEN)?;
        let classified = rules.classify(&Outcome::Answered {
            status: head.status,
            headers: &head.headers,
            body_head: if is_evidence { &bytes } else { &[] },
            body_complete: is_evidence && complete,
            elapsed,
        });
        let marker = &rules.marker_header;
        Ok(Seen::answer(
            head.status,
            &head.headers,
            marker,
            &bytes,
            classified,
        ))
    }

    /// Sends a request, and says how long the server took from the first byte on.
    async fn send(
        &self,
        path: &str,
        key: Option<&str>,
    ) -> Result<(Response<AnswerBody>, Duration), Fault> {
        let started = clock::now();
        let mut tally = Tally::new(&self.prober.uncounted);
        let (head, body) = self.request(path, key).into_parts();
        let head = Head::from(&head);
        let answer = self
            .upstream
            .send(head, body, Trust::Any, &mut tally, CONNECT_TIME_MAX);
        let response = tokio::time::timeout(HEAD_TIME_MAX, answer)
            .await
            .unwrap_or_else(|_| {
                Err(Fault {
                    kind: FaultKind::HeadTimeout,
                    sent: tally.sent(),
                })
            })?;
        let began = tally.began().unwrap_or(started);
        Ok((response, clock::now().saturating_duration_since(began)))
    }

    fn request(&self, path: &str, key: Option<&str>) -> Request<RequestBody> {
        let body = http_body_util::Empty::new().map_err(|never| -> BoxError { match never {} });
        let mut request = Request::new(body.boxed_unsync());
        *request.uri_mut() = path.parse().expect("a path that was part of an address");
        let headers: &mut HeaderMap = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        // A key that is no header's value is as good as none, and the answer will say so.
        if let Some(Ok(key)) = key.map(HeaderValue::from_str) {
            headers.insert("x-api-key", key);
        }
        request
    }
}

/// Stands for the upstream of the defaults; `.invalid` never resolves (RFC 6761).
const NO_UPSTREAM: &str = "http://upstream.invalid";
/// An answer whose body breaks off is none.
const BROKEN: Fault = Fault {
    kind: FaultKind::Closed,
    sent: Sent::Perhaps,
};
/// How it names itself in the API's log.
const AGENT: &str = concat!("redrive-verify/", env!("CARGO_PKG_VERSION"));
/// The longest that a connection takes to be made, TLS included.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// The longest that an answer's head takes: longer than the 30 s after which an HTTP API gives up on its integration.
const HEAD_TIME_MAX: Duration = Duration::from_secs(35);
/// The longest that a body takes.
const BODY_TIME_MAX: Duration = Duration::from_secs(5);
/// Far more than an index has.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
