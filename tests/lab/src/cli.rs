//! The command line of `chainmail-lab`.

mod cost;
mod demo;
mod output;
mod story;

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use chainmail_contract::Family;
use chainmail_manifest::source::SourceError;
use clap::{Args, Parser, Subcommand, ValueEnum};
use thiserror::Error;

use crate::cost::CostError;
use crate::fleet::FleetError;
use crate::lab::{self, Lab, LabError};
use crate::probe::Service;
use crate::programs::{Origin, ProgramError};
use crate::scenario::ScenarioError;
use crate::spec::{Backend, LabName, LabSpec, SpecError, Topology};
use crate::truth::TruthTable;

use output::Report;

/// Builds the cluster that manifests describe out of network namespaces, applies their policies in it, and sends real
/// packets.
///
/// Needs root. Nothing outside the lab's own namespaces (cml-NAME-…) is touched. The programs chainmail and chainmaild
/// are taken from CHAINMAIL_BIN_DIR, or from beside this one.
///
/// Exit codes: 0 done; 1 packets did not do what the rules say, or cost more than is committed; 2 usage; 3 manifests invalid, or the lab failed.
#[derive(Debug, Parser)]
#[command(name = "chainmail-lab", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds the lab, applies the policies, and leaves it up.
    Up(UpArgs),
    /// Tries every pair of endpoints and compares with what the rules say. Takes the lab of that --name, or builds one
    /// and takes it down again.
    Probe(ProbeArgs),
    /// Goes through a scenario from commit to commit: rules, tables and differences; as root also real packets.
    Demo(demo::DemoArgs),
    /// Goes through a scenario with the real daemons: a repository, a push, an unsigned commit, drift. Needs root.
    Story(story::StoryArgs),
    /// Measures what a node's rules cost a packet, against a lone conntrack rule.
    Cost(cost::CostArgs),
    /// Takes down the lab of that --name, or all that were built from these manifests.
    Down(DownArgs),
}

#[derive(Debug, Args)]
struct OriginArgs {
    /// The manifests' folder.
    #[arg(required_unless_present = "repo", conflicts_with = "repo")]
    path: Option<PathBuf>,
    /// The manifests' Git repository.
    #[arg(long, value_name = "DIR", requires = "rev")]
    repo: Option<PathBuf>,
    /// The revision of --repo.
    #[arg(long, requires = "repo")]
    rev: Option<String>,
}

impl OriginArgs {
    fn origin(&self) -> Option<Origin> {
        match (&self.path, &self.repo, &self.rev) {
            (Some(path), _, _) => Some(Origin::Folder(path.clone())),
            (None, Some(repo), Some(rev)) => Some(Origin::Revision { repo: repo.clone(), rev: rev.clone() }),
            (None, _, _) => None,
        }
    }
}

