//! What a team refuses in a review.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chainmail_findings::{Diagnostic, Findings, Severity};

use crate::diff::{Flow, FlowChange, Isolation, IsolationChange, Outcome, Presence, Reachability, Review};

/// What must not be in a change; prints and is read as `--fail-on` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// The world may do more than before.
    World,
    /// Anyone may do more than before, or a pod, or an address that one left, is no longer isolated.
    Opened,
    /// Someone may do less than before, but for pods that are gone, or a pod is newly isolated.
    Closed,
    /// Rules or sets differ at all.
    Any,
    /// Lint finds something of this level or a worse one that the old side has not.
    Lint(Severity),
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gate::World => f.write_str("world"),
            Gate::Opened => f.write_str("opened"),
            Gate::Closed => f.write_str("closed"),
            Gate::Any => f.write_str("any"),
            Gate::Lint(level) => write!(f, "lint:{level}"),
        }
    }
}

impl Gate {
    /// All of them.
    pub const ALL: [Gate; 7] = [
        Gate::World,
        Gate::Opened,
        Gate::Closed,
        Gate::Any,
        Gate::Lint(Severity::Error),
        Gate::Lint(Severity::Warning),
        Gate::Lint(Severity::Note),
    ];

    fn refuses_flow(self, flow: &Flow) -> bool {
        match self {
            Gate::World => flow.world && flow.change.opens(),
            Gate::Opened => flow.change.opens(),
            Gate::Closed => {
                // An altered flow loses services too.
                let closes = !flow.change.opens() || flow.change == FlowChange::Altered;
                closes && flow.pods != Presence::Vanish
            }
            Gate::Any | Gate::Lint(_) => false,
        }
    }

    fn refuses_isolation(self, isolation: &Isolation) -> bool {
        match isolation.change {
            IsolationChange::NoLongerIsolated => self == Gate::Opened,
            IsolationChange::NewlyIsolated => self == Gate::Closed,
        }
    }
}

impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Gate::ALL.map(|gate| gate.to_string()).join(", ");
        let found = Gate::ALL.into_iter().find(|gate| gate.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is no gate; they are {}", known()))
    }
}

/// Asks every gate, and answers why the review does not pass, a line each; `fresh` is what lint finds on the new side only,
/// where a gate asks for it. What waivers cover passes, and what a review does not know passes no gate that asks for it.
#[must_use]
pub fn judge(gates: &BTreeSet<Gate>, review: &Review, fresh: &Findings) -> Vec<String> {
    let differs = review.summary.outcome != Outcome::Same;
    let said = |gate: &Gate| match (gate, &review.reachability) {
        (Gate::Any, _) => differs.then(|| "any: rules or sets change".to_owned()),
        (Gate::Lint(level), _) => {
            let refused = |finding: &&&Diagnostic| finding.severity <= *level && finding.waived.is_none();
            let count = fresh.sorted().iter().filter(refused).count();
            let findings = if count == 1 { "finding" } else { "findings" };
            (count > 0).then(|| format!("{gate}: {count} new {findings}; `chainmail lint` tells them"))
        }
        (Gate::World | Gate::Opened | Gate::Closed, Some(reachability)) => {
            let count = gate.refused(reachability);
            let rows = if count == 1 { "row" } else { "rows" };
            (count > 0).then(|| format!("{gate}: {count} {rows} that no waiver covers"))
        }
        (Gate::World | Gate::Opened | Gate::Closed, None) => {
            differs.then(|| format!("{gate}: what packets meet is not known of snapshots alone"))
        }
    };
    gates.iter().filter_map(said).collect()
}

impl Gate {
    fn refused(self, reachability: &Reachability) -> usize {
        let flows = reachability.flows.iter().filter(|flow| flow.waived.is_none());
        let isolation = reachability.isolation.iter().filter(|row| row.waived.is_none());
        flows.filter(|flow| self.refuses_flow(flow)).count()
            + isolation.filter(|row| self.refuses_isolation(row)).count()
    }
}
