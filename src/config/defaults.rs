//! Every default, and why it is what it is.
//!
//! Written as an operator would write them, and read by the same reader as a file: a default is nothing but the lowest
//! layer. Keys without a default (`upstream`, files, `pace.limit`) are not here.

/// Loopback: a sidecar serves its own machine or pod, and nobody else by accident.
pub(super) const LISTEN: &str = "127.0.0.1:7480";
/// API Gateway finds the API by its `Host`; the client's own would reach nothing.
pub(super) const HOST: &str = "upstream";
/// The hop to a sidecar is loopback, which is no news to the API.
pub(super) const FORWARDED: &str = "off";
/// A kill switch is off until it is needed.
pub(super) const BYPASS: &str = "false";

/// Beside the client's port, on loopback too: metrics and pages tell more than a stranger should know.
pub(super) const ADMIN_LISTEN: &str = "127.0.0.1:7481";
/// The pages show routes and upstreams; the probes and metrics are open to whoever reaches the listener.
pub(super) const ADMIN_PAGES: &str = "loopback";

/// About the 29 s that a REST API gives its integration by default, and no more than most callers wait.
pub(super) const DEADLINE_TOTAL: &str = "30s";
/// Just above the gateway's own 29 s, so that its 504 arrives and says more than our timeout could.
pub(super) const DEADLINE_ATTEMPT: &str = "31s";
/// Three SYNs: a lost packet or two is survived, a dead address is not waited for.
pub(super) const DEADLINE_CONNECT: &str = "3s";
/// Ours by name, so that no other hop acts on it.
pub(super) const DEADLINE_HEADER: &str = "redrive-timeout";

/// Every class that another attempt can mend, but for `timeout`: there the function may still be running.
pub(super) const RETRY_ON: &str = "throttled, suspected, overloaded, unsent, broken";
/// Throttles clear by waiting, and the deadline and the budget end it before the tenth in most cases.
pub(super) const MAX_ATTEMPTS_THROTTLED: &str = "10";
/// A suspect that failed four times is more likely a fault of its own than a throttle in disguise.
pub(super) const MAX_ATTEMPTS_SUSPECTED: &str = "4";
/// What is not a throttle rarely gets better with a third retry.
pub(super) const MAX_ATTEMPTS_OTHER: &str = "3";
/// A POST is sent again only on proof that the first did nothing.
pub(super) const UNSAFE_METHODS: &str = "proven";
/// A function that forges a gateway's throttle byte for byte is rarer than a throttled HTTP API.
pub(super) const PROOF: &str = "usual";
/// An integration other than Lambda may have run before it failed.
pub(super) const INTEGRATION: &str = "any";
/// The request is the client's; a header that it did not send may break its signature.
pub(super) const IDEMPOTENCY_KEY: &str = "keep";
/// What `deploy/gateway` sets.
pub(super) const MARKER_HEADER: &str = "x-gw-error";
/// A throttled function frees a slot when an invocation ends: seconds, not milliseconds.
pub(super) const BACKOFF_THROTTLE_BASE: &str = "1s";
/// A broken connection is worth another try at once, with enough jitter to part two callers.
pub(super) const BACKOFF_BASE: &str = "50ms";
/// Two thirds of the deadline: a longer wait could only end in `deadline`.
pub(super) const BACKOFF_MAX: &str = "20s";
/// One broken function must not eat what the others need.
pub(super) const FUTILITY: &str = "on";
/// Clients that do read `Retry-After` come back when it is worth it.
pub(super) const ADD_RETRY_AFTER: &str = "true";
/// redrive is there to retry.
pub(super) const DRY_RUN: &str = "false";

/// A burst of five hundred throttles is paid for before any traffic has earned a token.
pub(super) const BUDGET_CAPACITY: &str = "500";
/// One retry for five requests: the load that retries add in the long run is at most a fifth.
pub(super) const BUDGET_RATIO: &str = "0.2";
/// A client that sends one request a minute can still have it retried.
pub(super) const BUDGET_MIN_PER_SECOND: &str = "1";
/// A throttled attempt costs the upstream next to nothing.
pub(super) const COST_THROTTLED: &str = "1";
/// As a throttle, which it mostly is.
pub(super) const COST_SUSPECTED: &str = "1";
/// A failure that is no throttle may have cost a whole execution.
pub(super) const COST_OTHER: &str = "3";

/// The limit is seldom known and changes with the neighbours' traffic, so it is learned.
pub(super) const PACE_MODE: &str = "adaptive";
/// A third of the deadline: what comes after the wait still has time to succeed.
pub(super) const PACE_MAX_WAIT: &str = "10s";
/// As many as there may be client connections.
pub(super) const PACE_MAX_WAITING: &str = "10000";
/// In an outage an early no is worth more than a late one.
pub(super) const PACE_PATIENT: &str = "false";

/// What API Gateway accepts at most.
pub(super) const REPLAY_MAX_BODY: &str = "10MiB";
/// Six of the largest bodies at once; a sidecar is sized in tens of MiB.
pub(super) const REPLAY_MAX_TOTAL: &str = "64MiB";

/// Half of the thousand concurrent executions of an account's default limit.
pub(super) const CONNECTIONS_MAX: &str = "512";
/// Below the 60 s after which load balancers close, so that we close first and no request meets a closing connection.
pub(super) const CONNECTIONS_IDLE: &str = "50s";
/// Several times the 60 s for which AWS endpoints' addresses may be cached, and rare enough to cost nothing.
pub(super) const CONNECTIONS_MAX_AGE: &str = "5m";

/// Far more than a sidecar's clients open, far less than would exhaust the machine.
pub(super) const CLIENT_MAX_CONNECTIONS: &str = "10000";
/// A head is one packet or two; one that takes longer is an attack or a dead peer.
pub(super) const CLIENT_HEADER_TIMEOUT: &str = "10s";
/// Above the usual 60 s of client pools, so that the client closes first.
pub(super) const CLIENT_IDLE: &str = "75s";
/// A peer that moves no byte for this long has left without saying so.
pub(super) const CLIENT_BODY_IDLE: &str = "30s";
/// Three times the 10,240 bytes that API Gateway accepts.
pub(super) const CLIENT_HEADER_BYTES: &str = "32KiB";
/// A client that hangs up is seen at once, and costs no further retry.
pub(super) const CLIENT_HALF_CLOSE: &str = "false";
/// Header names are compared without case (RFC 9110 section 5.1).
pub(super) const CLIENT_TITLE_CASE_HEADERS: &str = "false";
/// The same, and it costs memory for every header.
pub(super) const CLIENT_PRESERVE_HEADER_CASE: &str = "false";

/// Below the 30 s after which Kubernetes and ECS kill what they asked to stop.
pub(super) const SHUTDOWN_GRACE: &str = "25s";

/// What log collectors read without a parser of ours.
pub(super) const LOG_FORMAT: &str = "json";
/// The requests that redrive did something for; the others are in the metrics.
pub(super) const LOG_REQUESTS: &str = "retried";

/// The name under which API Gateway verifies a signature.
pub(super) const SIGN_SERVICE: &str = "execute-api";
/// An answer that an operator's rule matched proves nothing by itself.
pub(super) const CLASSIFY_RAN: &str = "maybe";
