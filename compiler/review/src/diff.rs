//! What changes between two revisions: for packets, and in what kernels load.

mod model;
mod reach;
mod rules;
mod sources;
mod summary;
mod text;

use std::collections::BTreeMap;

use chainmail_findings::Places;
use chainmail_model::Cluster;

use crate::effort::{Effort, TooLong};

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
    pub manifests: Option<Manifests<'a>>,
}

/// What a revision was compiled from.
pub struct Manifests<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Where its objects stand.
    pub places: &'a dyn Places,
    /// The files by their paths, the configuration among them.
    pub files: BTreeMap<&'a str, &'a [u8]>,
    /// The path of the configuration, where there is one.
    pub config: Option<&'a str>,
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
///
/// # Errors
/// When that takes more steps than it may: the first time most pods are isolated, each by policies of its own, every pair
/// of them differs.
pub fn review(base: &Revision<'_>, head: &Revision<'_>, mut effort: Effort) -> Result<Review, TooLong> {
    let rules = rules::rule_changes(&base.fleet, &head.fleet);
    let manifests = base.manifests.as_ref().zip(head.manifests.as_ref());
    // Workloads without pods take part in what packets meet; nodes load nothing for them.
    let reachability = manifests.map(|(base, head)| {
        let clusters = [base, head].map(|side| side.cluster.with_assumed_pods());
        reach::reachability(clusters.each_ref().map(|cluster| &**cluster), [base, head], &mut effort)
    });
    let reachability = reachability.transpose()?;
    let mut summary = Summary::of(reachability.as_ref(), &rules);
    summary.sources = manifests.map(|(base, head)| SourceCounts::of(base, head)).unwrap_or_default();
    Ok(Review {
        schema: SCHEMA,
        complete: reachability.is_some(),
        base: base.facts(),
        head: head.facts(),
        summary,
        reachability,
        rules,
    })
}
