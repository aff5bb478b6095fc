//! What rules cost a packet that is forwarded.
//!
//! ```text
//! manifests → pick → wiring → namespaces ─┐
//! snapshot, other rules ──────────────────┴─ checked with packets → timed, case by case → summary → ratios
//! ```
//!
//! A delay by itself says more of the machine than of the rules, so each is divided by the delay of the same packets on
//! the same devices under one conntrack rule, which any host with a stateful firewall has, measured moments before or
//! after. Cases take turns within each repetition.

mod clock;
mod committed;
mod figure;
mod kernel;
mod pick;
mod summary;
mod wiring;

use std::collections::BTreeMap;
use std::io;

use chainmail_contract::{Family, Joined, NodeName, SnapshotError};
use chainmail_model::{Cluster, Node};
use serde::Serialize;
use thiserror::Error;

use crate::lab::LabError;
use crate::netns;
use crate::probe::{Observed, Service};
use crate::prober::{self, Aim};
use crate::programs::ProgramError;
use crate::reaper::Reaper;
use crate::spec::Backend;
use crate::state::{self, Paths};

use clock::Job;
use kernel::{Kernel, Rules};
use pick::{Pair, Picked};
use wiring::Wiring;

pub use committed::{Committed, Worse};
pub use figure::Figure;
pub use summary::Cost;

/// Rules that are measured beside the snapshot's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Also {
    /// What tables call them.
    pub name: String,
    /// `iptables-restore` text, with CM-FORWARD in it.
    pub rules: String,
    /// `ipset restore` text of sets that the snapshot does not have.
    pub sets: String,
}

/// What is measured, and how long.
#[derive(Debug)]
pub struct CostSpec<'a> {
    /// The manifests that the snapshot was compiled from.
    pub cluster: &'a Cluster,
    /// The node's snapshot.
    pub snapshot: &'a Joined,
    /// More rules for the same node.
    pub also: &'a [Also],
    /// What of them.
    pub figures: &'a [Figure],
    /// At most this many pods for each kind of pair.
    pub pods: usize,
    /// How often each case is loaded and measured.
    pub repetitions: usize,
    /// The CPU that all packets are sent on.
    pub cpu: usize,
}

/// Whose rules were measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaseName {
    /// The snapshot's.
    Snapshot,
    /// Other rules, by their name.
    Also(String),
}

/// The costs of one case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Which iptables.
    pub backend: Backend,
    /// Whose rules.
    pub case: CaseName,
    /// By figure; a figure that no pair of the node shows is not there.
    pub costs: BTreeMap<Figure, Cost>,
}

/// What could not be measured.
#[derive(Debug, Error)]
pub enum CostError {
    /// The namespaces.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The tools that load rules.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The snapshot is of a node that the manifests do not have.
    #[error("node {node} is not in the manifests")]
    NoNode {
        /// The node.
        node: NodeName,
    },
    /// The node has no IPv4 pod whose traffic is allowed.
    #[error("node {node} has no pod with allowed IPv4 traffic to measure")]
    NoPairs {
        /// The node.
        node: NodeName,
    },
    /// Real packets contradict the policies: nothing that is measured would mean anything.
    #[error("packets do not do what the policies say; are the snapshots of these manifests?\n{0}")]
    Contradicted(String),
    /// Sockets.
    #[error("cannot time packets: {0}")]
    Clock(io::Error),
    /// The CPU was taken away so often that too few packets count.
    #[error("{late} packets of {pair} were not carried at once; is CPU {cpu} that busy?")]
    Busy {
        /// How many were late.
        late: usize,
        /// Of which pair.
        pair: String,
        /// Where.
        cpu: usize,
    },
}

/// Measures a node's rules with one backend.
///
/// # Errors
/// When namespaces or rules cannot be made, or packets do not do what the policies say.
pub fn measure(spec: &CostSpec<'_>, backend: Backend) -> Result<Vec<Measured>, CostError> {
    let name = &spec.snapshot.manifest().node;
    let node: &Node = spec.cluster.node(name).ok_or_else(|| CostError::NoNode { node: name.clone() })?;
    let kinds = spec.figures.iter().map(|figure| (figure.ends(), figure.transport())).collect();
    let picked = pick::pick(spec.cluster, node, &kinds, spec.pods);
    if picked.allowed.values().all(Vec::is_empty) {
        return Err(CostError::NoPairs { node: name.clone() });
    }
    let lab = state::unique_name();
    let wiring = Wiring::of(&lab, &picked);
    let reaper = Reaper::start(&Paths::of(&lab), &wiring.namespaces()).map_err(LabError::from)?;
    // The reaper must be asked, whatever the end: its namespaces would else stay until this process ends.
    let result = netns::build(&wiring.namespaces(), &wiring.scripts(), reaper.lifeline())
        .map_err(|error| LabError::from(error).into())
        .and_then(|()| Bench { spec, backend, wiring: &wiring, picked: &picked }.run());
    reaper.reap().map_err(LabError::from)?;
    result
}

