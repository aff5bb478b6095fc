//! `chainmail prove`.

use std::path::PathBuf;

use chainmail_contract::{Family, NodeName, read};
use chainmail_pipeline::Compiler;
use chainmail_prove::{Flaw, FlawText, Prover, live};
use clap::ValueEnum;
use serde::Serialize;

use super::formats::{FMT, Output, Outputs};
use super::input::{FindingArgs, InputArgs, Purpose, loaded};
use super::{Exit, Failure, Screen, nodes, output, save};

/// Prove that rules do what the policies say, for every packet; exit 1 and show one that is treated otherwise.
///
/// Without --snapshots or --live the manifests are compiled and what comes out is proven.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    findings: FindingArgs,
    /// Prove the snapshots in this folder, as `compile --out` wrote them.
    #[arg(long, value_name = "DIR", conflicts_with = "live")]
    snapshots: Option<PathBuf>,
    /// Prove this node only; may be given again.
    #[arg(long, value_name = "NODE")]
    node: Vec<NodeName>,
    /// Prove what a kernel holds for the node: what iptables-save, ip6tables-save and ipset save printed, one file each,
    /// told apart by content; without files these programs are run here.
    #[arg(long, value_name = "FILE", num_args = 0.., requires = "node")]
    live: Option<Vec<PathBuf>>,
    /// How to say what was found.
    #[arg(short, long, value_name = FMT, value_parser = Output::<Format>::parser(), default_value = "text")]
    output: Vec<Output<Format>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As people read it.
    Text,
    /// One object a node: its name, and its flaws with the packets that show them.
    Json,
}

/// What was found of a node, as programs read it.
#[derive(Serialize)]
struct Found<'f> {
    node: &'f NodeName,
    flaws: Vec<FlawText<'f>>,
}

pub(super) fn run(args: &Args, screen: Screen) -> Result<Exit, Failure> {
    let outputs = Outputs::new(&args.output)?;
    let sources = args.input.sources()?;
    let loaded = loaded(&sources, args.findings, Purpose::Query, screen)?;
    let cluster = &loaded.cluster;
    let nodes = nodes::selected(cluster, &args.node)?;
    let mut prover = Prover::new(cluster, &sources);
    if let Some(files) = &args.live {
        let [node] = &nodes[..] else {
            return Err(Failure::usage("--live proves the kernel of one node; give one --node"));
        };
        let texts = if files.is_empty() { save::tools() } else { save::files(files) };
        let texts = texts.map_err(|error| Failure::input(&error))?;
        let kernel = live::read(&texts).map_err(|error| Failure::input(&error))?;
        return report(&[(&node.name, prover.live(node, &kernel))], "the kernel's rules", &outputs, screen);
    }
    let mut found = Vec::new();
    match &args.snapshots {
        Some(folder) => {
            for node in nodes {
                let snapshot = read::snapshot(folder, &node.name).map_err(|error| Failure::input(&error))?;
                let sets = snapshot.sets().iter().map(|(name, text)| (name, &**text));
                let rules = Family::ALL.map(|family| snapshot.rules(family));
                found.push((&node.name, prover.text(node, rules, sets)));
            }
        }
        None => {
            let mut compiler = Compiler::new(cluster, &sources);
            for node in nodes {
                found.push((&node.name, prover.snapshot(node, &compiler.snapshot(node))));
            }
        }
    }
    report(&found, "the rules", &outputs, screen)
}

/// A node, and what of it does not hold.
type Judged<'n> = (&'n NodeName, Result<(), Vec<Flaw>>);

/// Says what was found of each node.
fn report(
    found: &[Judged<'_>],
    what: &str,
    outputs: &Outputs<Format>,
    screen: Screen,
) -> Result<Exit, Failure> {
    outputs.print(screen, |format, _| render(found, format))?;
    let wrong = found.iter().filter(|(_, proven)| proven.is_err()).count();
    let nodes = |count| output::counted(count, "node", "nodes");
    if wrong == 0 {
        output::error_line(&format!("proven: {what} of {} do what the policies say", nodes(found.len())));
        return Ok(Exit::Done);
    }
    output::error_line(&format!("{what} of {} do something else than the policies say", nodes(wrong)));
    Ok(Exit::Differences)
}

fn render(found: &[Judged<'_>], format: Format) -> String {
    let mut text = String::new();
    for (node, proven) in found {
        let flaws = proven.as_ref().err().map_or(&[][..], Vec::as_slice);
        match format {
            Format::Text => text.extend(flaws.iter().map(|flaw| format!("node {node}: {flaw}\n"))),
            Format::Json => {
                let found = Found { node, flaws: flaws.iter().map(Flaw::text).collect() };
                text.push_str(&serde_json::to_string(&found).expect("what was found has only string keys"));
                text.push('\n');
            }
        }
    }
    text
}
