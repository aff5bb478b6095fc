//! What a team refuses in a review, and the exceptions that it has agreed on for a time.

mod waiver;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chainmail_snapshot::Date;

use crate::diagnostic::{Findings, Severity};
use crate::diff::{Flow, FlowChange, Isolation, IsolationChange, Outcome, Presence, Reachability, Review};

pub use waiver::{WaivedRows, Waiver};

/// What must not be in a change; prints and is read as `--fail-on` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// The world may do more than before.
    World,
    /// Anyone may do more than before, or a pod is no longer isolated.
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

/// What gates said of a review.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged<'a> {
    /// Why the review does not pass, a line each; empty where it does.
    pub failures: Vec<String>,
    /// The rows that would have failed it, and the waiver of each.
    pub waived: Vec<(&'a str, &'a Waiver)>,
    /// The waivers that have expired, whether or not they would have been of use.
    pub expired: Vec<&'a Waiver>,
}

/// Asks every gate; `fresh` is what lint finds on the new side only, where a gate asks for it. What a review does not
/// know passes no gate that asks for it.
#[must_use]
pub fn judge<'a>(
    gates: &BTreeSet<Gate>,
    review: &'a Review,
    fresh: &Findings,
    waivers: &'a [Waiver],
    today: Date,
) -> Judged<'a> {
    let (expired, valid): (Vec<&Waiver>, Vec<&Waiver>) =
        waivers.iter().partition(|waiver| waiver.expires < today);
    let mut judged = Judged { expired, ..Judged::default() };
    for gate in gates {
        match (gate, &review.reachability) {
            (Gate::Any, _) => {
                if review.summary.outcome != Outcome::Same {
                    judged.failures.push("any: rules or sets change".to_owned());
                }
            }
            (Gate::Lint(level), _) => {
                let count = fresh.sorted().iter().filter(|finding| finding.severity <= *level).count();
                if count > 0 {
                    let findings = if count == 1 { "finding" } else { "findings" };
                    judged
                        .failures
                        .push(format!("{gate}: {count} new {findings}; `chainmail lint` tells them"));
                }
            }
            (Gate::World | Gate::Opened | Gate::Closed, Some(reachability)) => {
                judged.rows(*gate, reachability, &valid);
            }
            (Gate::World | Gate::Opened | Gate::Closed, None) => {
                if review.summary.outcome != Outcome::Same {
                    let message = format!("{gate}: what packets meet is not known of snapshots alone");
                    judged.failures.push(message);
                }
            }
        }
    }
    judged
}

impl<'a> Judged<'a> {
    fn rows(&mut self, gate: Gate, reachability: &'a Reachability, waivers: &[&'a Waiver]) {
        let flows = reachability
            .flows
            .iter()
            .filter(|flow| gate.refuses_flow(flow))
            .map(|flow| (&flow.id, waivers.iter().find(|waiver| waiver.rows.cover_flow(flow))));
        let isolation = reachability
            .isolation
            .iter()
            .filter(|row| gate.refuses_isolation(row))
            .map(|row| (&row.id, waivers.iter().find(|waiver| waiver.rows.cover_isolation(row))));
        let mut refused = 0;
        for (id, waiver) in flows.chain(isolation) {
            match waiver {
                Some(waiver) => {
                    if !self.waived.iter().any(|(known, _)| known == id) {
                        self.waived.push((id, waiver));
                    }
                }
                None => refused += 1,
            }
        }
        if refused > 0 {
            let rows = if refused == 1 { "row" } else { "rows" };
            self.failures.push(format!("{gate}: {refused} {rows} that no waiver covers"));
        }
    }
}
