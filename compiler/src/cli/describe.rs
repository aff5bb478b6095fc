//! `chainmail describe`.

use chainmail_compiler::describe::{Fold, describe, find_policy, json, text};
use clap::ValueEnum;

use super::formats::{FMT, Output, Outputs};
use super::input::{FindingArgs, InputArgs, Purpose, loaded};
use super::{Exit, Failure, Screen};

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
    #[arg(short, long, value_name = FMT, value_parser = Output::<Format>::parser(), default_value = "text")]
    output: Vec<Output<Format>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As kubectl prints it.
    Text,
    /// One document, with lists in full.
    Json,
}

pub(super) fn run(args: &Args, screen: Screen) -> Result<Exit, Failure> {
    let outputs = Outputs::new(&args.output)?;
    let sources = args.input.sources()?;
    let loaded = loaded(&sources, args.findings, Purpose::Query, screen)?;
    let cluster = loaded.cluster.with_assumed_pods();
    let policy = find_policy(&cluster, &args.policy).map_err(|e| Failure::input(&e))?;
    let description = describe(&cluster, &sources, policy);
    let fold = if args.all { Fold::Nothing } else { Fold::Long };
    outputs.print(screen, |format, _| match format {
        Format::Text => text(&description, fold),
        Format::Json => json(&description),
    })?;
    Ok(Exit::Done)
}
