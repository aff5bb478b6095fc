//! `chainmail diff`.

use std::path::{Path, PathBuf};

use chainmail_compiler::Compiler;
use chainmail_compiler::diff::{FleetText, diff, render};
use chainmail_compiler::source::Sources;
use chainmail_snapshot::{Family, read};
use clap::ValueEnum;

use super::formats::{FMT, Output, Outputs};
use super::input::{BesideArgs, FindingArgs, Purpose, loaded};
use super::{Exit, Failure, Screen};

/// Show the rules and set members that change, node by node.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `A..B`, two revisions of the repository; or two folders, of manifests or of snapshots. Manifests are compiled,
    /// both sides with the same configuration and inventories where these are given; snapshots are compared as they are.
    #[arg(value_name = "A..B | A B", required = true, num_args = 1..=2)]
    sides: Vec<String>,
    /// The repository that the revisions are of [default: the current folder].
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Exit 1 where there is a difference.
    #[arg(long)]
    exit_code: bool,
    /// How to print it.
    #[arg(short, long, value_name = FMT, value_parser = Output::<Format>::parser(), default_value = "text")]
    output: Vec<Output<Format>>,
    #[command(flatten)]
    beside: BesideArgs,
    #[command(flatten)]
    findings: FindingArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(args: &Args, screen: Screen) -> Result<Exit, Failure> {
    let outputs = Outputs::new(&args.output)?;
    let (old, new) = match &args.sides[..] {
        [old, new] => (folder(Path::new(old), args, screen)?, folder(Path::new(new), args, screen)?),
        [range] => {
            let Some((old, new)) = range.split_once("..") else {
                return Err(Failure::usage(format!(
                    "{range:?} is one side; write A..B for revisions, or two folders"
                )));
            };
            let repo = args.repo.as_deref().unwrap_or(Path::new("."));
            let side = |rev: &str| {
                let rev = if rev.is_empty() { "HEAD" } else { rev };
                compiled(&args.beside.with_revision(repo, rev)?, args.findings, screen)
            };
            (side(old)?, side(new)?)
        }
        _ => return Err(Failure::usage("give A..B, or two folders")),
    };
    let difference = diff(&old, &new);
    outputs.print(screen, |format, style| match format {
        Format::Text => render(&difference, style),
        Format::Json => {
            let json = serde_json::to_string_pretty(&difference).expect("a difference has only string keys");
            json + "\n"
        }
    })?;
    Ok(if args.exit_code && !difference.is_empty() { Exit::Differences } else { Exit::Done })
}

/// A folder of snapshots as it is, any other one compiled.
fn folder(path: &Path, args: &Args, screen: Screen) -> Result<FleetText, Failure> {
    let mut fleet = FleetText::default();
    if let Some(snapshot) = read::joined_if_any(path).map_err(|e| Failure::input(&e))? {
        let rules = Family::ALL.map(|family| snapshot.rules(family).to_owned());
        fleet.add(snapshot.manifest().node.clone(), rules, snapshot.sets().clone());
        return Ok(fleet);
    }
    if !(path.join("nodes").is_dir() && path.join("sets").is_dir()) {
        return compiled(&args.beside.with_path(path)?, args.findings, screen);
    }
    for node in read::nodes(path).map_err(|e| Failure::input(&e))? {
        let snapshot = read::node_of_tree(path, &node).map_err(|e| Failure::input(&e))?;
        let rules = Family::ALL.map(|family| snapshot.rules(family).to_owned());
        fleet.add(node, rules, snapshot.sets().clone());
    }
    Ok(fleet)
}

fn compiled(sources: &Sources, findings: FindingArgs, screen: Screen) -> Result<FleetText, Failure> {
    let loaded = loaded(sources, findings, Purpose::Diff, screen)?;
    let mut compiler = Compiler::new(&loaded.cluster, sources);
    let mut fleet = FleetText::default();
    for node in compiler.nodes().collect::<Vec<_>>() {
        let snapshot = compiler.snapshot(node);
        let sets = snapshot.sets.into_iter().map(|(name, text)| (name, text.to_string()));
        fleet.add(node.name.clone(), [snapshot.rules_v4, snapshot.rules_v6], sets);
    }
    if fleet.nodes.is_empty() {
        let message =
            "one side has no node, so there is nothing to compare; is it the right folder or revision?";
        return Err(Failure { exit: Exit::Input, message: message.to_owned() });
    }
    Ok(fleet)
}
