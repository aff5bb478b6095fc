//! What changes between two revisions: for packets, and in what kernels load.

mod model;
mod rules;
mod summary;
mod text;

use crate::cluster::Cluster;
use crate::source::Sources;

pub use model::*;
pub use rules::{ChainDiff, Change, FleetText, Line, NodeText, RuleLine, SetDiff};
pub use text::{Detail, text};

/// One of the two sides.
pub struct Revision<'a> {
    /// As it was asked for.
    pub name: String,
    /// The commit, of a revision.
    pub commit: Option<String>,
    /// What its nodes load.
    pub fleet: FleetText,
    /// What that was compiled from; `None` where there are snapshots only.
    pub manifests: Option<(&'a Cluster, &'a Sources)>,
}

impl Revision<'_> {
    fn facts(&self) -> SideFacts {
        SideFacts {
            name: self.name.clone(),
            commit: self.commit.clone(),
            nodes: self.fleet.nodes.len(),
            digest: self.fleet.digest().to_string(),
        }
    }
}

/// Compares two revisions.
#[must_use]
pub fn review(base: &Revision<'_>, head: &Revision<'_>) -> Review {
    let rules = rules::rule_changes(&base.fleet, &head.fleet);
    let reachability: Option<Reachability> = None;
    let summary = Summary::of(reachability.as_ref(), &rules);
    Review {
        schema: SCHEMA,
        complete: reachability.is_some(),
        base: base.facts(),
        head: head.facts(),
        summary,
        reachability,
        rules,
    }
}
