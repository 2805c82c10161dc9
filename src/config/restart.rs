//! What only a restart can change.
//!
//! Few: what was bound, or set up once for the whole process. `check` names them from the same list that a reload goes by.

use super::Config;
use super::keys::Scope;

impl Config {
    /// This configuration for a process that runs by another one: with the other one's values where a change needs a restart,
    /// and the keys of those whose change is put off by that.
    pub fn beside(mut self, running: &Self) -> (Self, Vec<&'static str>) {
        let mut put_off = Vec::new();
        let mut keep = |key, is_same: bool| {
            if !is_same {
                put_off.push(key);
            }
        };
        keep("listen", self.server.listen == running.server.listen);
        keep("admin.listen", self.admin.listen == running.admin.listen);
        keep("admin.pages", self.admin.pages == running.admin.pages);
        keep(TLS_LISTEN, self.server.tls == running.server.tls);
        keep("log.format", self.log.format == running.log.format);
        self.server.listen = running.server.listen;
        self.server.tls.clone_from(&running.server.tls);
        self.admin = running.admin.clone();
        self.log.format = running.log.format;
        (self, put_off)
    }
}

/// What needs a restart, as `check` names it: keys, and the table of those of `[tls.listen]`, which belong together.
pub fn tables_of_a_restart() -> Vec<&'static str> {
    let keys = Scope::Top.keys().filter(|key| key.needs_restart);
    let mut named: Vec<&str> = keys
        .map(|key| match key.path.strip_prefix(TLS_LISTEN) {
            Some(_) => TLS_LISTEN,
            None => key.path,
        })
        .collect();
    named.dedup();
    named
}

const TLS_LISTEN: &str = "tls.listen";
