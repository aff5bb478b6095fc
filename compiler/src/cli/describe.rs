//! `chainmail describe`.

use chainmail_report::inert;
use chainmail_review::describe::{Fold, describe, describe_workload, find_policy, json, text, workload_text};
use chainmail_review::query::Endpoint;
use clap::ValueEnum;

use super::formats::{FMT, Output, Outputs};
use super::input::{FindingArgs, InputArgs, Purpose, loaded};
use super::{Exit, Failure, Screen};

/// Say what a policy means, in the words of `kubectl describe networkpolicy`, and whom each line means now; or what
/// policies say of a workload.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A policy: NAMESPACE/NAME, or NAME where only one is called so; or a workload: NAMESPACE/KIND/NAME.
    #[arg(value_name = "POLICY | WORKLOAD")]
    name: String,
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
    let fold = if args.all { Fold::Nothing } else { Fold::Long };
    if let Ok(endpoint @ Endpoint::Workload { .. }) = args.name.parse() {
        let description = describe_workload(&cluster, &sources, &endpoint).map_err(|e| Failure::input(&e))?;
        outputs.print(screen, |format, _| match format {
            Format::Text => inert(&workload_text(&description, fold)),
            Format::Json => json(&description),
        })?;
        return Ok(Exit::Done);
    }
    let policy = find_policy(&cluster, &args.name).map_err(|e| Failure::input(&e))?;
    let description = describe(&cluster, &sources, policy);
    outputs.print(screen, |format, _| match format {
        Format::Text => inert(&text(&description, fold)),
        Format::Json => json(&description),
    })?;
    Ok(Exit::Done)
}
