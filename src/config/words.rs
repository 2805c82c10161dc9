//! The words of the file and the variants that they stand for, where the module of the variants knows no words itself.

use super::layer::View;
use crate::admin::Pages;
use crate::pace::Mode;
use crate::proxy::account::Told;
use crate::proxy::headers::{Forwarded, Host};
use crate::retry::classify::{Integration, Proof};
use crate::retry::{IdempotencyKey, UnsafeMethods};
use crate::telemetry::Format;

/// Words and their variants. Every word that the table of keys admits for a key must stand here; a test builds each.
pub(super) struct Words<T: 'static>(&'static [(&'static str, T)]);

impl<T: Copy> Words<T> {
    /// The variant of the word that a key holds.
    pub(super) fn value(&self, view: View<'_>, path: &str) -> T {
        let word = view
            .word(path)
            .expect("a configuration without faults holds every word");
        self.variant(word)
    }

    fn variant(&self, word: &str) -> T {
        let found = self.0.iter().find(|(known, _)| *known == word);
        found
            .expect("every word of the table of keys has a variant")
            .1
    }
}

pub(super) const SWITCH: Words<bool> = Words(&[("on", true), ("off", false)]);

pub(super) const HOST: Words<Host> =
    Words(&[("upstream", Host::Upstream), ("client", Host::Client)]);

pub(super) const FORWARDED: Words<Forwarded> = Words(&[
    ("off", Forwarded::Off),
    ("x-forwarded-for", Forwarded::XForwardedFor),
    ("forwarded", Forwarded::Forwarded),
]);

pub(super) const PAGES: Words<Pages> = Words(&[("loopback", Pages::Loopback), ("any", Pages::Any)]);

pub(super) const UNSAFE_METHODS: Words<UnsafeMethods> = Words(&[
    ("never", UnsafeMethods::Never),
    ("proven", UnsafeMethods::Proven),
    ("always", UnsafeMethods::Always),
]);

pub(super) const PROOF: Words<Proof> = Words(&[("usual", Proof::Usual), ("strict", Proof::Strict)]);

pub(super) const INTEGRATION: Words<Integration> =
    Words(&[("any", Integration::Any), ("lambda", Integration::Lambda)]);

pub(super) const IDEMPOTENCY_KEY: Words<IdempotencyKey> =
    Words(&[("keep", IdempotencyKey::Keep), ("add", IdempotencyKey::Add)]);

pub(super) const PACE_MODE: Words<Mode> =
    Words(&[("adaptive", Mode::Adaptive), ("off", Mode::Off)]);

pub(super) const LOG_FORMAT: Words<Format> =
    Words(&[("json", Format::Json), ("text", Format::Text)]);

pub(super) const LOG_REQUESTS: Words<Told> = Words(&[
    ("all", Told::All),
    ("retried", Told::Retried),
    ("none", Told::None),
]);
