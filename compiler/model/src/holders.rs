//! The holder of an address: one pod, or several objects that each claim it.
//!
//! An address is one pod's at a time, but what is known of a live cluster may be old, half written or false. Where
//! objects contradict each other **doubt closes**: the address is isolated if any claimant is, only what all claimants
//! allow is allowed, and a selector means it as a peer only if it selects all of them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chainmail_contract::NodeName;

use super::Addresses;
use super::model::{Cluster, ContainerPort, Node, Pod, PodId};

/// With more claimants than these an address is closed, so that what false claims cost is bounded.
pub const CLAIMANTS_MAX: usize = 16;

/// A holder's place: the pods by their own places, then the contested addresses in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HolderId(pub u32);

impl From<PodId> for HolderId {
    /// The pod, as the holder of what no other object claims.
    fn from(pod: PodId) -> Self {
        Self(pod.0)
    }
}

/// What selectors select and rules name.
#[derive(Debug, Clone, Copy)]
pub enum Holder<'a> {
    /// A pod, with those of its addresses that no other object claims.
    Pod(PodId, &'a Pod),
    /// One address that several claim.
    Contested(&'a Contested),
}

/// Between whom it is in doubt whose an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// Between pods, or between what objects say of one pod.
    Pods,
    /// Also a node has it as its own.
    Node,
    /// Between more than [`CLAIMANTS_MAX`]: nothing is allowed, and it is nobody's peer.
    Crowd,
}

/// An address that several objects claim.
#[derive(Debug, Clone)]
pub struct Contested {
    /// The address.
    pub address: IpAddr,
    /// Between whom.
    pub doubt: Doubt,
    /// The pods that claim it, in order; at least one.
    pub(super) claimants: Vec<PodId>,
    /// The ports that every claimant has, in order: a name means what all of them mean by it.
    pub(super) ports: Vec<ContainerPort>,
}

impl Contested {
    pub(super) fn new(cluster: &Cluster, address: IpAddr, doubt: Doubt, claimants: Vec<PodId>) -> Self {
        let ports = match (doubt, &claimants[..]) {
            (Doubt::Pods, [first, others @ ..]) => {
                let mut ports = cluster.pod(*first).ports.clone();
                ports.retain(|port| others.iter().all(|other| cluster.pod(*other).ports.contains(port)));
                ports
            }
            // A node names no port.
            (Doubt::Pods | Doubt::Node | Doubt::Crowd, _) => Vec::new(),
        };
        Self { address, doubt, claimants, ports }
    }

    /// The pods that claim it, by their places, in order.
    #[must_use]
    pub fn claimants(&self) -> &[PodId] {
        &self.claimants
    }

    /// The ports that every claimant has.
    #[must_use]
    pub fn ports(&self) -> &[ContainerPort] {
        &self.ports
    }
}

impl Cluster {
    /// Puts the pods in order after some were added at their end; those hold what nobody held before.
    pub(super) fn put_in_order(&mut self) {
        let mut pods: Vec<(usize, Pod)> = std::mem::take(&mut self.pods).into_iter().enumerate().collect();
        pods.sort_by_cached_key(|(_, pod)| pod.pod_ref());
        let mut moved = vec![PodId(0); pods.len()];
        for (id, (before, _)) in (0..).map(PodId).zip(&pods) {
            moved[*before] = id;
        }
        self.pods = pods.into_iter().map(|(_, pod)| pod).collect();
        for contested in &mut self.contested {
            contested.claimants.iter_mut().for_each(|pod| *pod = moved[pod.0 as usize]);
        }
        let pods =
            self.pods().flat_map(|(id, pod)| pod.addresses.iter().map(move |at| (at, HolderId::from(id))));
        // Of an address that several claim, the last entry holds.
        let contested = self.contested_holders().map(|(id, contested)| (contested.address, id));
        self.holders = pods.chain(contested).collect();
    }

    /// The addresses that several claim, in order.
    #[must_use]
    pub fn contested(&self) -> &[Contested] {
        &self.contested
    }

    /// The holder of an address that a pod claims.
    #[must_use]
    pub fn holder_of(&self, address: IpAddr) -> Option<HolderId> {
        self.holders.get(&address).copied()
    }

