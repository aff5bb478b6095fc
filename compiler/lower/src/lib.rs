//! Allowed traffic to rules: the only step that speaks of pods and of chains.
//!
//! What a node's kernel holds, from the jump in FORWARD on:
//!
//! ```text
//! CM-FORWARD    established, errors, neighbour discovery, cut flows; then both checks
//!  ├ jump CM-EGRESS    dispatch by source address, by goto, to the class of the source pod
//!  └ goto CM-INGRESS   dispatch by destination address, by goto, to the class of the destination pod
//! ```
//!
//! A class allows by RETURN and ends in DROP, or in CM-DENY where a node tells of what it denies. CM-EGRESS is entered by the only jump, so that traffic it allows comes
//! back to the ingress check; everything below is entered by goto, so that RETURN leaves all of it at once. No rule
//! outside a dispatch tree points into it: Linux 6.1 validates every path of an nft table, and a tree that each
//! allowing rule pointed at would make that quadratic.

// What others wrote never ends the program: it becomes an error that names its place.
#![warn(clippy::panic, clippy::unreachable, clippy::get_unwrap, clippy::string_slice)]

mod base;
mod class;
mod cost;
mod dispatch;
mod meet;
pub mod netfilter;
mod node;
mod peers;
pub mod policy;
pub mod render;
mod term;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chainmail_contract::{ChainName, Family, NodeName, SetName};
use chainmail_model::{Cluster, Holder, HolderId};

use crate::netfilter::{IpSet, Ruleset};
use crate::policy::{AllowedTraffic, Isolation, Origin, PodSets};

use class::ClassChain;
use peers::PeerSets;

/// The rules and sets of one node.
#[derive(Debug)]
pub struct NodeProgram {
    /// The node.
    pub node: NodeName,
    /// The IPv4 rules, then the IPv6 rules.
    pub rules: [Ruleset; 2],
    /// Every set that the rules ask, except those of cut flows.
    pub sets: BTreeMap<SetName, Rc<IpSet>>,
    /// Where the rules of each class's chain come from, in order of families and chains.
    pub provenance: Vec<ChainOrigins>,
}

/// Where the rules of one chain come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainOrigins {
    /// The chain's family.
    pub family: Family,
    /// The chain.
    pub chain: ChainName,
    /// The policy rules of each of its rules, in order; none for a final one that denies.
    pub origins: Rc<Vec<BTreeSet<Origin>>>,
    /// The policies that isolate the chain's pods: a final rule that denies comes from them.
    pub isolating: BTreeSet<Isolation>,
}

/// The lowered cluster. Classes and sets are made once for all nodes; a node's program is put together from them.
pub struct Lowering<'a> {
    cluster: &'a Cluster,
    traffic: AllowedTraffic,
    /// What may hold an address on each node.
    holders_on: BTreeMap<&'a NodeName, Vec<HolderId>>,
    pod_sets: PodSets,
    peer_sets: PeerSets,
    chains: BTreeMap<class::Key, Rc<ClassChain>>,
    bodies: BTreeMap<Vec<class::Key>, class::Body>,
}

impl<'a> Lowering<'a> {
    /// Prepares the lowering of a cluster. `pod_sets` are those that its allowed traffic names.
    #[must_use]
    pub fn new(cluster: &'a Cluster, traffic: AllowedTraffic, pod_sets: PodSets) -> Self {
        let mut holders_on: BTreeMap<&NodeName, Vec<HolderId>> = BTreeMap::new();
        for (id, holder) in cluster.holders() {
            match holder {
                Holder::Pod(_, pod) => {
                    pod.node.iter().for_each(|node| holders_on.entry(node).or_default().push(id));
                }
                Holder::Contested(_) => {
                    let nodes = cluster.nodes_of(id).into_iter();
                    nodes.for_each(|node| holders_on.entry(node).or_default().push(id));
                }
            }
        }
        Self {
            cluster,
            traffic,
            holders_on,
            pod_sets,
            peer_sets: PeerSets::default(),
            chains: BTreeMap::new(),
            bodies: BTreeMap::new(),
        }
    }
}
