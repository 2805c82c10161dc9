//! The configuration: from what an operator wrote to a struct of every module's parameters.
//!
//! Four layers, each covering the one before: defaults, file, environment, flags. [`load`](Config::load) reads them
//! all, collects every fault of every layer, and builds [`Config`] only when there is none: what comes out is valid, and
//! nobody downstream checks again. It reads no environment and no disk itself; both come in as arguments.
//!
//! The keys stand in `keys`, their defaults and the reasons in `defaults`; `file` and `env` read, `judge` finds
//! what is impossible together, `advice` what is odd, `build` makes the parameters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use crate::{admin, proxy, server, telemetry};

mod advice;
mod build;
mod defaults;
mod effective;
mod env;
mod fault;
mod file;
mod files;
mod judge;
mod keys;
mod kind;
mod layer;
mod origin;
mod parse;
mod quantity;
mod restart;
mod schema;
mod url;
mod value;
mod words;

#[cfg(test)]
mod tests;

pub use self::effective::Effective;
pub use self::fault::{Error, Fault};
pub use self::restart::tables_of_a_restart;
pub use self::schema::schema;

use self::file::Reader;
use self::layer::Layers;
use self::origin::Source;

/// Everything that redrive can be told, valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The client's side.
    pub server: server::Params,
    /// The operator's side.
    pub admin: admin::Params,
    /// The path of a request.
    pub proxy: proxy::Params,
    /// The longest that a drain takes (`shutdown.grace`).
    pub grace: Duration,
    /// Logs.
    pub log: telemetry::Params,
    /// What the operator is shown of all this; no secrets.
    pub settings: Vec<admin::Setting>,
}

/// Where a configuration comes from.
pub struct Sources<'a> {
    /// What the command line sets.
    pub flags: Flags,
    /// The environment; variables that do not begin with `REDRIVE_` are not looked at.
    pub env: BTreeMap<String, String>,
    /// Reads a file; [`read_file`] in the program, a map in a test.
    pub read: &'a (dyn Fn(&Path) -> io::Result<String> + Sync),
}

/// What the command line sets, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config FILE`.
    pub config: Option<PathBuf>,
    /// `--upstream URL`.
    pub upstream: Option<String>,
    /// `--listen ADDR`.
    pub listen: Option<String>,
    /// `--admin ADDR`.
    pub admin: Option<String>,
}

/// A configuration that was read without faults.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The parameters.
    pub config: Config,
    /// What is odd; each displays as a block of text like a fault.
    pub warnings: Vec<Fault>,
    /// Every value and where it came from.
    pub effective: Vec<Effective>,
    /// The file that was read, to be watched for changes; `None` where there is none.
    pub file: Option<PathBuf>,
    /// What that file held.
    pub text: Option<String>,
    /// Where the files of TLS are named.
    tls_places: files::Places,
}

impl Config {
    /// Reads every layer and builds the parameters.
    ///
    /// # Errors
    /// Every fault of every layer at once.
    pub fn load(sources: &Sources<'_>) -> Result<Loaded, Error> {
        let mut faults = Vec::new();
        let mut warnings = Vec::new();
        let mut layers = Layers::of_defaults();

        let (file, text) = read_document(sources, &mut layers, &mut faults, &mut warnings);
        env::read(&sources.env, &mut layers, &mut faults);
        env::read_flags(&sources.flags, &mut layers, &mut faults);
        faults.extend(judge::faults(&layers));

        match Error::from_faults(faults) {
            Some(error) => Err(error),
            None => {
                warnings.extend(advice::warnings(&layers));
                Ok(Loaded {
                    config: build::config(&layers),
                    warnings,
                    effective: effective::values(&layers),
                    file,
                    text,
                    tls_places: files::places(&layers),
                })
            }
        }
    }
}

/// Reads the file, or the variable that holds one, and says which file it was and what it held.
fn read_document(
    sources: &Sources<'_>,
    layers: &mut Layers,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> (Option<PathBuf>, Option<String>) {
    let inline = sources.env.get(env::CONFIG_TOML);
    let named = sources.env.get(env::CONFIG);
    let (path, place) = match (&sources.flags.config, named, inline) {
        (Some(path), _, inline) => {
            if inline.is_some() {
                warnings.push(Fault::new(
                    None,
                    format!("{} is not read", env::CONFIG_TOML),
                    "--config names a file, and a flag comes before the environment",
                ));
            }
            let place = Source::flag("--config", &path.to_string_lossy());
            (path.clone(), place)
        }
        (None, Some(path), Some(_)) => {
            faults.push(Fault::new(
                Some(Source::variable(env::CONFIG, path)),
                format!("{} and {} are both set", env::CONFIG, env::CONFIG_TOML),
                "expected one of them",
            ));
            return (None, None);
        }
        (None, Some(path), None) => (PathBuf::from(path), Source::variable(env::CONFIG, path)),
        (None, None, Some(text)) => {
            let source = Source::document(env::CONFIG_TOML, text);
            Reader::new(&source, faults).read_file(layers);
            return (None, None);
        }
        (None, None, None) => return (None, None),
    };
    match (sources.read)(&path) {
        Ok(text) => {
            let source = Source::document(&path.to_string_lossy(), &text);
            Reader::new(&source, faults).read_file(layers);
            (Some(path), Some(text))
        }
        Err(error) => {
            let what = format!("cannot read {}: {error}", path.display());
            faults.push(Fault::new(Some(place), what, "expected a readable file"));
            layers.is_whole = false;
            (Some(path), None)
        }
    }
}

/// Reads a configuration file from disk.
///
/// # Errors
/// Those of the file system, and a file that is larger than any configuration or is not UTF-8.
pub fn read_file(path: &Path) -> io::Result<String> {
    use io::Read as _;

    let mut text = String::new();
    std::fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes <= FILE_BYTES_MAX) {
        Ok(text)
    } else {
        Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {FILE_BYTES_MAX} bytes"),
        ))
    }
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment may hold secrets of others.
        out.debug_struct("Sources")
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// The name of what matches no route.
pub const DEFAULT_ROUTE: &str = "default";

/// The largest file that is read: far more than a route table of the largest size.
const FILE_BYTES_MAX: u64 = 1 << 20;
