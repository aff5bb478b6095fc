//! What changes between two fleets: rule lines node by node, and set members.
//!
//! Classes and sets are named by what they hold, so whatever changes gets a new name. Old and new are paired first (a
//! class by the pods it serves, a set by the rule that asks it), so that a change shows as its own lines and not as
//! the whole of two chains.

mod lines;
mod pairing;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use chainmail_snapshot::{Family, NodeName, SetName};
use serde::Serialize;

pub use text::render;

/// The texts of one fleet, as compiled or as read from a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetText {
    /// Rule texts by node: IPv4, then IPv6.
    pub nodes: BTreeMap<NodeName, [String; 2]>,
    /// Set texts.
    pub sets: BTreeMap<SetName, String>,
}

impl FleetText {
    /// Adds a node's texts.
    pub fn add(
        &mut self,
        node: NodeName,
        rules: [String; 2],
        sets: impl IntoIterator<Item = (SetName, String)>,
    ) {
        self.nodes.insert(node, rules);
        self.sets.extend(sets);
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

/// A chain whose rules change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainDiff {
    /// The family.
    pub family: String,
    /// Its name; after the change, where it has both.
    pub chain: String,
    /// Its name before, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// What happened to it.
    pub change: Change,
    /// The rules that come and go.
    pub lines: Vec<Line>,
}

/// A node whose rules change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeDiff {
    /// The node.
    pub node: String,
    /// What happened to it.
    pub change: Change,
    /// Its chains, those that change.
    pub chains: Vec<ChainDiff>,
    /// The sets among [`Diff::sets`] that its rules ask, before or after.
    pub sets: Vec<String>,
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

/// The whole difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Nodes with changes, in order of names.
    pub nodes: Vec<NodeDiff>,
    /// Sets with changes, in order of names.
    pub sets: Vec<SetDiff>,
}

impl Diff {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.sets.is_empty()
    }
}

/// Compares two fleets.
#[must_use]
pub fn diff(old: &FleetText, new: &FleetText) -> Diff {
    let names: BTreeSet<&NodeName> = old.nodes.keys().chain(new.nodes.keys()).collect();
    let empty = [String::new(), String::new()];
    let mut sets = pairing::SetPairs::new(old, new);
    let mut nodes = Vec::new();
    for name in names {
        let (before, after) = (old.nodes.get(name), new.nodes.get(name));
        let change = match (before, after) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(_), Some(_)) => Change::Changed,
        };
        let (before, after) = (before.unwrap_or(&empty), after.unwrap_or(&empty));
        if before == after {
            continue;
        }
        let mut chains = Vec::new();
        let mut asked = BTreeSet::new();
        for (family, (before, after)) in Family::ALL.into_iter().zip(before.iter().zip(after)) {
            chains.extend(lines::chains(family, before, after, &mut sets, &mut asked));
        }
        nodes.push((name, change, chains, asked));
    }
    let sets = sets.diffs();
    let changed = |set: &String| sets.iter().any(|diff| diff.set == *set || diff.was.as_ref() == Some(set));
    let nodes = nodes.into_iter().map(|(name, change, chains, asked)| NodeDiff {
        node: name.to_string(),
        change,
        chains,
        sets: asked.into_iter().filter(changed).collect(),
    });
    let nodes = nodes.collect();
    Diff { nodes, sets }
}
