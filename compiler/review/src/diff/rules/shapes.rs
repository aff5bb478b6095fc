//! Nodes that change alike, told once.
//!
//! What policies say is the same on every node that has their pods: chains of classes are named by what they hold. What
//! says which addresses are a node's own pods differs on each, and is kept for each.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_contract::Sha256Hex;

use super::{ChainDiff, Change, NodeDiff, SetDiff};
use crate::diff::{OwnChains, Shape};

/// How the names of classes' chains begin. All other chains are made of a node's own pods.
const CLASS_CHAINS: [&str; 2] = ["CM-E-", "CM-I-"];

/// All that nodes of one shape have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    change: Change,
    chains: Vec<ChainDiff>,
}

/// Folds nodes with equal chains of policies into shapes.
pub(super) fn shapes(nodes: Vec<NodeDiff<'_>>, sets: &[SetDiff]) -> Vec<Shape> {
    let changed: BTreeSet<&str> =
        sets.iter().flat_map(|diff| diff.was.iter().chain([&diff.set])).map(String::as_str).collect();
    let mut known: BTreeMap<Alike, Shape> = BTreeMap::new();
    for NodeDiff { name, change, chains, asked } in nodes {
        let (common, own): (Vec<ChainDiff>, Vec<ChainDiff>) = chains
            .into_iter()
            .partition(|diff| CLASS_CHAINS.iter().any(|class| diff.chain.starts_with(class)));
        let shape = known.entry(Alike { change, chains: common }).or_insert_with(|| Shape {
            id: String::new(),
            nodes: Vec::new(),
            change,
            chains: Vec::new(),
            own: Vec::new(),
            sets: Vec::new(),
        });
        shape.nodes.push(name.to_string());
        if !own.is_empty() {
            shape.own.push(OwnChains { node: name.to_string(), chains: own });
        }
        shape.sets.extend(asked.into_iter().filter(|set| changed.contains(set.as_str())));
    }
    let mut shapes: Vec<Shape> = known
        .into_iter()
        .map(|(alike, mut shape)| {
            shape.id = Sha256Hex::of(format!("{:?} {:?}", alike.change, alike.chains)).short(16).to_owned();
            shape.chains = alike.chains;
            shape.sets.sort_unstable();
            shape.sets.dedup();
            shape
        })
        .collect();
    shapes.sort_by(|a, b| b.nodes.len().cmp(&a.nodes.len()).then_with(|| a.nodes.cmp(&b.nodes)));
    shapes
}
