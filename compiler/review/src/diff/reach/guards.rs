//! What settings of nodes refuse whatever policies say, as sets of the other end's addresses.
//!
//! It is the same reading as [`chainmail_model::semantics::judge`] has of `unknown_pods` and `pod_bridge`, with sets in the place of
//! questions. Addresses that are a pod's on one side only are nobody's on the other, but that is about the pod: they are
//! left out of what is refused of strangers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chainmail_contract::{Family, NodeName};
use chainmail_model::{Cluster, Direction, Node, Pod, UnknownPods};
use chainmail_verdict::exact::AddressSet;
use ipnet::IpNet;

/// Networks whose addresses are of one link, or of many hosts.
const LINK_LOCAL: &str = "fe80::/10";
const MULTICAST: [&str; 2] = ["224.0.0.0/4", "ff00::/8"];

/// The guards of one side's nodes, in one family.
pub(super) struct Guards<'a> {
    cluster: &'a Cluster,
    family: Family,
    nodes: Vec<Guarded<'a>>,
    /// What every guarding node refuses of strangers to anybody.
    strangers: AddressSet,
    /// Addresses of pods and nodes.
    known: AddressSet,
}

/// A node with a guard.
struct Guarded<'a> {
    node: &'a Node,
    nets: AddressSet,
    own: AddressSet,
    pods: AddressSet,
    /// What is behind it: its pods, and what of its networks is nobody's.
    behind: AddressSet,
}

impl<'a> Guards<'a> {
    /// `pods` are the addresses of pods of both sides.
    pub(super) fn new(cluster: &'a Cluster, family: Family, pods: &AddressSet) -> Self {
        let addresses = |node: &Node| AddressSet::of(family, node.addresses.iter().copied());
        let nodes = cluster.nodes().map(addresses);
        let known = nodes.fold(pods.clone(), |known, own| known.union(&own));
        let guards = |node: &&Node| {
            node.settings.unknown_pods == UnknownPods::Drop || node.settings.pod_bridge.is_some()
        };
        let mut on: BTreeMap<&NodeName, Vec<IpAddr>> = BTreeMap::new();
        let guarding: Vec<&Node> = cluster.linux_nodes().filter(guards).collect();
        if !guarding.is_empty() {
            for (id, _) in cluster.holders() {
                for node in cluster.nodes_of(id) {
                    on.entry(node).or_default().extend(cluster.addresses_of(id).iter());
                }
            }
        }
        let guarded = guarding.into_iter().map(|node| {
            let nets = AddressSet::of_nets(family, &node.pod_cidrs);
            let pods = AddressSet::of(family, on.get(&node.name).into_iter().flatten().copied());
            let behind = pods.union(&nets.difference(&known));
            Guarded { node, nets, own: addresses(node), pods, behind }
        });
        let nodes: Vec<Guarded<'_>> = guarded.collect();
        let dropping = nodes.iter().filter(|guarded| guarded.drops_strangers());
        let strangers = dropping
            .fold(AddressSet::none(family), |all, guarded| all.union(&guarded.nets.difference(&known)));
        Self { cluster, family, nodes, strangers, known }
    }

    /// The peers that are refused to a pod: by the node that it is on, or each that it may be on, and of strangers by any. What another node refuses of it is
    /// said by the pods that are there, each by the rules that its node has: the two may be at different revisions.
    pub(super) fn refused(&self, direction: Direction, pod: &Pod) -> AddressSet {
        let Some(address) = pod.addresses.of(self.family) else { return AddressSet::none(self.family) };
        let mut refused = self.strangers.clone();
        let on = self.cluster.holder_of(address).map(|id| self.cluster.nodes_of(id)).unwrap_or_default();
        for guarded in self.nodes.iter().filter(|guarded| on.contains(&guarded.node.name)) {
            if guarded.drops_strangers() {
                // Pods of other nodes, and other nodes, at addresses that this one keeps for its own.
                let odd = guarded.nets.intersection(&self.known);
                refused = refused.union(&odd.difference(&guarded.pods).difference(&guarded.own));
            }
            if guarded.node.settings.pod_bridge.is_some() {
                refused = refused.union(&guarded.stray(direction, address));
            }
        }
        refused
    }
}

impl Guarded<'_> {
    fn drops_strangers(&self) -> bool {
        self.node.settings.unknown_pods == UnknownPods::Drop
    }

    /// What is refused between ports of the bridge.
    fn stray(&self, direction: Direction, address: IpAddr) -> AddressSet {
        let family = self.nets.family();
        let net = |text: &str| -> IpNet { text.parse().expect("these are networks") };
        let link_local = AddressSet::of_nets(family, [&net(LINK_LOCAL)]);
        let multicast = AddressSet::of_nets(family, &MULTICAST.map(net));
        let strays =
            if self.nets.is_empty() { AddressSet::none(family) } else { self.behind.difference(&self.nets) };
        let is_stray = match direction {
            Direction::Ingress => multicast.contains(address),
            Direction::Egress => strays.contains(address),
        };
        if is_stray || link_local.contains(address) {
            return self.behind.clone();
        }
        match direction {
            Direction::Ingress => strays.union(&self.behind.intersection(&link_local)),
            Direction::Egress => self.behind.intersection(&link_local.union(&multicast)),
        }
    }
}
