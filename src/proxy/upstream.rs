//! One attempt on the wire, and the connections that it travels on.
use std::path::PathBuf;
use std::time::Duration;

use http::uri::{Authority, Scheme};

/// Where requests go, and over which connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    /// Put before the request's path; empty, or starting with a slash and not ending in one.
    pub base_path: String,
    /// How the upstream is known and trusted over TLS.
    pub tls: TlsParams,
    /// The connections' limits.
    pub connections: ConnectionParams,
}

/// TLS towards the upstream (`[tls.upstream]`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsParams {
    /// PEM roots that replace the system's.
    pub ca_file: Option<PathBuf>,
    /// Our PEM certificate chain, where the upstream asks for one.
    pub client_cert: Option<PathBuf>,
    /// The key that belongs to it.
    pub client_key: Option<PathBuf>,
    /// The name to expect in the certificate, if not the authority's host.
    pub server_name: Option<String>,
}

/// The limits of the connections to one upstream (`[connections]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionParams {
    /// The most connections at once.
    pub max: usize,
    /// An unused connection is closed after this.
    pub idle: Duration,
    /// No request starts on an older connection, so that DNS changes are followed.
    pub max_age: Duration,
}
