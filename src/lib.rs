//! redrive: a reverse retry proxy sidecar.
pub mod admin;
pub mod app;
pub mod clock;
pub mod config;
pub mod gateway;
pub mod pace;
pub mod proxy;
pub mod retry;
pub mod server;
pub mod telemetry;
