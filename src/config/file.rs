//! The file format: walks a TOML document by the table of keys, and reports everything that does not fit.
//!
//! A deserializer would stop at its first fault and loses the place of values in nested enums; walking the parsed
//! document keeps both. The same walk reads a whole configuration, a list of routes or a single table, since a variable
//! may hold any of them.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::fault::{Fault, meant};
use super::keys::{ARRAY_ITEMS_MAX, ARRAYS, Key, Scope, variable};
use super::kind::{Fit, Kind};
use super::layer::{Layer, Layers};
use super::origin::{Origin, Place, Source};
use super::parse::PEM;

/// Reads one document, and notes what does not fit.
pub(crate) struct Reader<'a> {
    source: &'a Arc<Source>,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Reader<'a> {
    /// A reader of this text.
    pub(crate) fn new(source: &'a Arc<Source>, faults: &'a mut Vec<Fault>) -> Self {
        Self { source, faults }
    }

    /// Reads a whole configuration over what is there.
    pub(crate) fn read_file(&mut self, layers: &mut Layers) {
        let text = Arc::clone(self.source);
        let (table, errors) = DeTable::parse_recoverable(&text.text);
        if self.is_well_formed(&errors) {
            self.walk_top(table.get_ref(), layers);
        } else {
            // Nobody knows what it would have said.
            layers.is_whole = false;
        }
    }

    /// Reads the value of a variable that holds a list of tables; it replaces the list that is there.
    pub(crate) fn read_list(&mut self, scope: Scope, layers: &mut Layers) {
        let text = Arc::clone(self.source);
        let (value, errors) = DeValue::parse_recoverable(&text.text);
        if self.is_well_formed(&errors) {
            self.walk_list(name_of(scope), scope, &value, layers);
        }
    }

    /// Reads the value of a variable that holds the table `section`, over what is there.
    pub(crate) fn read_section(&mut self, section: &str, layers: &mut Layers) {
        let text = Arc::clone(self.source);
        let (value, errors) = DeValue::parse_recoverable(&text.text);
        if self.is_well_formed(&errors) {
            self.walk_section(Scope::Top, section, &value, &mut layers.top);
        }
    }

    fn is_well_formed(&mut self, errors: &[toml::de::Error]) -> bool {
        for error in errors {
            let (what, expected) = match error.message().split_once(", expected ") {
                Some((what, expected)) => (what.to_owned(), format!("expected {expected}")),
                None => (error.message().to_owned(), "expected valid TOML".to_owned()),
            };
            let place = error.span().map(|span| self.place(span));
            self.faults.push(Fault::new(place, what, expected));
        }
        errors.is_empty()
    }

    fn walk_top(&mut self, table: &DeTable<'_>, layers: &mut Layers) {
        for (key, value) in table {
            let array = ARRAYS.iter().find(|(name, _)| name == key.get_ref());
            match array {
                Some((name, scope)) => self.walk_list(name, *scope, value, layers),
                None => self.walk_entry(Scope::Top, "", key, value, &mut layers.top),
            }
        }
    }

    fn walk_list(
        &mut self,
        name: &str,
        scope: Scope,
        value: &Spanned<DeValue<'_>>,
        layers: &mut Layers,
    ) {
        let form = format!("expected a list of tables: [[{name}]]");
        let DeValue::Array(items) = value.get_ref() else {
            let what = format!("`{name}` is not a list");
            self.fault(value, what, form);
            return;
        };
        if items.len() > ARRAY_ITEMS_MAX {
            let what = format!("{} tables in `{name}`", items.len());
            self.fault(value, what, format!("expected at most {ARRAY_ITEMS_MAX}"));
            return;
        }
        *layers.list(scope) = self.walk_items(name, scope, items, &form);
    }

    fn walk_items(
        &mut self,
        name: &str,
        scope: Scope,
        items: &DeArray<'_>,
        form: &str,
    ) -> Vec<Layer> {
        let mut list = Vec::new();
        for item in items.iter() {
            let DeValue::Table(table) = item.get_ref() else {
                let what = format!("`{name}` holds something that is not a table");
                self.fault(item, what, form.to_owned());
                continue;
            };
            let mut layer = Layer::at(self.place(item.span()));
            for (key, value) in table {
                self.walk_entry(scope, "", key, value, &mut layer);
            }
            list.push(layer);
        }
        list
    }

    fn walk_section(
        &mut self,
        scope: Scope,
        section: &str,
        value: &Spanned<DeValue<'_>>,
        layer: &mut Layer,
    ) {
        let DeValue::Table(table) = value.get_ref() else {
            let names = ticked(&scope.names_in(section));
            let what = format!("`{section}` is not a table");
            self.fault(value, what, format!("expected a table of {names}"));
            return;
        };
        layer.note_table(section);
        for (key, value) in table {
            self.walk_entry(scope, section, key, value, layer);
        }
    }

    fn walk_entry(
        &mut self,
        scope: Scope,
        section: &str,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        layer: &mut Layer,
    ) {
        let name = key.get_ref().as_ref();
        let path = if section.is_empty() {
            name.to_owned()
        } else {
            format!("{section}.{name}")
        };
        // A quoted name may hold a dot, and would otherwise pass for a path.
        let is_plain = !name.contains('.');
        match scope.key(&path).filter(|_| is_plain) {
            Some(known) if !known.supported => {
                self.faults.push(unsupported(known, self.place(key.span())))
            }
            Some(known) => self.walk_leaf(known, value, layer),
            None if is_plain && scope.is_section(&path) => {
                self.walk_section(scope, &path, value, layer);
            }
            None => {
                let place = self.place(key.span());
                self.faults
                    .push(unknown(scope, section, name, &path, place));
            }
        }
    }

    fn walk_leaf(&mut self, key: &'static Key, value: &Spanned<DeValue<'_>>, layer: &mut Layer) {
        let place = self.place(value.span());
        take(key, key.kind.read_toml(value), place, layer, self.faults);
    }

    fn fault(&mut self, value: &Spanned<DeValue<'_>>, what: String, expected: String) {
        let place = self.place(value.span());
        self.faults.push(Fault::new(Some(place), what, expected));
    }

    fn place(&self, span: std::ops::Range<usize>) -> Place {
        Place {
            source: Arc::clone(self.source),
            span,
        }
    }
}

