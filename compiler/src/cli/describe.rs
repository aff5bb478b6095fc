//! `chainmail describe`.

use chainmail_compiler::describe::{Fold, describe, find_policy, json, text};
use clap::ValueEnum;

use super::input::{FindingArgs, InputArgs, Purpose, loaded};
use super::{Exit, Failure, Screen, output};

/// Say what a policy means, in the words of `kubectl describe networkpolicy`, and whom each line means now.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// NAMESPACE/NAME, or NAME where only one policy is called so.
    #[arg(value_name = "POLICY")]
    policy: String,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    findings: FindingArgs,
    /// Show long lists in full.
    #[arg(long)]
    all: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As kubectl prints it.
    Text,
    /// One document, with lists in full.
    Json,
}

pub(super) fn run(args: &Args, screen: Screen) -> Result<Exit, Failure> {
    let sources = args.input.sources()?;
    let loaded = loaded(&sources, args.findings, Purpose::Query, screen)?;
    let policy = find_policy(&loaded.cluster, &args.policy).map_err(|e| Failure::input(&e))?;
    let description = describe(&loaded.cluster, &sources, policy);
    let fold = if args.all { Fold::Nothing } else { Fold::Long };
    match args.output {
        Format::Text => output::text(&text(&description, fold)),
        Format::Json => output::text(&json(&description)),
    }
}
