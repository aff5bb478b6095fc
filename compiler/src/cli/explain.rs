//! `chainmail explain`.

use chainmail_model::semantics::Service;
use chainmail_model::{Cluster, Node};
use chainmail_pipeline::Compiler;
use chainmail_report::inert;
use chainmail_review::explain::{explain, json, text};
use chainmail_review::query::{End, Endpoint, Who, forwarding_nodes};
use clap::ValueEnum;

use super::formats::{FMT, Output, Outputs};
use super::input::{FindingArgs, InputArgs, Purpose, loaded};
use super::{Exit, Failure, Screen, output};

/// Say why a connection is allowed or denied: policies and rules with their places, and each node's deciding rule.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Who sends: NAMESPACE/POD, NAMESPACE/KIND/NAME (a workload), an address, or `outside`.
    #[arg(value_name = "SRC")]
    source: Endpoint,
    /// Who receives: NAMESPACE/POD, NAMESPACE/KIND/NAME (a workload), an address, or `outside`.
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
    let reviewed = loaded.cluster.with_assumed_pods();
    let source = one_end(&args.source, &reviewed)?;
    let destination = one_end(&args.destination, &reviewed)?;
    // Where no end is assumed the rules are those that nodes have, not those that they would have.
    let assumed = [&source, &destination].iter().any(|end| matches!(end.who, Who::Assumed(_)));
    let cluster: &Cluster = if assumed { &reviewed } else { &loaded.cluster };
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
    let rules = compiler.engine_of(cluster, nodes).map_err(|e| Failure::input(&e))?;
    let explanations = explain(cluster, &sources, &rules, (&source, &destination), args.service)
        .map_err(|e| Failure::input(&e))?;
    outputs.print(screen, |format, _| match format {
        Format::Text => inert(&text(&explanations)),
        Format::Json => json(&explanations),
    })?;
    Ok(Exit::Done)
}

/// The end that is explained; of a workload with several pods the first.
fn one_end(endpoint: &Endpoint, cluster: &Cluster) -> Result<End, Failure> {
    if !matches!(endpoint, Endpoint::Workload { .. }) {
        return endpoint.end(cluster).map_err(|e| Failure::input(&e));
    }
    let mut ends = endpoint.ends(cluster).map_err(|e| Failure::input(&e))?;
    if ends.len() > 1 {
        output::error_line(&format!("{endpoint} has {} pods; explained is {}", ends.len(), ends[0].who));
    }
    Ok(ends.swap_remove(0))
}
