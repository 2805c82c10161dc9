//! What every end-to-end test needs: a scripted upstream, redrive before it, and a raw client.

mod client;
#[cfg(feature = "otlp")]
mod collector;
pub(crate) mod frames;
mod message;
mod process;
mod raw;
mod sidecar;
mod tls;
mod upstream;

pub(crate) use client::{Answer, Client};
#[cfg(feature = "otlp")]
pub(crate) use collector::{Collector, Span};
pub(crate) use message::Message;
pub(crate) use process::Process;
pub(crate) use raw::{Origin, Peer, Reserved, in_time};
pub(crate) use sidecar::Sidecar;
pub(crate) use tls::{Authority, Files, Issued};
pub(crate) use upstream::{Reply, Upstream};
