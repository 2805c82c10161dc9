//! The whole product over real sockets: a raw client, redrive, and a scripted upstream that records every byte.
//!
//! Real time with short waits; what a test waits for is an event (a request seen, a counter reached), never a guess.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so and where"
)]

mod answers;
mod support;

mod budget;
mod cancel;
mod connections;
mod deadlines;
mod futility;
mod giving_up;
mod hints;
mod metrics;
mod policy;
mod safety;
mod streaming;
mod throttles;
mod uploads;
