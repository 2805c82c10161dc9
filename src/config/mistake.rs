//! The faults of one key, wherever it was written: unknown, out of place, not of this build, or with a value that does not fit.

use super::fault::{Fault, meant};
use super::keys::{Key, Scope};
use super::kind::{Fit, Kind};
use super::origin::Place;
use super::parse::PEM;

/// The fault of a key that this build cannot honour.
pub(super) fn unsupported(key: &Key, feature: &str, place: Place) -> Fault {
    Fault::new(
        Some(place),
        format!(
            "`{}` is not supported: this redrive was built without the feature `{feature}`",
            key.path
        ),
        format!("leave it out, or use a redrive that was built with `--features {feature}`"),
    )
}

/// The fault of a secret in a file.
pub(super) fn misplaced(key: &Key, place: Place) -> Fault {
    Fault::new(
        Some(place),
        format!("`{}` is a secret, and no file's business", key.path),
        format!(
            "set {}, or name the file that holds nothing else by `{}_file`",
            key.variable(),
            key.path
        ),
    )
    .secret()
}

/// The fault of a part of a value that the key does not take.
pub(super) fn unfit(key: &Key, fit: &Fit, place: &Place) -> Fault {
    let verb = if key.kind.is_list() { "hold" } else { "be" };
    let mut expected = format!("expected {}", fit.misfit.expected);
    if let Some(meant) = &fit.misfit.meant {
        expected.push_str(&format!("; did you mean {meant}?"));
    }
    // A password or a key in a URL, or a private key in the place of its file's name.
    let has_secret = match key.kind {
        Kind::Url => fit.written.contains(['@', '?']),
        Kind::Secret => true,
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

/// The fault of a name that is no key's; `section` is the table that it stands in.
pub(super) fn unknown(scope: Scope, section: &str, name: &str, path: &str, place: Place) -> Fault {
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

/// The list that a scope's tables stand in.
pub(super) fn name_of(scope: Scope) -> &'static str {
    match scope {
        Scope::Classify => "classify",
        Scope::Route | Scope::Top => "route",
    }
}

/// Names, as a sentence lists them.
pub(super) fn ticked(names: &[&str]) -> String {
    let ticked: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    ticked.join(", ")
}

/// The most of a wrong value that a message repeats; the excerpt shows the rest.
const WRITTEN_CHARS_MAX: usize = 60;
