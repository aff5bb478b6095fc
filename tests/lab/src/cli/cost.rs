//! `chainmail-lab cost`: what a node's rules cost a packet.

#![expect(clippy::disallowed_methods, reason = "this command reads the files that its arguments name")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;

use chainmail_contract::{Family, Joined, NodeName, read};
use clap::{Args, ValueEnum, value_parser};

use super::{CliError, Ending, Output};
use crate::cost::{Also, CaseName, Committed, Cost, CostError, CostSpec, Figure, Measured, Worse, measure};
use crate::lab::LabError;
use crate::programs::Origin;
use crate::spec::{Backend, LabSpec};

#[derive(Debug, Args)]
pub(super) struct CostArgs {
    /// The folder that `chainmail compile` wrote.
    snapshots: PathBuf,
    /// The manifests' folder that it was compiled from.
    path: PathBuf,
    /// Whose rules: a node, or the one with the most.
    #[arg(long, value_name = "NODE|busiest", default_value = "busiest")]
    node: WhichNode,
    /// Which iptables.
    #[arg(long, value_enum, default_value_t = Backends::Both)]
    backend: Backends,
    /// Only this figure, as often as wanted [default: all]
    #[arg(long, value_enum, value_name = "FIGURE")]
    figure: Vec<Figure>,
    /// How many of the node's pods take part in each figure. The rules are always all of the node's.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = value_parser!(u16).range(1..=500))]
    pods: u16,
    /// How often each case is loaded and measured.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u16).range(1..))]
    reps: u16,
    /// The CPU that packets are sent on.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u16).range(..1024))]
    cpu: u16,
    /// Measures other rules of the same node in the same run: iptables-restore text, and ipset text of sets that only
    /// they name. As often as wanted.
    #[arg(long, value_name = "NAME=RULES[,SETS]")]
    also: Vec<AlsoFile>,
    /// Fails where a ratio is more than 1.5 times the one in this file.
    #[arg(long, value_name = "FILE")]
    committed: Option<PathBuf>,
    /// How results are printed.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone)]
enum WhichNode {
    Busiest,
    Named(NodeName),
}

impl FromStr for WhichNode {
    type Err = chainmail_contract::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "busiest" { Ok(WhichNode::Busiest) } else { text.parse().map(WhichNode::Named) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backends {
    Nft,
    Legacy,
    Both,
}

impl Backends {
    fn list(self) -> &'static [Backend] {
        match self {
            Backends::Nft => &[Backend::Nft],
            Backends::Legacy => &[Backend::Legacy],
            Backends::Both => &[Backend::Nft, Backend::Legacy],
        }
    }
}

#[derive(Debug, Clone)]
struct AlsoFile {
    name: String,
    rules: PathBuf,
    sets: Option<PathBuf>,
}

impl FromStr for AlsoFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, files) = text.split_once('=').ok_or("write NAME=RULES or NAME=RULES,SETS")?;
        let (rules, sets) = match files.split_once(',') {
            Some((rules, sets)) => (rules, Some(sets)),
            None => (files, None),
        };
        Ok(Self { name: name.to_owned(), rules: rules.into(), sets: sets.map(PathBuf::from) })
    }
}

