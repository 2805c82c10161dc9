//! HTTP/2 on the client's side, frame by frame: what RFC 9113 and RFC 7541 ask of a server, case after case from files that
//! can be read, and redrive's own limits.
//!
//! `frames.txt` holds what stands on the wire, `requests.txt` what is no request and must not become one upstream; they say at
//! their top how a case is written. Every case has a redrive and an upstream of its own, so that whatever is counted is
//! the case's. Together they cover the ground of h2spec, which nobody needs to install for it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so and where"
)]

#[path = "../e2e/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the end-to-end tests")]
mod support;

#[path = "../battery/origin.rs"]
#[expect(dead_code, reason = "shared with the battery")]
mod origin;
#[path = "../battery/script.rs"]
mod script;

mod cases;
mod client;
mod limits;
mod uploads;
mod wire;
