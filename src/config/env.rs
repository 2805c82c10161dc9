//! The environment and the command line, as layers over the file.
//!
//! The environment comes in as a map: nothing here reads the process's own. Every variable that begins with `REDRIVE_`
//! must be one of ours, so that a misspelt one is not silently without effect; those that Kubernetes and Docker inject for
//! a service that happens to be called redrive are let pass.

use std::collections::BTreeMap;

use super::Flags;
use super::fault::{Fault, meant};
use super::file::{Reader, take, variables};
use super::keys::{ARRAYS, Key, PREFIX, Scope, variable};
use super::layer::Layers;
use super::mistake::unsupported;
use super::origin::Source;

/// Names the file.
pub(super) const CONFIG: &str = "REDRIVE_CONFIG";

/// Holds a whole file.
pub(super) const CONFIG_TOML: &str = "REDRIVE_CONFIG_TOML";

/// The short form of `REDRIVE_ADMIN__LISTEN`, as the flag.
const ADMIN: &str = "REDRIVE_ADMIN";

/// What a variable of ours stands for.
enum Target {
    /// The file, which is read elsewhere.
    File,
    /// A list of tables.
    List(Scope),
    /// A table, as inline TOML.
    Section(String),
    /// One key.
    Key(&'static Key),
    /// Nothing of ours.
    Foreign,
    /// Nothing at all.
    Unknown,
}

/// Reads every variable over what is there.
pub(super) fn read(env: &BTreeMap<String, String>, layers: &mut Layers, faults: &mut Vec<Fault>) {
    let ours: Vec<(&String, &String, Target)> = env
        .iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .map(|(name, value)| (name, value, target(name, value)))
        .collect();

    // Tables before single keys: the variable that says more about a key holds.
    for (name, value, target) in &ours {
        if value.trim().is_empty() && matches!(target, Target::List(_) | Target::Section(_)) {
            faults.push(Fault::new(
                Some(Source::variable(name, value)),
                format!("{name} is set to nothing"),
                "expected inline TOML; unset it to leave all as it is",
            ));
            continue;
        }
        let source = Source::document(name, value.trim());
        match target {
            Target::List(scope) => Reader::new(&source, faults).read_list(*scope, layers),
            Target::Section(path) => Reader::new(&source, faults).read_section(path, layers),
            _ => {}
        }
    }
    for (name, value, target) in &ours {
        match target {
            Target::Key(key) => {
                let place = Source::variable(name, value);
                match key.missing {
                    None => read_key(key, value, place, layers, faults),
                    Some(feature) => faults.push(unsupported(key, feature, place)),
                }
            }
            Target::Unknown => faults.push(unknown(name)),
            _ => {}
        }
    }
    let long = variable("admin.listen");
    let short_value = env.get(ADMIN).filter(|value| !is_table(value));
    if let (Some(short_value), true) = (short_value, env.contains_key(&long)) {
        faults.push(Fault::new(
            Some(Source::variable(ADMIN, short_value)),
            format!("{ADMIN} and {long} both set `admin.listen`"),
            "expected one of them",
        ));
    }
}

/// Reads the flags over what is there.
pub(super) fn read_flags(flags: &Flags, layers: &mut Layers, faults: &mut Vec<Fault>) {
    let given = [
        ("--upstream", "upstream", &flags.upstream),
        ("--listen", "listen", &flags.listen),
        ("--admin", "admin.listen", &flags.admin),
    ];
    for (flag, path, value) in given {
        if let (Some(value), Some(key)) = (value, Scope::Top.key(path)) {
            read_key(key, value, Source::flag(flag, value), layers, faults);
        }
    }
}

fn read_key(
    key: &'static Key,
    value: &str,
    place: super::origin::Place,
    layers: &mut Layers,
    faults: &mut Vec<Fault>,
) {
    if value.trim().is_empty() {
        faults.push(Fault::new(
            Some(place.clone()),
            format!("`{}` is set to nothing", key.path),
            format!(
                "expected {}; unset it to leave it at its default",
                key.kind.expected()
            ),
        ));
        layers.top.spoil(key.path, place);
        return;
    }
    take(
        key,
        key.kind.read_bare(value),
        place,
        &mut layers.top,
        faults,
    );
}

fn target(name: &str, value: &str) -> Target {
    if name == CONFIG || name == CONFIG_TOML {
        return Target::File;
    }
    if name == ADMIN
        && !is_table(value)
        && let Some(key) = Scope::Top.key("admin.listen")
    {
        return Target::Key(key);
    }
    let path = name[PREFIX.len()..].replace("__", ".").to_ascii_lowercase();
    // The way back must lead to the same name: `redrive_retry__on` and `REDRIVE_Retry__On` are not ours.
    if variable(&path) == name {
        if let Some((_, scope)) = ARRAYS.iter().find(|(array, _)| *array == path) {
            return Target::List(*scope);
        }
        if let Some(key) = Scope::Top.key(&path) {
            return Target::Key(key);
        }
        if Scope::Top.is_section(&path) {
            return Target::Section(path);
        }
    }
    if is_service_link(name, value) {
        Target::Foreign
    } else {
        Target::Unknown
    }
}

/// Whether the value is an inline table, and not an address.
fn is_table(value: &str) -> bool {
    value.trim_start().starts_with('{')
}

/// Whether the variable is one that Kubernetes or Docker injects for a service named `redrive` or `redrive-...`:
/// `..._SERVICE_HOST`, `..._SERVICE_PORT...`, `..._PORT=tcp://...` and `..._PORT_80_TCP...`.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_url = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    let has_protocol = |rest: &str| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let protocol = &rest[digits..];
        digits > 0
            && ["_TCP", "_UDP", "_SCTP"]
                .iter()
                .any(|known| protocol.starts_with(known))
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && is_url)
        || name
            .match_indices("_PORT_")
            .any(|(at, found)| has_protocol(&name[at + found.len()..]))
}

fn unknown(name: &str) -> Fault {
    let mut known = variables();
    known.extend([CONFIG, CONFIG_TOML, ADMIN].map(str::to_owned));
    // Its value is not shown: nobody knows what a variable holds that is not ours.
    let place = Source::variable(name, "");
    let array = ARRAYS
        .iter()
        .find(|(array, _)| name.starts_with(&format!("{}__", variable(array))));
    let help = if let Some((array, _)) = array {
        format!(
            "expected the whole list as inline TOML in {}",
            variable(array)
        )
    } else if let Some(near) = meant(name, known.iter().map(String::as_str)) {
        format!("did you mean {near}?")
    } else {
        format!(
            "expected a key's name with `__` between levels, like {}",
            variable("retry.max_attempts.throttled")
        )
    };
    let whole = 0..name.len();
    Fault::new(
        Some(place.at(whole)),
        format!("unknown variable {name}"),
        help,
    )
}
