//! Nodes that change alike, told once.
//!
//! What policies say is the same on every node that has their pods: chains of classes are named by what they hold. What
//! says which addresses are a node's own pods differs on each, so that it is counted and not compared.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_snapshot::Sha256Hex;

use super::{ChainDiff, Change, Line, NodeDiff, SetDiff};
use crate::diff::Shape;

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
            own_added: 0,
            own_removed: 0,
            sets: Vec::new(),
        });
        shape.nodes.push(name.to_string());
        for line in own.iter().flat_map(|diff| &diff.lines) {
            match line.line {
                Line::Added(_) => shape.own_added += 1,
                Line::Removed(_) => shape.own_removed += 1,
            }
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
