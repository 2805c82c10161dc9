//! `redrive verify`: a real API against the classification table.

use clap::Args;

use crate::verify::{Address, Params};

/// `redrive verify`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct VerifyArgs {
    /// The output `Url` of the stack deploy/verify
    #[arg(value_name = "URL")]
    url: Address,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

impl From<VerifyArgs> for Params {
    fn from(args: VerifyArgs) -> Self {
        Self {
            url: args.url,
            json: args.json,
        }
    }
}

/// What the help ends with.
const EXAMPLE: &str = "\
Exit code:
  0 every case that the stack has is classified as expected, 1 one is not,
  69 the URL does not answer or is not that of the stack, 2 it is no URL

Example, without an account:
  redrive gateway &
  redrive verify http://127.0.0.1:7490/-/verify";
