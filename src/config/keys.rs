//! The table of keys: every key that a configuration may hold, what it takes, its default, and what it means.
//!
//! The reader, the environment's names, `check --print`, the JSON schema and the tests all walk this table, so a key
//! that is added here is known everywhere but in [`build`](super::build), which puts it to use. Why a default is what it
//! is stands in [`defaults`](super::defaults).

use super::defaults as d;
use super::kind::Kind;

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its path from the scope's root, dotted.
    pub(crate) path: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
    /// Its default as an operator would write it; `None` where there is none.
    pub(crate) default: Option<&'static str>,
    /// What it means, as a sentence.
    pub(crate) about: &'static str,
    /// Whether a route may set it too.
    pub(crate) in_routes: bool,
    /// Whether a change of it is in use after a restart only.
    pub(crate) needs_restart: bool,
    /// Whether this version honours it.
    pub(crate) supported: bool,
}

/// Which table a key stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The configuration itself.
    Top,
    /// One `[[route]]`.
    Route,
    /// One `[[classify]]`.
    Classify,
}

impl Scope {
    /// Every key of the scope, in the order of the documentation.
    pub(crate) fn keys(self) -> impl Iterator<Item = &'static Key> {
        let (own, shared): (&[Key], &[Key]) = match self {
            Self::Top => (KEYS, &[]),
            Self::Route => (ROUTE_KEYS, KEYS),
            Self::Classify => (CLASSIFY_KEYS, &[]),
        };
        own.iter().chain(shared.iter().filter(|key| key.in_routes))
    }

    /// The key of this path.
    pub(crate) fn key(self, path: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.path == path)
    }

    /// Whether the path names a table of keys.
    pub(crate) fn is_section(self, path: &str) -> bool {
        self.keys().any(|key| is_below(key.path, path))
    }

    /// The names that may stand in the table of this path; the empty path is the scope's root.
    pub(crate) fn names_in(self, section: &str) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for key in self.keys().filter(|key| is_below(key.path, section)) {
            let rest = if section.is_empty() {
                key.path
            } else {
                &key.path[section.len() + 1..]
            };
            let name = rest.split('.').next().unwrap_or(rest);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if self == Self::Top && section.is_empty() {
            names.extend(ARRAYS.map(|(name, _)| name));
        }
        names
    }
}

impl Key {
    /// The environment variable that sets it at the top level.
    pub(crate) fn variable(&self) -> String {
        variable(self.path)
    }

    const fn in_routes(mut self) -> Self {
        self.in_routes = true;
        self
    }

    const fn needs_restart(mut self) -> Self {
        self.needs_restart = true;
        self
    }

    const fn unsupported(mut self) -> Self {
        self.supported = false;
        self
    }
}

/// The environment variable of a key's or a table's path.
pub(crate) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.to_ascii_uppercase().replace('.', "__"))
}

/// Whether the path stands in the table `section`, at any depth.
fn is_below(path: &str, section: &str) -> bool {
    section.is_empty()
        || path
            .strip_prefix(section)
            .is_some_and(|rest| rest.starts_with('.'))
}

const fn key(
    path: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    about: &'static str,
) -> Key {
    Key {
        path,
        kind,
        default,
        about,
        in_routes: false,
        needs_restart: false,
        supported: true,
    }
}

/// What every variable of ours begins with.
pub(crate) const PREFIX: &str = "REDRIVE_";

/// The keys that hold a list of tables, and the scope of each table.
pub(crate) const ARRAYS: [(&str, Scope); 2] =
    [("classify", Scope::Classify), ("route", Scope::Route)];

/// The most tables in one such list: every route has its metric series, every rule is tried on every answer.
pub(crate) const ARRAY_ITEMS_MAX: usize = 256;

/// The classes that may stand in `retry.on`.
pub(crate) const RETRIABLE: &[&str] = &[
    "throttled",
    "suspected",
    "overloaded",
    "unsent",
    "broken",
    "timeout",
];

