//! The decisions of one request that goes well, and its head on the way up; no I/O.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use redrive::clock;
use redrive::pace::{Admission, Controller, Feedback, Waiter};
use redrive::proxy::headers::{Forwarded, Host, Outbound, remove_hop_by_hop};
use redrive::retry::budget::Budget;
use redrive::retry::classify::Outcome;
use redrive::retry::{Circumstances, Session, Subject, callers, hint};

use super::Fault;
use super::stack::config;

/// Admits, classifies, reads hints, asks what follows, and lets budget and window learn.
pub(crate) fn decisions(times: u32) -> Result<(), Fault> {
    let config = config("127.0.0.1:9".parse()?)?;
    let route = config.proxy.routes.last().ok_or("no default route")?;
    let policy = Arc::new(route.retry.clone());
    let mut now = clock::now();
    let mut budget = Budget::new(route.budget, now);
    let mut controller = Controller::new(route.pace, now, Duration::ZERO);
    let mut rng = fastrand::Rng::with_seed(1);
    let (asked, answered) = (request_headers()?, answer_headers()?);
    for _ in 0..times {
        now += Duration::from_millis(1);
        let waiter = Waiter {
            since: now,
            start_by: now + route.deadline.total,
            answer_by: None,
            is_retry: false,
        };
        let Admission::Go(mut attempt) = controller.arrive(now, waiter, &mut rng) else {
            return Err("a request alone has to wait".into());
        };
        budget.earn(now);
        let subject = Subject {
            method: Method::GET,
            idempotency_key: false,
            upgrade: false,
            callers_max: callers::read(&asked).map(|caller| caller.max),
        };
        let mut session = Session::new(Arc::clone(&policy), subject, waiter.start_by);
        now += Duration::from_millis(20);
        let outcome = policy.rules.classify(&Outcome::Answered {
            status: StatusCode::OK,
            headers: black_box(&answered),
            body_head: &[],
            body_complete: false,
            elapsed: Duration::from_millis(20),
        });
        let reading = hint::read(StatusCode::OK, &answered, clock::wall());
        controller.learn(now, &mut attempt, Feedback::Success, &mut rng);
        black_box(controller.decide(now, &mut rng));
        let circumstances = Circumstances {
            body: Ok(()),
            futile: false,
            affordable: budget.can_pay(now, 1_000),
            draining: false,
            rest: Some(controller.rest(1, &mut rng)),
        };
        black_box(session.on_outcome(
            now,
            &outcome,
            reading.hint.as_ref(),
            circumstances,
            &mut rng,
        ));
        controller.release(now, attempt);
        black_box(controller.decide(now, &mut rng));
        black_box(controller.next_wake(now));
    }
    Ok(())
}

/// The head that goes up, made from the one that came, and the one that goes back.
pub(crate) fn head(times: u32) -> Result<(), Fault> {
    let config = config("127.0.0.1:9".parse()?)?;
    let route = config.proxy.routes.last().ok_or("no default route")?;
    let mut request = Request::get("/v1/orders").body(())?;
    *request.headers_mut() = request_headers()?;
    let (parts, ()) = request.into_parts();
    let answered = answer_headers()?;
    let authority = HeaderValue::try_from(route.upstream.authority.as_str())?;
    let outbound = Outbound {
        host: Host::Upstream,
        forwarded: Forwarded::Off,
        authority: &authority,
        base_path: "/prod",
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        is_secure: false,
    };
    for _ in 0..times {
        black_box(outbound.target(&parts.uri)?);
        let mut there = parts.clone();
        outbound.shape(&mut there);
        black_box(there);
        let mut back = answered.clone();
        remove_hop_by_hop(&mut back);
        black_box(back);
    }
    Ok(())
}

fn request_headers() -> Result<HeaderMap, Fault> {
    fields(&[
        ("host", "sidecar"),
        ("user-agent", "instructions"),
        ("accept", "*/*"),
        ("content-type", "application/json"),
    ])
}

fn answer_headers() -> Result<HeaderMap, Fault> {
    fields(&[
        ("content-type", "application/json"),
        ("content-length", "64"),
        ("date", "Fri, 01 Jun 2018 00:00:00 GMT"),
        ("x-amzn-requestid", "2a5c3f0e-5d6e-4b7c-9c3f-8f1d2e3a4b5c"),
    ])
}

fn fields(fields: &[(&'static str, &'static str)]) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.insert(*name, value.parse()?);
    }
    Ok(headers)
}
