//! Values in layers: what a later source says covers what an earlier one said, key by key.
//!
//! A value that could not be understood leaves the earlier one standing, marked as not sound: checks between two values
//! leave it out, since what they would say of it is already said.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::keys::Scope;
use super::origin::{Origin, Place};
use super::url::Url;
use super::value::Value;

/// One value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// The value; `None` when what was written could not be understood and there is nothing below it.
    pub(crate) value: Option<Value>,
    /// Who set it.
    pub(crate) origin: Origin,
    /// Whether what was written last was understood.
    pub(crate) sound: bool,
}

/// The values of one table: the configuration's own, one route's, or one rule's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    slots: BTreeMap<&'static str, Slot>,
    tables: BTreeSet<String>,
    /// Where the table stands, for what is missing in it.
    pub(crate) place: Option<Place>,
}

/// All that was configured.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    /// The configuration's own values, defaults included.
    pub(crate) top: Layer,
    /// The routes, in file order.
    pub(crate) routes: Vec<Layer>,
    /// The operator's classification rules, in file order.
    pub(crate) rules: Vec<Layer>,
    /// Whether every source could be read; of what could not, nothing can be said to be missing.
    pub(crate) is_whole: bool,
}

impl Layers {
    /// The lowest layer: every default.
    pub(crate) fn of_defaults() -> Self {
        let mut top = Layer::default();
        for key in Scope::Top.keys() {
            let value = key.default.map(|text| {
                key.kind
                    .read_bare(text)
                    .expect("every default is read by a test")
            });
            if let Some(value) = value {
                top.set(key.path, value, Origin::Default);
            }
        }
        Self {
            top,
            routes: Vec::new(),
            rules: Vec::new(),
            is_whole: true,
        }
    }

    /// The list of tables that a key of [`ARRAYS`](super::keys::ARRAYS) stands for.
    pub(crate) fn list(&mut self, scope: Scope) -> &mut Vec<Layer> {
        match scope {
            Scope::Classify => &mut self.rules,
            Scope::Route | Scope::Top => &mut self.routes,
        }
    }
}

impl Layer {
    /// An empty table that stands here.
    pub(crate) fn at(place: Place) -> Self {
        Self {
            place: Some(place),
            ..Self::default()
        }
    }

    /// Covers what was there.
    pub(crate) fn set(&mut self, path: &'static str, value: Value, origin: Origin) {
        let slot = Slot {
            value: Some(value),
            origin,
            sound: true,
        };
        self.slots.insert(path, slot);
    }

    /// Notes that something was written that could not be understood.
    pub(crate) fn spoil(&mut self, path: &'static str, place: Place) {
        let slot = self.slots.entry(path).or_insert_with(|| Slot {
            value: None,
            origin: Origin::Default,
            sound: false,
        });
        slot.sound = false;
        slot.origin = Origin::Written(place);
    }

    /// Notes that the table of this path was written, even if it is empty.
    pub(crate) fn note_table(&mut self, path: &str) {
        self.tables.insert(path.to_owned());
    }

    /// Whether the table of this path was written.
    pub(crate) fn has_table(&self, path: &str) -> bool {
        self.tables.contains(path)
    }

    /// The slot of this path.
    pub(crate) fn slot(&self, path: &str) -> Option<&Slot> {
        self.slots.get(path)
    }
}

/// What holds in one place: a route's own values, and the configuration's where the route says nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The route's or rule's own values, if this is not the configuration itself.
    own: Option<&'a Layer>,
    /// The configuration's values; a rule has none to inherit.
    inherited: Option<&'a Layer>,
}

impl<'a> View<'a> {
    /// What holds where no route matches.
    pub(crate) fn top(layers: &'a Layers) -> Self {
        Self {
            own: None,
            inherited: Some(&layers.top),
        }
    }

    /// What holds for a route.
    pub(crate) fn route(layers: &'a Layers, route: &'a Layer) -> Self {
        Self {
            own: Some(route),
            inherited: Some(&layers.top),
        }
    }

    /// What a rule says.
    pub(crate) fn rule(rule: &'a Layer) -> Self {
        Self {
            own: Some(rule),
            inherited: None,
        }
    }

    /// The slot that holds.
    pub(crate) fn slot(self, path: &str) -> Option<&'a Slot> {
        let own = self.own.and_then(|layer| layer.slot(path));
        own.or_else(|| self.inherited?.slot(path))
    }

    /// The value that holds, if there is one and it was understood.
    pub(crate) fn get(self, path: &str) -> Option<&'a Value> {
        self.slot(path)
            .filter(|slot| slot.sound)
            .and_then(|slot| slot.value.as_ref())
    }

    /// Where to point for a fault between these keys: at the first of them that the table itself sets, or else at the
    /// first that anybody wrote.
    pub(crate) fn place(self, paths: &[&str]) -> Option<Place> {
        let own = self.own.map(|layer| Self {
            own: Some(layer),
            inherited: None,
        });
        own.into_iter().chain([self]).find_map(|view| {
            paths
                .iter()
                .find_map(|path| view.slot(path)?.origin.place().cloned())
        })
    }

    /// Whether this table itself sets one of the keys, so that a fault between them is its own and not inherited.
    pub(crate) fn sets_any(self, paths: &[&str]) -> bool {
        self.own
            .is_none_or(|layer| paths.iter().any(|path| layer.slot(path).is_some()))
    }
}

/// Getters that know the kind of a key: `Option` where nothing holds, a panic where the caller errs about the kind.
macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $variant:ident -> $type:ty;)*) => {
        impl View<'_> {
            $($(#[$doc])*
            pub(crate) fn $name(self, path: &str) -> Option<$type> {
                match self.get(path)? {
                    Value::$variant(value) => Some(value.clone()),
                    other => unreachable!("the table of keys gives `{path}` another kind: {other}"),
                }
            })*
        }
    };
}

getters! {
    /// A switch.
    switch: Bool -> bool;
    /// A word of a closed list.
    word: Word -> &'static str;
    /// Words of a closed list.
    words: Words -> Vec<&'static str>;
    /// A time span.
    time: Time -> Duration;
    /// A number of bytes.
    size: Size -> usize;
    /// A whole number.
    count: Count -> u32;
    /// Milli-tokens.
    milli: Milli -> u64;
    /// Where to listen.
    address: Address -> SocketAddr;
    /// Where requests go.
    url: Url -> Url;
    /// A header's name.
    header: Header -> HeaderName;
    /// Methods.
    methods: Methods -> Vec<Method>;
    /// Any other text.
    text: Text -> String;
    /// What is never shown.
    secret: Secret -> HeaderValue;
}