    /// A holder.
    #[must_use]
    pub fn holder(&self, id: HolderId) -> Holder<'_> {
        let place = id.0 as usize;
        match self.pods.get(place) {
            Some(pod) => Holder::Pod(PodId(id.0), pod),
            None => Holder::Contested(&self.contested[place - self.pods.len()]),
        }
    }

    /// The id of the contested address at a place of [`Cluster::contested`].
    fn contested_id(&self, place: usize) -> HolderId {
        HolderId(u32::try_from(self.pods.len() + place).expect("fewer than 2^32 objects fit in memory"))
    }

    /// The contested addresses with their ids, in order.
    pub fn contested_holders(&self) -> impl Iterator<Item = (HolderId, &Contested)> {
        (0..).map(|place| self.contested_id(place)).zip(&self.contested)
    }

    /// All holders: the pods that are endpoints, then the contested addresses.
    pub fn holders(&self) -> impl Iterator<Item = (HolderId, Holder<'_>)> {
        let pods = self.pods().filter(|(_, pod)| pod.is_endpoint());
        let pods = pods.map(|(id, pod)| (HolderId::from(id), Holder::Pod(id, pod)));
        pods.chain(self.contested_holders().map(|(id, contested)| (id, Holder::Contested(contested))))
    }

    /// The addresses of a holder: of a pod, those that no other object claims.
    #[must_use]
    pub fn addresses_of(&self, id: HolderId) -> Addresses {
        match self.holder(id) {
            Holder::Contested(contested) => Addresses::default().with(contested.address),
            Holder::Pod(_, pod) if self.contested.is_empty() => pod.addresses,
            Holder::Pod(_, pod) => {
                pod.addresses.iter().fold(pod.addresses, |own, address| match self.holder_of(address) {
                    Some(holder) if holder == id => own,
                    Some(_) | None => own.without(address),
                })
            }
        }
    }

    /// The ports of a holder.
    #[must_use]
    pub fn ports_of(&self, id: HolderId) -> &[ContainerPort] {
        match self.holder(id) {
            Holder::Pod(_, pod) => &pod.ports,
            Holder::Contested(contested) => &contested.ports,
        }
    }

    /// The nodes that a holder may be on.
    #[must_use]
    pub fn nodes_of(&self, id: HolderId) -> BTreeSet<&NodeName> {
        match self.holder(id) {
            Holder::Pod(_, pod) => pod.node.iter().collect(),
            Holder::Contested(contested) => {
                contested.claimants.iter().filter_map(|pod| self.pod(*pod).node.as_ref()).collect()
            }
        }
    }

    /// Who claims a contested address, in words: `shop/db (2 claims) or ops/other`.
    pub fn claimants_text(&self, contested: &Contested) -> String {
        let names: Vec<String> =
            contested.claimants.iter().map(|pod| self.pod(*pod).pod_ref().to_string()).collect();
        let mut names: Vec<String> = names
            .chunk_by(|one, other| one == other)
            .map(|same| match same {
                [one, _, ..] => format!("{one} ({} claims)", same.len()),
                alone => alone.concat(),
            })
            .collect();
        let told = names.len().min(CLAIMANTS_MAX);
        let more = names.split_off(told).len();
        if contested.doubt == Doubt::Node {
            let has_it = |node: &&Node| node.addresses.contains(&contested.address);
            names.extend(self.nodes().filter(has_it).map(|node| format!("node {}", node.name)));
        }
        if more > 0 {
            names.push(format!("{more} others"));
        }
        names.join(" or ")
    }

    /// The pods that claim an address; none where no pod does.
    pub fn claimants(&self, address: IpAddr) -> impl Iterator<Item = &Pod> {
        let (one, several): (Option<&Pod>, &[PodId]) = match self.holder_of(address) {
            None => (None, &[]),
            Some(id) => match self.holder(id) {
                Holder::Pod(_, pod) => (Some(pod), &[]),
                Holder::Contested(contested) => (None, &contested.claimants),
            },
        };
        one.into_iter().chain(several.iter().map(|id| self.pod(*id)))
    }
}
