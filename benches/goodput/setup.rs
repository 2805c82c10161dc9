//! How the proxies are configured: retries as their manuals suggest, three times, with limits wide enough to be no part of a result.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::rival::Place;

/// The same server three times, since nginx goes on to the next one; and none is put aside for having failed. One process, so that
/// ending it ends all of it.
pub(crate) fn nginx(place: Place<'_>, addr: SocketAddr, dir: &Path) -> String {
    let scheme = place.scheme();
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};", dir.display()))
        .join("\n  ");
    format!(
        "daemon off;
master_process off;
pid {dir}/nginx.pid;
worker_rlimit_nofile {NO_LIMIT};
events {{ worker_connections {NO_LIMIT}; }}
http {{
  access_log off;
  {temp}
  keepalive_requests 1000000;
  upstream api {{
    server {upstream} max_fails=0;
    server {upstream} max_fails=0;
    server {upstream} max_fails=0;
    keepalive 512;
  }}
  server {{
    listen {addr} backlog=4096;
    location / {{
      proxy_pass {scheme}://api;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_next_upstream error timeout http_500 http_502 http_503 http_429 non_idempotent;
      proxy_next_upstream_tries 3;
    }}
  }}
}}
",
        dir = dir.display(),
        upstream = place.upstream
    )
}

/// Whether the HAProxy that is installed takes 429 among what it retries on: 2.6 does not.
pub(crate) fn haproxy_knows_429() -> io::Result<bool> {
    let nowhere = Place::plain(SocketAddr::from(([127, 0, 0, 1], 9)), 1);
    let mut check = Command::new("haproxy")
        .args(["-c", "-f", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = check.stdin.take() {
        stdin.write_all(haproxy(nowhere, nowhere.upstream, "429").as_bytes())?;
    }
    Ok(check.wait()?.success())
}

pub(crate) fn haproxy(place: Place<'_>, addr: SocketAddr, statuses: &str) -> String {
    let tls = if place.certificate.is_some() {
        " ssl verify none"
    } else {
        ""
    };
    format!(
        "global
  maxconn {NO_LIMIT}
defaults
  mode http
  timeout connect 3s
  timeout client 60s
  timeout server 35s
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response response-timeout {statuses}
frontend clients
  bind {addr} backlog 4096
  default_backend api
backend api
  server one {upstream}{tls}
  server two {upstream}{tls}
  server three {upstream}{tls}
",
        upstream = place.upstream
    )
}

/// Whatever host is asked for: to another one than it is told of, Caddy answers 200 by itself.
pub(crate) fn caddy(place: Place<'_>, addr: SocketAddr) -> String {
    let scheme = place.scheme();
    format!(
        "{{
  admin off
  auto_https off
}}
http://:{port} {{
  bind {ip}
  reverse_proxy {scheme}://{upstream} {{
    transport http {{
      keepalive_idle_conns_per_host 512
      {trust}
    }}
  }}
}}
",
        port = addr.port(),
        ip = addr.ip(),
        upstream = place.upstream,
        trust = if place.certificate.is_some() {
            "tls_insecure_skip_verify"
        } else {
            ""
        }
    )
}

pub(crate) fn envoy(place: Place<'_>, addr: SocketAddr, retry_limits: Value) -> Value {
    let socket = |addr: SocketAddr| json!({ "socket_address": { "address": addr.ip().to_string(), "port_value": addr.port() } });
    let mut limits = retry_limits;
    for what in ["max_connections", "max_pending_requests", "max_requests"] {
        limits[what] = json!(NO_LIMIT);
    }
    let route = json!({
        "cluster": "api",
        "timeout": "35s",
        "retry_policy": {
            "retry_on": "retriable-status-codes,connect-failure,reset",
            "retriable_status_codes": [429, 500, 502, 503],
            "num_retries": 3,
        },
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "goodput",
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
        }],
        "route_config": { "virtual_hosts": [{
            "name": "api",
            "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": route }],
        }] },
    });
    let mut cluster = json!({
        "name": "api",
        "type": "STATIC",
        "connect_timeout": "3s",
        "circuit_breakers": { "thresholds": [limits] },
        "load_assignment": { "cluster_name": "api", "endpoints": [{
            "lb_endpoints": [{ "endpoint": { "address": socket(place.upstream) } }],
        }] },
    });
    if place.certificate.is_some() {
        cluster["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext" },
        });
    }
    json!({ "static_resources": {
        "listeners": [{
            "address": socket(addr),
            "filter_chains": [{ "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": manager,
            }] }],
        }],
        "clusters": [cluster],
    } })
}

/// More connections and requests than the load has at once.
pub(crate) const NO_LIMIT: usize = 2 * super::load::CONNECTIONS_MAX;
