//! What every end-to-end test needs: a scripted upstream, redrive before it, and a raw client.

mod client;
mod message;
mod sidecar;
mod upstream;

pub(crate) use client::{Answer, Client};
pub(crate) use sidecar::Sidecar;
pub(crate) use upstream::{Reply, Upstream};
