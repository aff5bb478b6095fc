//! Exceptions that a team has agreed on: what they cover, who answers for each, why, and until when.

use std::fmt;

use chainmail_snapshot::Date;
use globset::GlobMatcher;

use crate::diagnostic::{Agreed, Code, Diagnostic, Place};
use crate::diff::{Ends, EndsKind, Flow, Isolation, Review};

/// One `[[waiver]]` of `chainmail.toml`.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// Where it stands.
    pub place: Place,
    /// What it covers.
    pub covers: Covered,
    /// What is told of it wherever it holds.
    pub agreed: Agreed,
}

/// What a waiver covers.
#[derive(Debug, Clone)]
pub enum Covered {
    /// The row of a review that has this id.
    Row(String),
    /// Every flow all of whose ends have names like these.
    Flows {
        /// Of those who send.
        from: GlobMatcher,
        /// Of those who receive.
        to: GlobMatcher,
    },
    /// What a lint finds of objects that are called like this.
    Findings {
        /// The lint.
        lint: Code,
        /// The objects, by kind, namespace and name.
        object: GlobMatcher,
    },
}

impl fmt::Display for Covered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Covered::Row(id) => write!(f, "row {id}"),
            Covered::Flows { from, to } => {
                write!(f, "flows from {:?} to {:?}", from.glob().glob(), to.glob().glob())
            }
            Covered::Findings { lint, object } => write!(f, "{lint} of {:?}", object.glob().glob()),
        }
    }
}

impl Waiver {
    /// Whether it still holds.
    #[must_use]
    pub fn holds(&self, today: Date) -> bool {
        today <= self.agreed.expires
    }

    /// Whether another one says the same, wherever it stands.
    fn says_as(&self, other: &Waiver) -> bool {
        self.agreed == other.agreed && self.covers.to_string() == other.covers.to_string()
    }

    /// Whether it is about what a lint finds.
    #[must_use]
    pub fn is_of_lint(&self) -> bool {
        match self.covers {
            Covered::Findings { .. } => true,
            Covered::Row(_) | Covered::Flows { .. } => false,
        }
    }

    pub(crate) fn covers_finding(&self, finding: &Diagnostic) -> bool {
        match (&self.covers, &finding.subject) {
            (Covered::Findings { lint, object }, Some(subject)) => {
                finding.code == *lint && object.is_match(&subject.object)
            }
            (Covered::Findings { .. }, None) | (Covered::Row(_) | Covered::Flows { .. }, _) => false,
        }
    }

    fn covers_flow(&self, flow: &Flow) -> bool {
        match &self.covers {
            Covered::Row(id) => flow.id == *id,
            Covered::Flows { from, to } => are_like(&flow.from, from) && are_like(&flow.to, to),
            Covered::Findings { .. } => false,
        }
    }

    fn covers_isolation(&self, isolation: &Isolation) -> bool {
        match &self.covers {
            Covered::Row(id) => isolation.id == *id,
            Covered::Flows { .. } | Covered::Findings { .. } => false,
        }
    }
}

/// Says of each row of a review which waiver of the new side covers it, and answers those that cover none although the
/// change brings them.
pub fn waive<'w>(review: &mut Review, base: &[Waiver], head: &'w [Waiver], today: Date) -> Vec<&'w Waiver> {
    let Some(reachability) = &mut review.reachability else { return Vec::new() };
    let valid: Vec<&Waiver> = head.iter().filter(|waiver| waiver.holds(today)).collect();
    let first = |covers: &dyn Fn(&Waiver) -> bool| {
        valid.iter().find(|waiver| covers(waiver)).map(|waiver| waiver.agreed.clone())
    };
    for flow in &mut reachability.flows {
        flow.waived = first(&|waiver| waiver.covers_flow(flow));
    }
    for row in &mut reachability.isolation {
        row.waived = first(&|waiver| waiver.covers_isolation(row));
    }
    review.summary.waived = reachability.flows.iter().filter(|flow| flow.waived.is_some()).count()
        + reachability.isolation.iter().filter(|row| row.waived.is_some()).count();
    let is_of_use = |waiver: &Waiver| {
        reachability.flows.iter().any(|flow| waiver.covers_flow(flow))
            || reachability.isolation.iter().any(|row| waiver.covers_isolation(row))
    };
    let is_new = |waiver: &Waiver| !base.iter().any(|known| known.says_as(waiver));
    valid.into_iter().filter(|waiver| !waiver.is_of_lint() && is_new(waiver) && !is_of_use(waiver)).collect()
}

/// `*` alone is anyone, and `outside` whoever is no pod. Everyone is an end that only `*` is like: a waiver for a few must
/// not grow to one for all.
fn are_like(ends: &Ends, pattern: &GlobMatcher) -> bool {
    match (pattern.glob().glob(), ends.kind) {
        ("*", _) | ("outside", EndsKind::Outside) => true,
        (_, EndsKind::Any) => false,
        (_, EndsKind::Outside | EndsKind::Pods) => {
            !ends.ends.is_empty() && ends.ends.iter().all(|end| pattern.is_match(end))
        }
    }
}