/// Puts a value in its slot, or notes why it is none.
pub(crate) fn take(
    key: &'static Key,
    read: Result<super::value::Value, Vec<Fit>>,
    place: Place,
    layer: &mut Layer,
    faults: &mut Vec<Fault>,
) {
    match read {
        Ok(value) => layer.set(key.path, value, Origin::Written(place)),
        Err(fits) => {
            faults.extend(fits.iter().map(|fit| unfit(key, fit, &place)));
            layer.spoil(key.path, place);
        }
    }
}

/// The fault of a key that this version does not honour.
pub(crate) fn unsupported(key: &Key, place: Place) -> Fault {
    Fault::new(
        Some(place),
        format!("`{}` is not supported by this version", key.path),
        "leave it out",
    )
}

fn unfit(key: &Key, fit: &Fit, place: &Place) -> Fault {
    let verb = if key.kind.is_list() { "hold" } else { "be" };
    let mut expected = format!("expected {}", fit.misfit.expected);
    if let Some(meant) = &fit.misfit.meant {
        expected.push_str(&format!("; did you mean {meant}?"));
    }
    // A password or a key in a URL, or a private key in the place of its file's name.
    let has_secret = match key.kind {
        Kind::Url => fit.written.contains(['@', '?']),
        kind => kind == Kind::Text && fit.written.contains(PEM),
    };
    let what = if has_secret {
        format!("`{}` holds what may be a secret", key.path)
    } else {
        let written: String = fit.written.chars().take(WRITTEN_CHARS_MAX).collect();
        format!("`{}` cannot {verb} `{written}`", key.path)
    };
    let fault = Fault::new(Some(place.part(fit.part.clone())), what, expected);
    if has_secret { fault.secret() } else { fault }
}

fn unknown(scope: Scope, section: &str, name: &str, path: &str, place: Place) -> Fault {
    let names = scope.names_in(section);
    let elsewhere = || {
        let tail = format!(".{name}");
        scope
            .keys()
            .find(|key| key.path.ends_with(&tail))
            .map(|key| key.path)
    };
    let help = if let Some(near) = meant(name, names.iter().copied()) {
        format!("did you mean `{near}`?")
    } else if let Some(path) = elsewhere() {
        format!("did you mean `{path}`?")
    } else {
        format!("expected one of {}", ticked(&names))
    };
    let what = match scope {
        Scope::Top => format!("unknown key `{path}`"),
        Scope::Route | Scope::Classify => {
            format!("unknown key `{path}` in [[{}]]", name_of(scope))
        }
    };
    Fault::new(Some(place), what, help)
}

fn name_of(scope: Scope) -> &'static str {
    match scope {
        Scope::Classify => "classify",
        Scope::Route | Scope::Top => "route",
    }
}

fn ticked(names: &[&str]) -> String {
    let ticked: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    ticked.join(", ")
}

/// The variable of a key, for messages about what could be set instead.
pub(crate) fn variables() -> Vec<String> {
    let keys = Scope::Top.keys().map(Key::variable);
    keys.chain(ARRAYS.map(|(name, _)| variable(name))).collect()
}

/// The most of a wrong value that a message repeats; the excerpt shows the rest.
const WRITTEN_CHARS_MAX: usize = 60;
