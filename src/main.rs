//! The process: arguments in, exit code out. Everything else is in the library.

use std::path::Path;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser;
use redrive::check::{self, EXIT_OTHER};
use redrive::cli::{Cli, Command, EXIT_CANNOT_START, Failure, complain, say};
use redrive::config::Config;
use redrive::{app, demo, health, simulate, verify};
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before any TLS is built: two providers in one process would panic at the first handshake.
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    if provider.install_default().is_err() {
        complain("a TLS provider is installed already");
        return ExitCode::from(EXIT_OTHER);
    }
    match dispatch(cli.into_command()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.text);
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Check(args) => {
            let report = check::run(args).map_err(|e| Failure::new(e.exit_code(), &e))?;
            complain(&report.warnings);
            say(&report.text);
            Ok(())
        }
        Command::Health(args) => {
            health::run(args.sources()).map_err(|e| Failure::new(EXIT_OTHER, &e))
        }
        Command::Run(args) => {
            let sources = args.sources();
            let loaded =
                Config::load(&sources).map_err(|e| Failure::new(check::EXIT_CONFIG, &e))?;
            complain(&check::warnings(&loaded.warnings));
            loaded
                .check_files()
                .map_err(|e| Failure::new(check::EXIT_CONFIG, &e))?;
            let runtime = runtime()?;
            let source = app::Source::new(move || Config::load(&sources), &loaded);
            let ended = runtime.block_on(app::run(loaded.config, source));
            // A name is looked up on a thread that cannot be stopped; the end does not wait for a resolver that is silent.
            runtime.shutdown_background();
            ended.map_err(|e| Failure::new(e.exit_code(), &e))
        }
        Command::Demo(args) => {
            let ended = runtime()?.block_on(demo::run(args.into()));
            ended.map_err(|e| Failure::new(EXIT_OTHER, &e))
        }
        Command::Simulate(args) => {
            let loaded =
                Config::load(&args.sources()).map_err(|e| Failure::new(check::EXIT_CONFIG, &e))?;
            let params = args.params(&loaded);
            say(&simulate::told(&params, args.json));
            args.plot.map_or(Ok(()), |file| draw(&file, &params))
        }
        Command::Verify(args) => verified(&args.into()),
        Command::Gateway(args) => Ok(runtime()?.block_on(redrive::gateway::run(args.into()))?),
    }
}

/// Verifies a real API; that it is not as expected is a failure, and one to be told in a word.
fn verified(params: &verify::Params) -> Result<(), Failure> {
    let ended = runtime()?.block_on(verify::run(params, say));
    let report = ended.map_err(|e| Failure::new(EXIT_CANNOT_START, &e))?;
    if report.is_as_expected() {
        return Ok(());
    }
    Err(Failure {
        code: EXIT_OTHER,
        text: format!(
            "{} of {} cases are not as expected",
            report.faults(),
            report.cases()
        ),
    })
}

/// Draws a simulation into a file; the table has been told by then.
fn draw(file: &Path, params: &simulate::Params) -> Result<(), Failure> {
    std::fs::write(file, simulate::plot(params)).map_err(|source| Failure {
        code: EXIT_OTHER,
        text: format!("cannot write {}: {source}", file.display()),
    })
}

fn runtime() -> Result<Runtime, Failure> {
    // A quota of CPU is seen here, which the number of cores would not show.
    let workers = available_parallelism().map_or(1, usize::from);
    let mut builder = if workers == 1 {
        // On one core a second thread would only be another one to switch to.
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(|e| Failure::new(EXIT_OTHER, &e))
}
