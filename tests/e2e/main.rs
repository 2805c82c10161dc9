//! The whole product over real sockets: a raw client, redrive, and a scripted upstream that records every byte.
//!
//! Real time with short waits; what a test waits for is an event (a request seen, a counter reached), never a guess.

mod answers;
mod support;

mod admin;
mod cancel;
mod connections;
mod drain;
mod h2c;
mod headers;
mod requests;
mod streaming;
mod throttles;
mod tls;
mod uploads;
