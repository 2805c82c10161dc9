//! What only a restart can change.
//!
//! Few: what was bound, or set up once for the whole process. `check` names them from the same list that a reload goes by.

use super::Config;
use super::keys::Scope;
use crate::admin::Setting;

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
        self.settings = beside(self.settings, &running.settings);
        (self, put_off)
    }
}

/// The settings of a configuration beside another one's that runs, in the order of the documentation.
fn beside(settings: Vec<Setting>, running: &[Setting]) -> Vec<Setting> {
    let needs_restart = |setting: &Setting| {
        let key = Scope::Top.key(&setting.key);
        key.is_some_and(|key| key.needs_restart)
    };
    let kept = running.iter().filter(|it| needs_restart(it)).cloned();
    let followed = settings.into_iter().filter(|it| !needs_restart(it));
    let mut shown: Vec<Setting> = kept.chain(followed).collect();
    // What is no key of the top, such as a route's, stays behind those that are, as it came.
    shown.sort_by_key(|it| {
        let place = Scope::Top.keys().position(|key| key.path == it.key);
        place.unwrap_or(usize::MAX)
    });
    shown
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
