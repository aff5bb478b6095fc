//! What changes in kernels between two fleets: rules by kinds of nodes, and members of sets.
//!
//! Classes and sets are named by what they hold, so whatever changes gets a new name. Old and new are paired first (a
//! class by the pods it serves, a set by the rule that asks it), so that a change shows as its own lines and not as
//! the whole of two chains.

mod lines;
mod pairing;
mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chainmail_contract::{Family, NodeName, NodeSnapshot, OriginText, SetName, Sha256Hex};
use serde::{Serialize, Serializer};

use super::RuleChanges;

/// The texts of one fleet, as compiled or as read from a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetText {
    /// The nodes.
    pub nodes: BTreeMap<NodeName, NodeText>,
    /// Set texts.
    pub sets: BTreeMap<SetName, Rc<str>>,
}

/// What one node loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeText {
    /// Rule texts: IPv4, then IPv6.
    pub rules: [String; 2],
    /// The text of `provenance.json`; empty where it is not known where rules come from.
    pub provenance: String,
    /// The digest of all that the node loads.
    pub digest: Sha256Hex,
}

impl FleetText {
    /// Adds a node's texts and those of its sets.
    pub fn add(
        &mut self,
        node: NodeName,
        text: NodeText,
        sets: impl IntoIterator<Item = (SetName, Rc<str>)>,
    ) {
        self.nodes.insert(node, text);
        self.sets.extend(sets);
    }

    /// Adds a node as it was compiled.
    pub fn add_snapshot(&mut self, snapshot: NodeSnapshot) {
        let NodeSnapshot { manifest, rules_v4, rules_v6, sets, provenance, live_members: _ } = snapshot;
        let text = NodeText { rules: [rules_v4, rules_v6], provenance, digest: manifest.digest };
        self.add(manifest.node, text, sets);
    }

    /// One digest over those of all nodes.
    #[must_use]
    pub fn digest(&self) -> Sha256Hex {
        let lines: Vec<String> =
            self.nodes.iter().map(|(name, node)| format!("{name} {}\n", node.digest)).collect();
        Sha256Hex::of(lines.concat())
    }
}

/// What happened to a chain, node or set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is there before and after.
    Changed,
}

/// A line that comes or goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// Only the new text has it.
    Added(String),
    /// Only the old text has it.
    Removed(String),
}

/// A rule that comes or goes, and the policy rules that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RuleLine {
    /// The rule, without `-A CHAIN`.
    #[serde(flatten)]
    pub line: Line,
    /// Where it comes from, as `provenance.json` has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<OriginText>,
}

/// A chain whose rules change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ChainDiff {
    /// The family.
    #[serde(serialize_with = "family")]
    pub family: Family,
    /// Its name; after the change, where it has both.
    pub chain: String,
    /// Its name before, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// What happened to it.
    pub change: Change,
    /// The rules that come and go.
    pub lines: Vec<RuleLine>,
}

/// A set whose members change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetDiff {
    /// Its name; after the change, where it has both.
    pub set: String,
    /// Its name before, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// What happened to it.
    pub change: Change,
    /// Its type.
    pub kind: String,
    /// Members that come and go.
    pub members: Vec<Line>,
}

/// A node whose rules change.
struct NodeDiff<'a> {
    name: &'a NodeName,
    change: Change,
    /// Its chains, those that change.
    chains: Vec<ChainDiff>,
    /// The sets that its rules ask, before or after.
    asked: BTreeSet<String>,
}

/// Compares two fleets.
#[must_use]
pub(super) fn rule_changes(old: &FleetText, new: &FleetText) -> RuleChanges {
    let names: BTreeSet<&NodeName> = old.nodes.keys().chain(new.nodes.keys()).collect();
    let mut sets = pairing::SetPairs::new(old, new);
    let mut nodes = Vec::new();
    for name in names {
        let (before, after) = (old.nodes.get(name), new.nodes.get(name));
        let change = match (before, after) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(before), Some(after)) if before.digest == after.digest => continue,
            (Some(_), Some(_)) => Change::Changed,
        };
        let (before, after) = (lines::Origins::of(before), lines::Origins::of(after));
        let mut asked = BTreeSet::new();
        let chains = Family::ALL
            .into_iter()
            .flat_map(|family| lines::chains(family, &before, &after, &mut sets, &mut asked))
            .collect();
        nodes.push(NodeDiff { name, change, chains, asked });
    }
    let sets = sets.diffs();
    RuleChanges { shapes: shapes::shapes(nodes, &sets), sets }
}

fn family<S: Serializer>(family: &Family, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(family)
}
