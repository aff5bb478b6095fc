//! `chainmail explain`.

use chainmail_compiler::Compiler;
use chainmail_compiler::cluster::Node;
use chainmail_compiler::explain::{explain, json, text};
use chainmail_compiler::query::{Endpoint, RulesEngine, forwarding_nodes};
use chainmail_compiler::semantics::Service;
use clap::ValueEnum;

use super::formats::{FMT, Output, Outputs};
use super::input::{FindingArgs, InputArgs, Purpose, loaded};
use super::{Exit, Failure, Screen};

/// Say why a connection is allowed or denied: policies and rules with their places, and each node's deciding rule.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Who sends: NAMESPACE/POD, an address, or `outside`.
    #[arg(value_name = "SRC")]
    source: Endpoint,
    /// Who receives: NAMESPACE/POD, an address, or `outside`.
    #[arg(value_name = "DST")]
    destination: Endpoint,
    /// For what: PORT, PORT/udp, PORT/sctp or icmp.
    #[arg(value_name = "PORT[/PROTO]")]
    service: Service,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    findings: FindingArgs,
    /// How to print it.
    #[arg(short, long, value_name = FMT, value_parser = Output::<Format>::parser(), default_value = "text")]
    output: Vec<Output<Format>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A decision a line.
    Text,
    /// One document.
    Json,
}

pub(super) fn run(args: &Args, screen: Screen) -> Result<Exit, Failure> {
    let outputs = Outputs::new(&args.output)?;
    let sources = args.input.sources()?;
    let loaded = loaded(&sources, args.findings, Purpose::Query, screen)?;
    let cluster = &loaded.cluster;
    let source = args.source.end(cluster).map_err(|e| Failure::input(&e))?;
    let destination = args.destination.end(cluster).map_err(|e| Failure::input(&e))?;
    let pairs = source.pairs(&destination);
    if pairs.is_empty() {
        let message = format!("{} and {} have no address family in common", args.source, args.destination);
        return Err(Failure { exit: Exit::Input, message });
    }
    let mut nodes: Vec<&Node> =
        pairs.iter().flat_map(|(_, from, to)| forwarding_nodes(cluster, *from, *to)).collect();
    nodes.sort_by_key(|node| &node.name);
    nodes.dedup_by_key(|node| &node.name);
    let mut compiler = Compiler::new(cluster, &sources);
    let rules = RulesEngine::compile_nodes(cluster, &mut compiler, nodes).map_err(|e| Failure::input(&e))?;
    let explanations = explain(cluster, &sources, &rules, (&source, &destination), args.service)
        .map_err(|e| Failure::input(&e))?;
    outputs.print(screen, |format, _| match format {
        Format::Text => text(&explanations),
        Format::Json => json(&explanations),
    })?;
    Ok(Exit::Done)
}
