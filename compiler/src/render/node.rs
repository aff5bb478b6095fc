//! A node's files.

use std::collections::BTreeMap;
use std::rc::Rc;

use chainmail_snapshot::{Family, Manifest, Parts, SetName, Sha256Hex, cut_set_name};
use serde::{Deserialize, Serialize};

use super::{cut_set_text, rules_text, set_text};
use crate::cluster::Cluster;
use crate::lower::{ChainOrigins, NodeProgram};
use crate::manifest::FieldPath;
use crate::netfilter::IpSet;
use crate::policy::Origin;
use crate::source::Sources;

/// Everything that is written for one node, and the texts of the sets it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSnapshot {
    /// What it is made of.
    pub manifest: Manifest,
    /// The text of `rules.v4`.
    pub rules_v4: String,
    /// The text of `rules.v6`.
    pub rules_v6: String,
    /// The sets' texts, those of cut flows among them.
    pub sets: BTreeMap<SetName, Rc<str>>,
    /// The text of `provenance.json`.
    pub provenance: String,
}

/// One entry of `provenance.json`: a rule, and the policy rules it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ProvenanceEntry<'a> {
    family: String,
    chain: &'a str,
    index: usize,
    from: Vec<&'a OriginText>,
}

/// A policy rule as `provenance.json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OriginText {
    /// The policy, `namespace/name`.
    pub policy: String,
    /// The rule of it, such as `ingress[0]`.
    pub rule: String,
    /// `file:line`.
    pub place: String,
}

/// The texts of sets, each written once for all nodes.
pub type SetTexts = BTreeMap<SetName, (Rc<str>, Sha256Hex)>;

/// Renders a node's program. `texts` keeps what other nodes have rendered before.
#[must_use]
pub fn node_snapshot(
    program: &NodeProgram,
    cluster: &Cluster,
    sources: &Sources,
    texts: &mut SetTexts,
    places: &mut Places,
) -> NodeSnapshot {
    let [rules_v4, rules_v6] = program.rules.each_ref().map(rules_text);
    let parts = Parts { rules_v4: Sha256Hex::of(&rules_v4), rules_v6: Sha256Hex::of(&rules_v6) };
    let mut sets = BTreeMap::new();
    let mut digests = BTreeMap::new();
    for (name, set) in &program.sets {
        let (text, digest) = texts.entry(name.clone()).or_insert_with(|| render_set(set));
        sets.insert(name.clone(), Rc::clone(text));
        digests.insert(name.clone(), digest.clone());
    }
    for family in Family::ALL {
        sets.insert(cut_set_name(family), Rc::from(cut_set_text(family)));
    }
    let manifest = Manifest::new(program.node.clone(), parts, digests);
    let provenance = provenance(program, cluster, sources, places);
    NodeSnapshot { manifest, rules_v4, rules_v6, sets, provenance }
}

fn render_set(set: &IpSet) -> (Rc<str>, Sha256Hex) {
    let text = set_text(set);
    let digest = Sha256Hex::of(&text);
    (Rc::from(text), digest)
}

/// Policy rules and where they stand, looked up once each.
pub type Places = BTreeMap<Origin, OriginText>;

fn provenance(program: &NodeProgram, cluster: &Cluster, sources: &Sources, places: &mut Places) -> String {
    for origin in program.provenance.iter().flat_map(|chain| chain.origins.iter()).flatten() {
        places.entry(*origin).or_insert_with(|| origin_text(*origin, cluster, sources));
    }
    let mut entries = Vec::new();
    for ChainOrigins { family, chain, origins } in &program.provenance {
        for (index, origins) in origins.iter().enumerate().filter(|(_, origins)| !origins.is_empty()) {
            let from = origins.iter().map(|origin| &places[origin]).collect();
            entries.push(ProvenanceEntry { family: family.to_string(), chain: chain.as_str(), index, from });
        }
    }
    serde_json::to_string_pretty(&entries).expect("entries have only string keys") + "\n"
}

fn origin_text(origin: Origin, cluster: &Cluster, sources: &Sources) -> OriginText {
    let rule = origin.rule_ref(cluster);
    let at = cluster.policies()[origin.policy_index()].at;
    let path = FieldPath::root().key("spec").key(rule.direction.to_string()).index(rule.index);
    let place = at.place(sources, &path);
    OriginText {
        policy: rule.policy.to_string(),
        rule: format!("{}[{}]", rule.direction, rule.index),
        place: format!("{}:{}", place.file, place.line),
    }
}