#[derive(Debug, Args)]
struct LabArgs {
    #[command(flatten)]
    origin: OriginArgs,
    /// The lab's name: its namespaces are cml-NAME-… [default: one that no other lab has]
    #[arg(long)]
    name: Option<LabName>,
    /// How nodes join their pods.
    #[arg(long, value_enum, default_value_t)]
    topology: Topology,
    /// Which iptables the nodes use.
    #[arg(long, value_enum, default_value_t)]
    backend: Backend,
    /// An address outside the cluster, as often as wanted [default: 198.51.100.7, and 2001:db8:ffff::7 with IPv6]
    #[arg(long, value_name = "ADDRESS")]
    outside: Vec<IpAddr>,
    /// How results are printed.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Args)]
struct UpArgs {
    #[command(flatten)]
    lab: LabArgs,
}

#[derive(Debug, Args)]
struct ProbeArgs {
    #[command(flatten)]
    lab: LabArgs,
    /// A port to try, such as 80/TCP, or ICMP, as often as wanted [default: the containers' ports, or 80/TCP]
    #[arg(long, value_name = "PORT/PROTOCOL")]
    port: Vec<Service>,
    /// Which addresses to try.
    #[arg(long, value_enum, default_value_t = Families::Both)]
    family: Families,
    /// Try the nodes too.
    #[arg(long)]
    nodes: bool,
}

#[derive(Debug, Args)]
struct DownArgs {
    /// The lab's name.
    #[arg(long, conflicts_with_all = ["path", "repo"], required_unless_present_any = ["path", "repo"])]
    name: Option<LabName>,
    /// The manifests' folder.
    #[arg(conflicts_with = "repo")]
    path: Option<PathBuf>,
    /// The manifests' Git repository.
    #[arg(long, value_name = "DIR", requires = "rev")]
    repo: Option<PathBuf>,
    /// The revision of --repo.
    #[arg(long, requires = "repo")]
    rev: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Families {
    #[value(name = "4")]
    V4,
    #[value(name = "6")]
    V6,
    Both,
}

impl Families {
    fn list(self) -> &'static [Family] {
        match self {
            Families::V4 => &[Family::V4],
            Families::V6 => &[Family::V6],
            Families::Both => &Family::ALL,
        }
    }
}

#[derive(Debug, Error)]
enum CliError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    Cost(#[from] CostError),
    #[error("cannot print the result: {0}")]
    Print(#[from] io::Error),
}

/// How a command ended that did what it was asked.
enum Ending {
    Done,
    Differences,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(args) => up(&args),
        Command::Probe(args) => probe(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Story(args) => story::story(&args),
        Command::Cost(args) => cost::cost(&args),
        Command::Down(args) => down(&args),
    };
    match result {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Differences) => ExitCode::from(1),
        Err(error) => {
            // Where standard error is closed, the exit code has to do.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(3)
        }
    }
}

/// Builds the lab with its policies applied; its notes go to standard error.
fn build(args: &LabArgs, origin: &Origin) -> Result<Lab, CliError> {
    let mut spec = LabSpec::from_sources(&origin.read()?)?;
    spec.name = args.name.clone();
    spec.origin = origin.label();
    spec.topology = args.topology;
    spec.backend = args.backend;
    spec.outside = args.outside.clone();
    let lab = Lab::up(&spec)?;
    for note in lab.notes() {
        writeln!(io::stderr(), "note: {note}")?;
    }
    lab.compile_and_apply(origin)?;
    Ok(lab)
}

fn given(args: &LabArgs) -> Origin {
    args.origin.origin().expect("clap demands a path, or a repository and its revision")
}

fn up(args: &UpArgs) -> Result<Ending, CliError> {
    let lab = build(&args.lab, &given(&args.lab))?;
    let text = match args.lab.output {
        Output::Text => output::lab_as_text(&lab),
        Output::Json => output::lab_as_json(&lab),
    };
    lab.keep()?;
    io::stdout().write_all(text.as_bytes())?;
    Ok(Ending::Done)
}

fn probe(args: &ProbeArgs) -> Result<Ending, CliError> {
    let origin = given(&args.lab);
    let lab = match &args.lab.name {
        Some(name) if lab::recorded()?.contains(name) => Lab::attach(name)?,
        _ => build(&args.lab, &origin)?,
    };
    let mut endpoints = lab.endpoints();
    if args.nodes {
        endpoints.extend(lab.nodes());
    }
    let services = if args.port.is_empty() { lab.services() } else { &args.port };
    let questions: TruthTable = lab.questions(&endpoints, services, args.family.list());
    let predicted = lab.predict(&origin, &questions)?;
    let probes = questions.probes();
    let results = lab.probe(&probes)?;
    let report = Report::new(&questions, &predicted, probes, results);
    let text = match args.lab.output {
        Output::Text => report.as_text(),
        Output::Json => report.as_json(),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(if report.agrees() { Ending::Done } else { Ending::Differences })
}

fn down(args: &DownArgs) -> Result<Ending, CliError> {
    let DownArgs { name, path, repo, rev } = args;
    let origin = OriginArgs { path: path.clone(), repo: repo.clone(), rev: rev.clone() }.origin();
    let names = match (name, origin) {
        (Some(name), _) => vec![name.clone()],
        (None, Some(origin)) => lab::recorded_of(&origin)?,
        (None, None) => Vec::new(),
    };
    for name in names {
        lab::take_down(&name)?;
        writeln!(io::stderr(), "{name} is down")?;
    }
    Ok(Ending::Done)
}
