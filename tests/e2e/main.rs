//! The whole product over real sockets: a raw client, redrive, and a scripted upstream that records every byte.
//!
//! Real time with short waits; what a test waits for is an event (a request seen, a counter reached), never a guess.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so and where"
)]

mod answers;
mod h2_origin;
mod support;

mod admin;
mod budget;
mod cancel;
mod clients;
mod connections;
mod dashboards;
mod deadlines;
mod drain;
mod futility;
mod giving_up;
mod h2_protocol;
mod h2_upstream;
mod h2c;
mod headers;
mod hints;
mod metrics;
mod pacing;
mod page;
mod policy;
mod reasons;
mod reload;
mod reload_load;
mod requests;
mod safety;
mod streaming;
mod throttles;
mod tls;
mod tls_listen;
mod traces;
mod upgrades;
mod uploads;