pub(super) fn cost(args: &CostArgs) -> Result<Ending, CliError> {
    if !rustix::process::geteuid().is_root() {
        return Err(LabError::NotRoot.into());
    }
    let cluster = LabSpec::from_sources(&Origin::Folder(args.path.clone()).read()?)?.cluster;
    let snapshot = snapshot(args)?;
    let also = args.also.iter().map(also).collect::<Result<Vec<_>, CliError>>()?;
    let committed = args.committed.as_ref().map(committed).transpose()?;
    let [pods, repetitions, cpu] = [args.pods, args.reps, args.cpu].map(usize::from);
    let figures = if args.figure.is_empty() { &Figure::ALL[..] } else { &args.figure };
    let (cluster, snapshot, also) = (&cluster, &snapshot, &also);
    let spec = CostSpec { cluster, snapshot, also, figures, pods, repetitions, cpu };
    let mut measured = Vec::new();
    for backend in args.backend.list() {
        match measure(&spec, *backend) {
            Err(error @ CostError::Contradicted(_)) => {
                writeln!(io::stderr(), "error: {error}")?;
                return Ok(Ending::Differences);
            }
            result => measured.extend(result?),
        }
    }
    let worse = committed.map_or_else(Vec::new, |committed| committed.worse(&measured));
    let report = Report { spec: &spec, measured, worse };
    let text = match args.output {
        Output::Text => report.as_text(),
        Output::Json => report.as_json(),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(if report.worse.is_empty() { Ending::Done } else { Ending::Differences })
}

fn snapshot(args: &CostArgs) -> Result<Joined, CliError> {
    let read_node = |node: &NodeName| read::snapshot(&args.snapshots, node).map_err(CostError::from);
    match &args.node {
        WhichNode::Named(node) => Ok(read_node(node)?),
        WhichNode::Busiest => {
            let nodes = read::nodes(&args.snapshots).map_err(CostError::from)?;
            let all = nodes.iter().map(read_node).collect::<Result<Vec<_>, _>>()?;
            let busiest = all.into_iter().max_by_key(rules);
            busiest.ok_or_else(|| io::Error::other("there is no node in the snapshots").into())
        }
    }
}

fn rules(snapshot: &Joined) -> usize {
    snapshot.rules(Family::V4).lines().filter(|line| line.starts_with("-A")).count()
}

fn also(file: &AlsoFile) -> Result<Also, CliError> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|source| LabError::Io { path: path.clone(), source })
    };
    let sets = file.sets.as_ref().map(read).transpose()?.unwrap_or_default();
    Ok(Also { name: file.name.clone(), rules: read(&file.rules)?, sets })
}

fn committed(path: &PathBuf) -> Result<Committed, CliError> {
    let io = |source| LabError::Io { path: path.clone(), source };
    let text = std::fs::read_to_string(path).map_err(io)?;
    Ok(Committed::parse(&text).map_err(|error| io(io::Error::other(error)))?)
}

/// Writes one line.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {
        writeln!($out, $($arg)*).expect("writing to a String cannot fail")
    };
}

/// What is printed.
struct Report<'a> {
    spec: &'a CostSpec<'a>,
    measured: Vec<Measured>,
    worse: Vec<Worse>,
}

impl Report<'_> {
    fn as_text(&self) -> String {
        let mut out = String::new();
        let CostSpec { snapshot, repetitions, figures, .. } = self.spec;
        let (node, rules, sets) = (&snapshot.manifest().node, rules(snapshot), snapshot.sets().len());
        line!(out, "node {node}: {rules} IPv4 rules, {sets} sets; {repetitions} repetitions");
        for Measured { backend, case, costs } in &self.measured {
            let case = match case {
                CaseName::Snapshot => "the snapshot's rules",
                CaseName::Also(name) => name,
            };
            line!(out, "\niptables-{}, {case} against a lone conntrack rule", backend.as_str());
            line!(out, "figure            pairs     ct µs  rules µs   ratio  min–max      quiet  goal");
            for figure in *figures {
                match costs.get(figure) {
                    Some(cost) => line!(out, "{}", row(*figure, cost)),
                    None => line!(out, "{figure:<18}{:>5}  no pod of the node has such traffic", 0),
                }
            }
        }
        for Worse { backend, figure, ratio, committed } in &self.worse {
            line!(
                out,
                "\niptables-{} {figure}: {ratio:.3}, and {committed:.3} is committed",
                backend.as_str()
            );
        }
        out
    }

    fn as_json(&self) -> String {
        let CostSpec { snapshot, repetitions, .. } = self.spec;
        let goals = Figure::ALL.into_iter().filter_map(|figure| Some((figure.as_str(), figure.goal()?)));
        let json = serde_json::json!({
            "node": snapshot.manifest().node,
            "rules": rules(snapshot),
            "sets": snapshot.sets().len(),
            "repetitions": repetitions,
            "goals": goals.collect::<BTreeMap<_, _>>(),
            "measured": self.measured,
            "worse": self.worse,
        });
        format!("{json}\n")
    }
}

fn row(figure: Figure, cost: &Cost) -> String {
    let Cost { pairs, conntrack_us, rules_us, ratio, min, max, quiet } = cost;
    let goal = figure.goal().map_or_else(String::new, |goal| format!("{goal:.2}"));
    let mark = if figure.goal().is_some_and(|goal| *ratio > goal) { " over" } else { "" };
    format!(
        "{figure:<18}{pairs:>5}{conntrack_us:>10.2}{rules_us:>10.2}{ratio:>8.3}  {min:.3}–{max:.3}  {quiet:.3}  {goal}{mark}"
    )
    .trim_end()
    .to_owned()
}
