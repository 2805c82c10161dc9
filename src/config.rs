//! The configuration: a struct of every module's parameters.
use std::time::Duration;

use crate::{admin, proxy, server, telemetry};

/// Everything that redrive can be told, valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The client's side.
    pub server: server::Params,
    /// The operator's side.
    pub admin: admin::Params,
    /// The path of a request.
    pub proxy: proxy::Params,
    /// The longest that a drain takes (`shutdown.grace`).
    pub grace: Duration,
    /// Logs.
    pub log: telemetry::Params,
}
