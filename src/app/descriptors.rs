//! File descriptors: asks for as many as the process may have, and shares out what there is.
//!
//! Every connection takes one. Whoever may come must leave enough for the upstreams and for the operator: a listener that takes
//! the last of them leaves nobody served, and its probe of liveness unanswered.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::proxy::upstream;
use crate::{admin, server};

/// Raises the soft limit of file descriptors to the hard one. Many systems still begin with 1,024, for the sake of programs that
/// call `select`, which this one does not.
pub(super) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if raised.current != limit.current
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        // Some systems allow fewer than their hard limit says. What there is, is shared out all the same.
        tracing::debug!(%error, "the limit of file descriptors stays");
    }
}

/// What clients may do under this configuration: as it says, or with fewer connections, where descriptors are few; then the log
/// says so.
pub(super) fn fitted(config: &Config) -> server::Params {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let wanted = config.server.max_connections;
    let upstreams = connections_max(config.proxy.routes.iter().map(|route| &route.upstream));
    let clients = share(limit, wanted, upstreams);
    if clients < wanted {
        tracing::warn!(
            limit,
            client_connections = clients,
            upstream_connections = upstreams,
            "too few file descriptors for client.max_connections: fewer clients are served at once; raise the hard limit \
             (ulimit -Hn, LimitNOFILE), or lower client.max_connections or connections.max"
        );
    }
    server::Params {
        max_connections: clients,
        ..config.server.clone()
    }
}

/// The most connections to all of these upstreams; routes that go the same way share theirs.
fn connections_max<'a>(upstreams: impl Iterator<Item = &'a upstream::Params>) -> usize {
    let mut seen: Vec<&upstream::Params> = Vec::new();
    for upstream in upstreams {
        if !seen.contains(&upstream) {
            seen.push(upstream);
        }
    }
    seen.iter().map(|it| it.connections.max).sum()
}

/// How many clients may be connected at once, of those that are wanted: the upstreams' connections go first, as far as they leave
/// half of what there is. At least one, under whatever limit.
fn share(limit: usize, wanted: usize, upstreams: usize) -> usize {
    let room = limit.saturating_sub(KEPT);
    let left = room.saturating_sub(upstreams).max(room / 2);
    wanted.min(left).max(1)
}

/// Descriptors that are no client's and no upstream's: the operator's connections, those that are just turned away, and the process's
/// own, such as the runtime's, the log, both listeners and files that are read again.
const KEPT: usize = admin::CONNECTIONS_MAX + server::TURNED_AWAY_MAX + OWN;

/// Some twenty are in use by a process that serves nobody; a trace exporter and a file that is read again take a few more.
const OWN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_room_everybody_is_let_in() {
        assert_eq!(share(usize::MAX, 10_000, 512), 10_000);
        assert_eq!(share(10_000 + 512 + KEPT, 10_000, 512), 10_000);
    }

    #[test]
    fn upstreams_and_the_operator_keep_theirs() {
        assert_eq!(share(10_000 + 512 + KEPT - 1, 10_000, 512), 9_999);
        assert_eq!(share(1_024, 10_000, 256), 1_024 - 256 - KEPT);
    }

    #[test]
    fn upstreams_that_want_nearly_all_get_half() {
        assert_eq!(share(KEPT + 600, 10_000, 512), 300);
        assert_eq!(share(KEPT + 600, 10_000, usize::MAX), 300);
    }

    #[test]
    fn somebody_is_always_let_in() {
        assert_eq!(share(0, 10_000, 512), 1);
        assert_eq!(share(KEPT, 10_000, 512), 1);
    }
}
