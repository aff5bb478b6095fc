//! `chainmail schema`.

use chainmail_report::DIFF_SCHEMA;
use clap::ValueEnum;

use super::{Exit, Failure, output};

/// Print the JSON Schema of a command's JSON.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of which command.
    #[arg(value_enum)]
    of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    /// `chainmail diff -o json`.
    Diff,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    match args.of {
        Of::Diff => output::text(DIFF_SCHEMA),
    }
}
