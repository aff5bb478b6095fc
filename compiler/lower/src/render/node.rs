//! A node's files.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

use chainmail_contract::{
    ChainName, Family, Manifest, NodeSnapshot, OriginText, Parts, SetName, Sha256Hex, cut_set_name,
};
use chainmail_findings::{FieldPath, Places};
use chainmail_model::Cluster;
use serde::Serialize;

use super::{cut_set_text, rules_text, set_text};
use crate::netfilter::{IpSet, Ruleset};
use crate::policy::{Isolation, Origin};
use crate::{ChainOrigins, NodeProgram};

/// One entry of `provenance.json`: a rule, and what of which policies it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ProvenanceEntry<'a> {
    family: String,
    chain: String,
    index: usize,
    from: Vec<&'a OriginText>,
}

/// The other kind of entry: addresses in the node's sets that no reviewed file has, and where they stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct InventoryEntry<'a> {
    inventory: &'a str,
    members: Vec<IpAddr>,
}

/// An entry of either kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Rule(ProvenanceEntry<'a>),
    Inventory(InventoryEntry<'a>),
}

/// The texts of sets, each written once for all nodes.
pub type SetTexts = BTreeMap<SetName, (Rc<str>, Sha256Hex)>;

/// Renders a node's program. `texts` keeps what other nodes have rendered before.
#[must_use]
pub fn node_snapshot(
    program: &NodeProgram,
    cluster: &Cluster,
    places: &dyn Places,
    texts: &mut SetTexts,
    origins: &mut Origins,
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
    let level = program.rules.iter().map(Ruleset::level).max().unwrap_or_default();
    let manifest = Manifest::new(program.node.clone(), parts, digests).of_level(level);
    let live = live_members(program, cluster, places);
    let live_members = live.values().map(Vec::len).sum();
    let provenance = provenance(program, cluster, places, origins, live);
    NodeSnapshot { manifest, rules_v4, rules_v6, sets, provenance, live_members }
}

fn render_set(set: &IpSet) -> (Rc<str>, Sha256Hex) {
    let text = set_text(set);
    let digest = Sha256Hex::of(&text);
    (Rc::from(text), digest)
}

/// Why a rule is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A policy's rule admits what it lets pass.
    Admitted(Origin),
    /// A policy isolates the pods, so that what nothing admits is denied.
    Isolated(Isolation),
}

/// Reasons and where they stand, looked up once each.
pub type Origins = BTreeMap<Reason, OriginText>;

fn provenance(
    program: &NodeProgram,
    cluster: &Cluster,
    places: &dyn Places,
    origins: &mut Origins,
    live: BTreeMap<&str, Vec<IpAddr>>,
) -> String {
    let rules: Vec<_> = program.provenance.iter().flat_map(reasons).collect();
    for reason in rules.iter().flat_map(|(.., reasons)| reasons) {
        origins.entry(*reason).or_insert_with(|| origin_text(*reason, cluster, places));
    }
    let entry =
        |(family, chain, index, reasons): &(Family, &ChainName, usize, Vec<Reason>)| ProvenanceEntry {
            family: family.to_string(),
            chain: chain.as_str().to_owned(),
            index: *index,
            from: reasons.iter().map(|reason| &origins[reason]).collect(),
        };
    let rules = rules.iter().map(|rule| Entry::Rule(entry(rule)));
    let inventories =
        live.into_iter().map(|(inventory, members)| Entry::Inventory(InventoryEntry { inventory, members }));
    let entries: Vec<_> = rules.chain(inventories).collect();
    serde_json::to_string_pretty(&entries).expect("entries have only string keys") + "\n"
}

/// The addresses in a node's sets that are those of live pods, by the file of the pod.
fn live_members<'a>(
    program: &NodeProgram,
    cluster: &Cluster,
    places: &'a dyn Places,
) -> BTreeMap<&'a str, Vec<IpAddr>> {
    if !places.has_inventories() {
        return BTreeMap::new();
    }
    // `ADDRESS` or `ADDRESS,PROTOCOL:PORT`; a network is no pod's.
    let address = |member: &str| member.split(',').next().and_then(|address| address.parse().ok());
    let members: BTreeSet<IpAddr> =
        program.sets.values().flat_map(|set| set.members().iter()).filter_map(address).collect();
    let mut files: BTreeMap<&str, Vec<IpAddr>> = BTreeMap::new();
    for address in members {
        let mut paths = cluster
            .claimants(address)
            .filter(|pod| pod.addresses.iter().any(|own| own == address))
            .map(|pod| places.inventory(pod.at));
        // One that a reviewed pod claims too is not from the inventory alone.
        let first = paths.next().flatten();
        if let Some(path) = first
            && paths.all(|path| path.is_some())
        {
            files.entry(path).or_default().push(address);
        }
    }
    files
}

/// Each rule of a chain, by its place, with its reasons.
fn reasons(chain: &ChainOrigins) -> impl Iterator<Item = (Family, &ChainName, usize, Vec<Reason>)> {
    let ChainOrigins { family, chain, origins, isolating } = chain;
    origins.iter().enumerate().map(move |(index, origins)| {
        let reasons = match origins.is_empty() {
            true => isolating.iter().copied().map(Reason::Isolated).collect(),
            false => origins.iter().copied().map(Reason::Admitted).collect(),
        };
        (*family, chain, index, reasons)
    })
}

fn origin_text(reason: Reason, cluster: &Cluster, places: &dyn Places) -> OriginText {
    let spec = FieldPath::root().key("spec");
    let (policy, rule, path) = match reason {
        Reason::Admitted(origin) => {
            let rule = origin.rule_ref(cluster);
            let path = spec.key(rule.direction.to_string()).index(rule.index);
            (origin.policy_index(), format!("{}[{}]", rule.direction, rule.index), path)
        }
        Reason::Isolated(isolation) => {
            (isolation.policy_index(), isolation.direction.to_string(), spec.key("policyTypes"))
        }
    };
    let policy = &cluster.policies()[policy];
    let place = places.place(policy.at, &path);
    OriginText {
        policy: policy.policy_ref().to_string(),
        rule,
        place: format!("{}:{}", place.file, place.line),
    }
}