/// The classes that a rule may give to an answer: every one but `cancelled`, which no answer can be.
pub(crate) const CLASSES: &[&str] = &[
    "ok",
    "throttled",
    "quota",
    "suspected",
    "overloaded",
    "timeout",
    "unsent",
    "broken",
    "permanent",
];

const TIME: Kind = Kind::Time { zero: false };
const TIME_OR_ZERO: Kind = Kind::Time { zero: true };
const TOKENS: Kind = Kind::Tokens { zero: true };
/// A retry that costs nothing would make the budget no limit.
const COST: Kind = Kind::Tokens { zero: false };
/// The most attempts: enough for any deadline that can be set with care.
const ATTEMPTS: Kind = Kind::Count { min: 1, max: 1000 };
/// More than a machine has file descriptors for.
const MANY: Kind = Kind::Count {
    min: 1,
    max: 1_000_000,
};
/// Any rate that one process could send.
const RATE: Kind = Kind::Count {
    min: 1,
    max: 1_000_000,
};
/// Half of the address space in whole GiB, so that two sizes can always be added.
const BYTES: Kind = Kind::Size {
    min: 0,
    max: (usize::MAX >> 31) << 30,
};
/// From what the HTTP parser needs at least to far more than any gateway accepts.
const HEAD_BYTES: Kind = Kind::Size {
    min: 8 << 10,
    max: 1 << 20,
};
const ON_OFF: Kind = Kind::Word(&["on", "off"]);

