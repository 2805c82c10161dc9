//! The system's files that say how names are resolved, and what they come to.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, TokioResolver};

/// Where it is said how names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// The name servers, the domains to search, `ndots` and the rest of resolv.conf(5).
    pub resolv_conf: PathBuf,
    /// The names that are known without asking, hosts(5).
    pub hosts: PathBuf,
    /// The name servers' port, which `resolv_conf` has no place for.
    pub port: u16,
    /// The longest that an answer is kept, whatever its own time to live.
    pub kept_max: Duration,
    /// The files are looked at again when a name is asked for and they have not been looked at for this long.
    pub looked_every: Duration,
}

impl Default for Params {
    /// The system's.
    fn default() -> Self {
        Self {
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
            port: 53,
            kept_max: KEPT_MAX,
            looked_every: LOOKED_EVERY,
        }
    }
}

/// What stood in the files when they were read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Texts {
    resolv_conf: Result<Vec<u8>, io::ErrorKind>,
    hosts: Vec<u8>,
}

/// What the files come to.
pub(super) struct Sources {
    pub(super) texts: Texts,
    hosts: Hosts,
    /// Who is asked, if anybody can be.
    pub(super) servers: Result<TokioResolver, Missing>,
}

/// Why nobody can be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Missing {
    /// The file cannot be read.
    #[error("{path:?} cannot be read: {kind}")]
    File { path: PathBuf, kind: io::ErrorKind },
    /// The file can be read, and does not help.
    #[error("{path:?} is of no use: {because}")]
    Servers { path: PathBuf, because: String },
}

impl Texts {
    /// Reads them; blocks for as long as that takes. A system without names of its own is a usual one, without name servers it is
    /// not.
    pub(super) fn read(params: &Params) -> Self {
        Self {
            resolv_conf: read(&params.resolv_conf).map_err(|error| error.kind()),
            hosts: read(&params.hosts).unwrap_or_default(),
        }
    }
}

impl Sources {
    /// Makes of the files what they say.
    pub(super) fn new(texts: Texts, params: &Params) -> Self {
        let mut hosts = Hosts::default();
        if let Err(error) = hosts.read_hosts_conf(&*texts.hosts) {
            tracing::warn!(path = ?params.hosts, %error, "not all of it can be read");
        }
        Self {
            hosts,
            servers: servers(&texts, params),
            texts,
        }
    }

    /// The addresses of a name that is known without asking.
    pub(super) fn known(&self, name: &Name) -> Vec<IpAddr> {
        let of = |kind| {
            let found = self
                .hosts
                .lookup_static_host(&Query::query(name.clone(), kind));
            let answers = found.map(|found| found.answers().to_vec());
            answers.unwrap_or_default()
        };
        let records = [of(RecordType::A), of(RecordType::AAAA)].concat();
        let addresses = records.iter().filter_map(|record| record.data.ip_addr());
        addresses.collect()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut text)?;
    Ok(text)
}

fn servers(texts: &Texts, params: &Params) -> Result<TokioResolver, Missing> {
    let path = &params.resolv_conf;
    let text = texts.resolv_conf.as_ref().map_err(|&kind| Missing::File {
        path: path.clone(),
        kind,
    })?;
    let of_no_use = |because: String| Missing::Servers {
        path: path.clone(),
        because,
    };
    let (config, options) =
        parse_resolv_conf(text).map_err(|error| of_no_use(error.to_string()))?;
    let (_, search, mut servers) = config.into_parts();
    for connection in servers.iter_mut().flat_map(|it| &mut it.connections) {
        connection.port = params.port;
    }
    // Without the host's own domain, which is no part of what containers are given, and would be searched before what they are.
    let config = ResolverConfig::from_parts(None, search, servers);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(limited(options, params))
        .build()
        .map_err(|error| of_no_use(error.to_string()))
}

/// What the file says, within our limits.
fn limited(mut options: ResolverOpts, params: &Params) -> ResolverOpts {
    options.timeout = options.timeout.min(TRY_MAX);
    // The file counts tries, the resolver what follows the first one.
    options.attempts = options.attempts.clamp(1, TRIES_MAX) - 1;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = ANSWERS_MAX;
    options.positive_max_ttl = Some(params.kept_max);
    options.negative_max_ttl = Some(NEGATIVE_MAX.min(params.kept_max));
    options
}

/// The longest that an answer is kept. Addresses of API Gateway live for a minute; who sets an hour and moves waits for this.
const KEPT_MAX: Duration = Duration::from_secs(60);

/// The longest that it is kept that there is no such name: it may have been asked for too early.
const NEGATIVE_MAX: Duration = Duration::from_secs(5);

/// Soon enough for whoever waits for a network, and seldom enough to cost nothing.
const LOOKED_EVERY: Duration = Duration::from_secs(5);

/// How long one try may take. The usual 5 s are longer than there is for a whole connection.
const TRY_MAX: Duration = Duration::from_secs(1);

/// The most tries of a name, however many `options attempts` asks for.
const TRIES_MAX: usize = 3;

/// The most answers kept; names are those of the configuration, each with its search list and two types. The oldest goes.
const ANSWERS_MAX: u64 = 256;

/// What is read of a file; the rest does not count.
const FILE_BYTES_MAX: u64 = 1 << 20;
