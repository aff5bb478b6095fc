//! `chainmail query`.

use std::io::BufRead as _;

use chainmail_manifest::source::Sources;
use chainmail_model::Cluster;
use chainmail_model::semantics::{Service, Verdict};
use chainmail_pipeline::Compiler;
use chainmail_review::query::{Endpoint, Engine, Probe};
use clap::ValueEnum;
use serde::Serialize;

use super::effort::EffortArgs;
use super::formats::{FMT, Output, Outputs};
use super::input::{FindingArgs, InputArgs, Purpose, loaded};
use super::{Exit, Failure, Screen, matrix, output};

/// Ask who may talk to whom: all pairs of --from and --to, or probes on standard input, one verdict a line.
///
/// SEL is NAMESPACE/POD, NAMESPACE/KIND/NAME (a workload), NAMESPACE/KEY=VALUE,…, NAMESPACE/*, * (every pod), an
/// address, a network, or `outside`: every address that is nobody's. Workloads without pods are asked about as if each had
/// one. A probe is a JSON line {"src":"shop/web","dst":"10.0.0.9","protocol":"TCP","port":80,
/// "family":4}; its ends are NAMESPACE/POD, addresses or `outside`, protocol is TCP if absent, family is 4 or 6 and
/// optional.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    findings: FindingArgs,
    /// Who sends; may be given again.
    #[arg(long, value_name = "SEL", requires = "to")]
    pub(super) from: Vec<Endpoint>,
    /// Who receives; may be given again.
    #[arg(long, value_name = "SEL", requires = "from")]
    pub(super) to: Vec<Endpoint>,
    /// Ask about this service only: PORT, PORT/udp, PORT/sctp or icmp [default: which services are allowed].
    #[arg(long, value_name = "PORT[/PROTO]", requires = "from")]
    pub(super) port: Option<Service>,
    /// Refuse more pairs than this.
    #[arg(long, value_name = "PAIRS", default_value_t = 40_000, requires = "from")]
    pub(super) limit: usize,
    #[command(flatten)]
    pub(super) effort: EffortArgs,
    /// What answers [default: both for --from and --to, rules for probes].
    #[arg(long, value_enum)]
    engine: Option<EngineName>,
    /// How to answer [default: list for --from and --to, plain for probes].
    #[arg(short, long, value_name = FMT, value_parser = Output::<Format>::parser())]
    pub(super) output: Vec<Output<Format>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineName {
    /// The rules that nodes load, read back from their text and walked.
    Rules,
    /// The policies, as the API text reads.
    Policy,
    /// Both; that they disagree is an error.
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Of a probe, `allow` or `deny`.
    Plain,
    /// Of a probe, it with its verdict, one JSON line; of pairs, one document.
    Json,
    /// A line a pair.
    List,
    /// A row a sender, a column a receiver.
    Matrix,
    /// A record a pair.
    Csv,
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    probe: &'a Probe,
    verdict: &'static str,
}

pub(super) fn run(args: &Args, screen: Screen) -> Result<Exit, Failure> {
    let outputs = Outputs::new(&args.output)?;
    let sources = args.input.sources()?;
    let loaded = loaded(&sources, args.findings, Purpose::Query, screen)?;
    let cluster = loaded.cluster.with_assumed_pods();
    if args.from.is_empty() {
        let engine = engine(args.engine.unwrap_or(EngineName::Rules), &cluster, &sources)?;
        probes(&cluster, &engine, &outputs.or(Format::Plain))
    } else {
        let outputs = outputs.or(Format::List);
        let ends = matrix::ends(args, &outputs, &cluster)?;
        let engine = engine(args.engine.unwrap_or(EngineName::Both), &cluster, &sources)?;
        matrix::run(args, &outputs, screen, &cluster, &engine, ends)
    }
}

fn engine<'a>(name: EngineName, cluster: &'a Cluster, sources: &'a Sources) -> Result<Engine<'a>, Failure> {
    let rules = || {
        let mut compiler = Compiler::new(cluster, sources);
        compiler.engine(cluster).map_err(|e| Failure::input(&e))
    };
    Ok(match name {
        EngineName::Policy => Engine::Policy(cluster),
        EngineName::Rules => Engine::Rules(rules()?),
        EngineName::Both => Engine::Both(rules()?),
    })
}

fn probes(cluster: &Cluster, engine: &Engine<'_>, outputs: &Outputs<Format>) -> Result<Exit, Failure> {
    let Some(format @ (Format::Plain | Format::Json)) = outputs.only_stdout() else {
        let message = "probes are answered line by line as plain or json; other formats and files are for --from and --to";
        return Err(Failure::usage(message));
    };
    let mut answers = String::new();
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        let fail =
            |problem: String| Failure { exit: Exit::Input, message: format!("probe {number}: {problem}") };
        let line = line.map_err(|e| fail(e.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let probe: Probe = serde_json::from_str(&line).map_err(|e| fail(e.to_string()))?;
        let packet = probe.packet(cluster).map_err(|e| fail(e.to_string()))?;
        let verdict = match engine.judge(&packet).map_err(|e| fail(e.to_string()))? {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
        };
        if format == Format::Json {
            let answer = Answer { probe: &probe, verdict };
            answers.push_str(&serde_json::to_string(&answer).expect("an answer has only string keys"));
        } else {
            answers.push_str(verdict);
        }
        answers.push('\n');
        // Line by line, so that a wrong probe does not take the answers before it with it.
        output::text(&answers)?;
        answers.clear();
    }
    Ok(Exit::Done)
}
