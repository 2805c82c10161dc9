//! `redrive check`: is this configuration valid, what does it say, and what would it make of that answer?
//!
//! Returns text and prints nothing, so that it can be tested. Classifying a saved answer stands in `explain`, reading one
//! in `saved`.

use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::path::Path;

use crate::cli::CheckArgs;
use crate::config::{self, Config, Effective, Fault, Loaded, Sources};

mod explain;
mod saved;

pub use self::saved::Malformed;

/// What a check found, all being well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// For stdout.
    pub text: String,
    /// For stderr; empty where there is nothing to warn of.
    pub warnings: String,
}

/// Why a check came to nothing, or found what it looked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration has faults.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The saved answer cannot be read.
    #[error("cannot read {name}")]
    Unreadable {
        /// Its file.
        name: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The saved answer is not one.
    #[error(
        "{name} is not a saved HTTP/1.1 response (head, empty line, body, as `curl -i` prints it)"
    )]
    NotAnAnswer {
        /// Its file.
        name: String,
        /// What is wrong with it.
        #[source]
        source: Malformed,
    },
}

impl Error {
    /// The program's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_CONFIG,
            Self::Unreadable { .. } | Self::NotAnAnswer { .. } => EXIT_OTHER,
        }
    }
}

/// Does what the arguments ask.
///
/// # Errors
/// A configuration with faults, or an answer that cannot be read.
pub fn run(args: CheckArgs) -> Result<Report, Error> {
    if args.schema {
        return Ok(Report {
            text: format!("{:#}", config::schema()),
            warnings: String::new(),
        });
    }
    let sources = args.config.sources();
    match args.explain {
        Some(path) => {
            let bytes = read_answer(&path)?;
            explained(&path.to_string_lossy(), &bytes, sources)
        }
        None => {
            let loaded = Config::load(&sources)?;
            loaded.check_files()?;
            let text = if args.print {
                print(&loaded.effective)
            } else {
                summary(&loaded)
            };
            Ok(Report {
                text,
                warnings: warnings(&loaded.warnings),
            })
        }
    }
}

/// Explains an answer under the configuration, or under the defaults where nothing says where requests go.
fn explained(name: &str, bytes: &[u8], mut sources: Sources<'_>) -> Result<Report, Error> {
    let loaded = match Config::load(&sources) {
        // What an answer means does not depend on where it came from.
        Err(error) if error.is_only_missing_upstream() => {
            sources.flags.upstream = Some(NO_UPSTREAM.to_owned());
            Config::load(&sources)?
        }
        result => result?,
    };
    let answer = saved::Answer::read(bytes).map_err(|source| Error::NotAnAnswer {
        name: name.to_owned(),
        source,
    })?;
    Ok(Report {
        text: explain::explain(&answer, &loaded.config),
        warnings: warnings(&loaded.warnings),
    })
}

fn read_answer(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes))
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(source) => Err(Error::Unreadable {
            name: path.display().to_string(),
            source,
        }),
    }
}

fn summary(loaded: &Loaded) -> String {
    let config = &loaded.config;
    let mut text = "configuration is valid\n".to_owned();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        writeln!(text, "  {name:<9} {value}").ok();
    };
    let routes = &config.proxy.routes;
    if let Some(route) = routes.last() {
        let upstream = &route.upstream;
        line(
            "upstream",
            format!(
                "{}://{}{}",
                upstream.scheme, upstream.authority, upstream.base_path
            ),
        );
    }
    line("listen", config.server.listen.to_string());
    line("admin", config.admin.listen.to_string());
    let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
    line("routes", names.join(", "));
    if let Some(file) = &loaded.file {
        line("file", file.display().to_string());
    }
    let fixed = config::tables_of_a_restart().join(", ");
    line("restart", format!("{fixed}; a reload changes all else"));
    text
}

/// Every value in a column, every origin in another.
fn print(effective: &[Effective]) -> String {
    let width = |of: fn(&Effective) -> &str| {
        let longest = effective.iter().map(|line| of(line).chars().count()).max();
        longest.unwrap_or(0).min(COLUMN_CHARS_MAX)
    };
    let (keys, values) = (width(|line| &line.key), width(|line| &line.value));
    let lines: Vec<String> = effective
        .iter()
        .map(|line| {
            let Effective {
                key,
                value,
                origin,
                needs_restart,
            } = line;
            let restart = if *needs_restart {
                "; a change needs a restart"
            } else {
                ""
            };
            format!("{key:<keys$} = {value:<values$}  # {origin}{restart}")
        })
        .collect();
    lines.join("\n")
}

/// The warnings as blocks; empty where there are none.
pub fn warnings(faults: &[Fault]) -> String {
    let blocks: Vec<String> = faults
        .iter()
        .map(|fault| format!("warning: {fault}"))
        .collect();
    blocks.join("\n")
}

/// The configuration is wrong (`EX_CONFIG` of BSD's sysexits).
pub const EXIT_CONFIG: u8 = 78;

/// Anything that has no code of its own.
pub const EXIT_OTHER: u8 = 1;

/// Stands for the upstream where none is needed; `.invalid` never resolves (RFC 6761).
const NO_UPSTREAM: &str = "http://upstream.invalid";

/// The most that is read of a saved answer: bodies beyond 10 MiB pass no API Gateway, and only their start is looked at.
const ANSWER_BYTES_MAX: u64 = 11 << 20;

/// The widest column; what is longer pushes the rest of its line.
const COLUMN_CHARS_MAX: usize = 40;

#[cfg(test)]
mod tests;