#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("listen", Kind::Address, Some(d::LISTEN), "Where clients connect.").needs_restart(),
    key("upstream", Kind::Url, None, "Where requests go; its path is put before the request's.").in_routes(),
    key("host", Kind::Word(&["upstream", "client"]), Some(d::HOST), "Which Host the upstream sees."),
    key("forwarded", Kind::Word(&["off", "x-forwarded-for", "forwarded"]), Some(d::FORWARDED), "How the client's address is told to the upstream."),
    key("bypass", Kind::Bool, Some(d::BYPASS), "Kill switch: pass everything straight through, still counted."),

    key("admin.listen", Kind::Address, Some(d::ADMIN_LISTEN), "Where health, readiness and metrics are served.").needs_restart(),
    key("admin.pages", Kind::Word(&["loopback", "any"]), Some(d::ADMIN_PAGES), "Who may see the pages that show routes, upstreams and requests (/, /status, /config): loopback peers, or anyone.").needs_restart(),

    key("deadline.total", TIME, Some(d::DEADLINE_TOTAL), "Nothing waits or starts after it; an attempt in flight keeps its own limit.").in_routes(),
    key("deadline.attempt", TIME, Some(d::DEADLINE_ATTEMPT), "Limit of one attempt, to the answer's head.").in_routes(),
    key("deadline.connect", TIME, Some(d::DEADLINE_CONNECT), "Limit for making a connection, TLS included.").in_routes(),
    key("deadline.header", Kind::Header, Some(d::DEADLINE_HEADER), "The header in which a client sets its own, hard limit to the answer's head.").in_routes(),

    key("retry.on", Kind::Words(RETRIABLE), Some(d::RETRY_ON), "The classes that may be sent again.").in_routes(),
    key("retry.max_attempts.throttled", ATTEMPTS, Some(d::MAX_ATTEMPTS_THROTTLED), "Attempts of a throttled request, the first included.").in_routes(),
    key("retry.max_attempts.suspected", ATTEMPTS, Some(d::MAX_ATTEMPTS_SUSPECTED), "Attempts of a suspected request, the first included.").in_routes(),
    key("retry.max_attempts.other", ATTEMPTS, Some(d::MAX_ATTEMPTS_OTHER), "Attempts after any other class, the first included.").in_routes(),
    key("retry.unsafe_methods", Kind::Word(&["never", "proven", "always"]), Some(d::UNSAFE_METHODS), "When POST, PATCH and their like may be sent again: never, only if the function provably did not run, or whenever the class allows.").in_routes(),
    key("retry.proof", Kind::Word(&["usual", "strict"]), Some(d::PROOF), "strict: the 429 of an HTTP API no longer proves that the function did not run.").in_routes(),
    key("retry.integration", Kind::Word(&["any", "lambda"]), Some(d::INTEGRATION), "lambda: a marked INTEGRATION_FAILURE proves that the function did not run.").in_routes(),
    key("retry.idempotency_key", Kind::Word(&["keep", "add"]), Some(d::IDEMPOTENCY_KEY), "add: a request without an Idempotency-Key is given one, the same on every attempt.").in_routes(),
    key("retry.marker_header", Kind::Header, Some(d::MARKER_HEADER), "The header that gateway responses set to their type.").in_routes(),
    key("retry.backoff.throttle_base", TIME_OR_ZERO, Some(d::BACKOFF_THROTTLE_BASE), "Ceiling of the first wait after a throttle, when pace is off; full jitter.").in_routes(),
    key("retry.backoff.base", TIME_OR_ZERO, Some(d::BACKOFF_BASE), "Ceiling of the first wait after anything else; full jitter.").in_routes(),
    key("retry.backoff.max", TIME_OR_ZERO, Some(d::BACKOFF_MAX), "The ceiling doubles with each retry up to this.").in_routes(),
    key("retry.futility", ON_OFF, Some(d::FUTILITY), "Whether answers that never get better are delivered at once.").in_routes(),
    key("retry.add_retry_after", Kind::Bool, Some(d::ADD_RETRY_AFTER), "Whether a throttled 429 without Retry-After is given one, once the limit is learned.").in_routes(),
    key("retry.dry_run", Kind::Bool, Some(d::DRY_RUN), "Decide, count and explain, but never send again.").in_routes(),

    key("budget.capacity", TOKENS, Some(d::BUDGET_CAPACITY), "Tokens that the bucket holds at most, and at the start.").in_routes(),
    key("budget.ratio", TOKENS, Some(d::BUDGET_RATIO), "Tokens earned per first attempt.").in_routes(),
    key("budget.min_per_second", TOKENS, Some(d::BUDGET_MIN_PER_SECOND), "Tokens earned per second whatever the traffic.").in_routes(),
    key("budget.cost.throttled", COST, Some(d::COST_THROTTLED), "What a retry after a throttle costs; one that succeeds gets it back.").in_routes(),
    key("budget.cost.suspected", COST, Some(d::COST_SUSPECTED), "What a retry after a suspect costs.").in_routes(),
    key("budget.cost.other", COST, Some(d::COST_OTHER), "What a retry after anything else costs.").in_routes(),

    key("pace.mode", Kind::Word(&["adaptive", "off"]), Some(d::PACE_MODE), "Whether the number of attempts in flight is learned.").in_routes(),
    key("pace.max_wait", TIME_OR_ZERO, Some(d::PACE_MAX_WAIT), "The longest that a request waits for its turn.").in_routes(),
    key("pace.max_waiting", Kind::Count { min: 0, max: 1_000_000 }, Some(d::PACE_MAX_WAITING), "The most requests that wait, in the process.").in_routes(),
    key("pace.patient", Kind::Bool, Some(d::PACE_PATIENT), "true: no queue cut in sustained overload.").in_routes(),
    key("pace.limit.per_second", RATE, None, "A known limit of the upstream: attempts per second.").in_routes(),
    key("pace.limit.burst", RATE, None, "Attempts that the known limit lets through at once after a pause.").in_routes(),
    key("pace.max_in_flight", MANY, None, "The most attempts in flight; connections.max if not set.").in_routes(),

    key("replay.max_body", BYTES, Some(d::REPLAY_MAX_BODY), "The most kept of one request body; a longer one is sent once."),
    key("replay.max_total", BYTES, Some(d::REPLAY_MAX_TOTAL), "The most kept of all request bodies; past it they are sent once."),

    key("connections.max", MANY, Some(d::CONNECTIONS_MAX), "The most connections to one upstream."),
    key("connections.idle", TIME, Some(d::CONNECTIONS_IDLE), "An unused connection is closed after this."),
    key("connections.max_age", TIME, Some(d::CONNECTIONS_MAX_AGE), "No request starts on an older connection, so that DNS changes are followed."),

    key("client.max_connections", MANY, Some(d::CLIENT_MAX_CONNECTIONS), "The most client connections."),
    key("client.header_timeout", TIME, Some(d::CLIENT_HEADER_TIMEOUT), "The longest that a request's head may take."),
    key("client.idle", TIME, Some(d::CLIENT_IDLE), "The longest that a connection may be idle between requests."),
    key("client.body_idle", TIME, Some(d::CLIENT_BODY_IDLE), "The longest pause inside a body, also of a client that takes nothing of its answer."),
    key("client.header_bytes", HEAD_BYTES, Some(d::CLIENT_HEADER_BYTES), "The most bytes of a request's head; more is answered 431."),
    key("client.half_close", Kind::Bool, Some(d::CLIENT_HALF_CLOSE), "true: a client that closes its sending side after its request is still answered."),
    key("client.title_case_headers", Kind::Bool, Some(d::CLIENT_TITLE_CASE_HEADERS), "true: header names are written in Title-Case, for clients that compare them case-sensitively."),
    key("client.preserve_header_case", Kind::Bool, Some(d::CLIENT_PRESERVE_HEADER_CASE), "true: header names keep the case that they came in."),

    key("tls.upstream.ca_file", Kind::Text, None, "PEM roots that replace the system's."),
    key("tls.upstream.client_cert", Kind::Text, None, "Our PEM certificate chain, where the upstream asks for one."),
    key("tls.upstream.client_key", Kind::Text, None, "The PEM key that belongs to client_cert."),
    key("tls.upstream.server_name", Kind::Text, None, "The name to expect in the upstream's certificate, if not its host."),
    key("tls.listen.cert", Kind::Text, None, "PEM certificate chain shown to clients.").needs_restart(),
    key("tls.listen.key", Kind::Text, None, "The PEM key that belongs to cert.").needs_restart(),
    key("tls.listen.client_ca", Kind::Text, None, "PEM roots that clients' certificates must come from.").needs_restart(),

    key("sign.region", Kind::Text, None, "The AWS region to sign requests for.").unsupported(),
    key("sign.service", Kind::Text, Some(d::SIGN_SERVICE), "The AWS service to sign requests for.").unsupported(),
    key("sign.api_key_file", Kind::Text, None, "A file with the API key that is sent as x-api-key.").unsupported(),

    key("shutdown.grace", TIME_OR_ZERO, Some(d::SHUTDOWN_GRACE), "The longest that a drain takes."),

    key("log.format", Kind::Word(&["json", "text"]), Some(d::LOG_FORMAT), "The form of a log line.").needs_restart(),
    key("log.requests", Kind::Word(&["all", "retried", "none"]), Some(d::LOG_REQUESTS), "Which requests are logged."),
];

#[rustfmt::skip]
const ROUTE_KEYS: &[Key] = &[
    key("name", Kind::Name, None, "The route's name, as in logs and metrics."),
    key("path", Kind::Pattern, None, "The raw path that matches, or a prefix of it that ends in `*`."),
    key("methods", Kind::Methods, None, "The methods that match; every one if not set."),
];

#[rustfmt::skip]
const CLASSIFY_KEYS: &[Key] = &[
    key("status", Kind::Count { min: 100, max: 599 }, None, "The status that must match."),
    key("body_contains", Kind::Text, None, "What the answer's body must contain."),
    key("header.name", Kind::Header, None, "The header that must be present."),
    key("header.value", Kind::Text, None, "The exact value that it must have."),
    key("class", Kind::Word(CLASSES), None, "What the answer is."),
    key("ran", Kind::Word(&["no", "maybe", "yes"]), Some(d::CLASSIFY_RAN), "Whether the function may have run."),
];
