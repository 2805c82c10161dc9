//! Prepares a request for its attempts: everything that is the same on each of them is made once, here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, request};
use http_body::Body;
use http_body_util::BodyExt;

use super::Exchange;
use crate::clock;
use crate::handover::Handover;
use crate::proxy::account::Account;
use crate::proxy::body::{BoxError, Brisk, RequestBody, none};
use crate::proxy::deadline::Deadline;
use crate::proxy::error::Error;
use crate::proxy::headers::{
    IDEMPOTENCY_KEY, Outbound, REDRIVE_ATTEMPT, attempt_number, client_host,
};
use crate::proxy::lane::Lane;
use crate::proxy::replay::Replay;
use crate::proxy::shared::Shared;
use crate::proxy::sign::{Signer, own};
use crate::retry::fields::{has, set};
use crate::retry::futility::Cell;
use crate::retry::{IdempotencyKey, Session, Subject, callers};

impl<'a> Exchange<'a> {
    /// Prepares a request for its attempts: fixes its head, and decides whether its body is kept.
    ///
    /// # Errors
    /// When its target cannot be joined to the upstream's base path.
    pub fn new<B>(
        shared: &'a Shared,
        lane: &'a Lane,
        account: &'a mut Account,
        request: Request<B>,
        client: IpAddr,
    ) -> Result<Box<Self>, Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let client_end = parts.extensions.remove::<Handover>();
        let signed = own::is_signed(&parts).then(|| parts.clone());
        let deadline = deadline(lane, &parts, signed.is_some(), account.arrival);
        let cell = Cell::new(lane.index, &parts.method, parts.uri.path());
        let outbound = shared.outbound(lane, client);
        let uri = outbound
            .target(&parts.uri)
            .map_err(|_| Error::Malformed("the target is no path"))?;
        outbound.shape(&mut parts);
        let headers = &mut parts.headers;
        let subject = subject(lane, &parts.method, headers, shared.bypass);
        let signer = speak_for(lane, &outbound, signed.as_ref(), headers);
        if !shared.bypass {
            account.trace.carry(&mut parts.headers);
        }
        let session = Session::new(Arc::clone(&lane.policy), subject, deadline.retry_by);
        let body = upload(shared, lane, body);
        // What is signed is kept whatever follows: its hash goes up before it.
        let keep = signer.is_some() || session.keeps_body() && !shared.bypass;
        let replay = Replay::new(body, keep, &shared.memory);
        set(&mut parts.headers, REDRIVE_ATTEMPT, attempt_number(1));
        Ok(Box::new(Self {
            shared,
            lane,
            account,
            deadline,
            session,
            cell,
            paced: Duration::ZERO,
            was_hinted: false,
            signer,
            payload: None,
            replay,
            method: parts.method,
            uri,
            headers: parts.headers,
            extensions: parts.extensions,
            client_end,
        }))
    }
}

/// The limits of a request: its retries end with its client's signature, if that is the first to end.
fn deadline(lane: &Lane, parts: &request::Parts, is_signed: bool, arrival: Instant) -> Deadline {
    let deadline = Deadline::new(&lane.deadline, &parts.headers, arrival);
    if is_signed {
        deadline.retrying_within(own::holds_for(parts, clock::wall()), clock::now())
    } else {
        deadline
    }
}

/// The client's body: it may not pause for long, nor, unless redrive is switched off, be one of too many slow ones.
fn upload<B>(shared: &Shared, lane: &Lane, body: B) -> RequestBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return none();
    }
    let body = Brisk::new(body, shared.body_idle);
    if shared.bypass {
        body.boxed_unsync()
    } else {
        lane.door.slow_uploads().watch(body).boxed_unsync()
    }
}

/// What the rules need to know, after reading what the client announces; a key is added where the policy says so and
/// redrive is not switched off. A key makes a second run harmless only if it goes upstream and says something, so it is
/// looked for in `headers`, which go there.
fn subject(lane: &Lane, method: &Method, headers: &mut HeaderMap, bypass: bool) -> Subject {
    let caller = callers::read(headers).filter(|caller| caller.max.get() > 1);
    if let Some(caller) = &caller {
        lane.metrics.callers(caller.source).inc();
    }
    let adds = lane.policy.idempotency_key == IdempotencyKey::Add && is_keyed(method);
    let mut idempotency_key = has_key(headers);
    if !idempotency_key && adds && !bypass {
        headers.insert(IDEMPOTENCY_KEY, new_key());
        idempotency_key = true;
    }
    Subject {
        method: method.clone(),
        idempotency_key,
        upgrade: has(headers, &UPGRADE),
        callers_max: caller.map(|caller| caller.max),
    }
}

/// An empty key tells no request from another.
fn has_key(headers: &HeaderMap) -> bool {
    let says = |key: &HeaderValue| !key.as_bytes().trim_ascii().is_empty();
    has(headers, &IDEMPOTENCY_KEY) && headers.get_all(IDEMPOTENCY_KEY).iter().any(says)
}

/// A key is for requests that change something each time.
fn is_keyed(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PATCH)
}

/// 128 random bits. Unique, not secret: it names a request, it does not authorise one.
fn new_key() -> HeaderValue {
    let key = format!("{:032x}", fastrand::u128(..));
    HeaderValue::try_from(key).expect("hexadecimal digits")
}

/// Says what redrive says in a client's name; returns who signs the request. One that its client signed stays as it is.
fn speak_for<'a>(
    lane: &'a Lane,
    outbound: &Outbound<'_>,
    signed: Option<&request::Parts>,
    headers: &mut HeaderMap,
) -> Option<&'a Signer> {
    if let Some(signed) = signed {
        note_broken_signature(lane, outbound, signed, headers);
        return None;
    }
    let signer = lane.signer.as_deref()?;
    signer.add_api_key(headers);
    Some(signer).filter(|signer| signer.signs() && !headers.contains_key(AUTHORIZATION))
}

fn note_broken_signature(
    lane: &Lane,
    outbound: &Outbound<'_>,
    signed: &request::Parts,
    headers: &HeaderMap,
) {
    let same_host = client_host(signed).as_ref() == headers.get(HOST);
    let is_same = same_host && outbound.base_path.is_empty() && !own::is_altered(signed, headers);
    if !is_same {
        lane.notices.broken_signature();
    }
}