/// A case's name and rules; the lone conntrack rule has no name.
type Case = (Option<CaseName>, Rules);

struct Bench<'a> {
    spec: &'a CostSpec<'a>,
    backend: Backend,
    wiring: &'a Wiring,
    picked: &'a Picked,
}

impl Bench<'_> {
    fn run(&self) -> Result<Vec<Measured>, CostError> {
        let kernel = Kernel { netns: &self.wiring.node, backend: self.backend };
        kernel.add_sets(&self.spec.snapshot.ipsets())?;
        let mut cases: Vec<Case> = vec![(None, Rules::Conntrack)];
        let own = Rules::Text(self.spec.snapshot.rules(Family::V4).to_owned());
        cases.push((Some(CaseName::Snapshot), own));
        for also in self.spec.also {
            kernel.add_sets(&also.sets)?;
            cases.push((Some(CaseName::Also(also.name.clone())), Rules::Text(also.rules.clone())));
        }
        for (_, rules) in cases.iter().filter(|(name, _)| name.is_some()) {
            kernel.load(rules)?;
            self.check()?;
        }
        let jobs = self.jobs();
        // For each case, each repetition's delays, job by job.
        let mut delays: Vec<Vec<Vec<f64>>> = vec![Vec::new(); cases.len()];
        for repetition in 0..self.spec.repetitions {
            for turn in 0..cases.len() {
                // Each repetition begins with another case, so that none is always first.
                let case = (turn + repetition) % cases.len();
                kernel.load(&cases[case].1)?;
                delays[case].push(self.pass(&jobs)?);
            }
        }
        Ok(self.summary(&cases, &jobs, &delays))
    }

    /// Whether packets do what the policies say under the rules that are loaded.
    fn check(&self) -> Result<(), CostError> {
        let allowed = self.picked.allowed.values().flatten().map(|pair| (pair, Observed::Allowed));
        let denied = self.picked.denied.iter().map(|pair| (pair, Observed::Denied));
        let expected: Vec<(&Pair, Observed)> = allowed.chain(denied).collect();
        let aim = |(pair, _): &(&Pair, Observed)| Aim {
            service: Service::Port { transport: pair.transport, number: pair.port },
            source: self.wiring.place(pair.source),
            destination: self.wiring.place(pair.destination),
        };
        let aims: Vec<Aim<'_>> = expected.iter().map(aim).collect();
        let observed = prober::run(&aims).map_err(LabError::from)?;
        let wrong: Vec<String> = expected
            .iter()
            .zip(&observed)
            .filter(|((_, expected), observed)| expected != *observed)
            .map(|((pair, expected), observed)| format!("  {pair}: {observed:?}, not {expected:?}"))
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(CostError::Contradicted(wrong.join("\n"))) }
    }

    /// What is timed for each figure, figure by figure.
    fn jobs(&self) -> Vec<(Figure, Job<'_>)> {
        let of_figure = |figure: Figure| {
            let pairs = self.picked.allowed.get(&(figure.ends(), figure.transport()));
            pairs.into_iter().flatten().map(move |pair| (figure, Job { motion: figure.motion(), pair }))
        };
        self.spec.figures.iter().copied().flat_map(of_figure).collect()
    }

    fn pass(&self, jobs: &[(Figure, Job<'_>)]) -> Result<Vec<f64>, CostError> {
        let cpu = self.spec.cpu;
        let plain: Vec<Job<'_>> = jobs.iter().map(|(_, job)| *job).collect();
        let taken = clock::time(cpu, self.wiring, &plain).map_err(CostError::Clock)?;
        let delay = |(job, taken): (&Job<'_>, &clock::Taken)| {
            // A few come late when an interrupt's work is handed to ksoftirqd.
            let counts = taken.late <= taken.delays.len();
            let busy = || CostError::Busy { late: taken.late, pair: job.pair.to_string(), cpu };
            summary::delay(&taken.delays).filter(|_| counts).ok_or_else(busy)
        };
        plain.iter().zip(&taken).map(delay).collect()
    }

    fn summary(&self, cases: &[Case], jobs: &[(Figure, Job<'_>)], delays: &[Vec<Vec<f64>>]) -> Vec<Measured> {
        let of_figure = |case: usize, figure: Figure| -> Vec<Vec<f64>> {
            let mine = |pass: &Vec<f64>| {
                jobs.iter().zip(pass).filter(|((of, _), _)| *of == figure).map(|(_, delay)| *delay).collect()
            };
            delays[case].iter().map(mine).collect()
        };
        let mut measured = Vec::new();
        for (index, (name, _)) in cases.iter().enumerate() {
            let Some(case) = name.clone() else { continue };
            let cost =
                |figure| Some((figure, summary::cost(&of_figure(index, figure), &of_figure(0, figure))?));
            let costs = Figure::ALL.into_iter().filter_map(cost).collect();
            measured.push(Measured { backend: self.backend, case, costs });
        }
        measured
    }
}
