//! The pods of both sides, each tied to itself by its name.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chainmail_contract::Family;
use chainmail_model::{Cluster, Pod, PodId, PodRef};
use chainmail_verdict::exact::AddressSet;
use roaring::RoaringBitmap;

use crate::diff::{Presence, Side};

/// A pod's place among [`Pods`].
pub(super) type At = u32;

/// A pod on one side: its id there, and itself.
pub(super) type OnSide<'a> = Option<(PodId, &'a Pod)>;

/// A pod, where policies see it, on both sides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Both<'a> {
    pub(super) base: OnSide<'a>,
    pub(super) head: OnSide<'a>,
}

impl<'a> Both<'a> {
    pub(super) fn on(&self, side: Side) -> OnSide<'a> {
        match side {
            Side::Base => self.base,
            Side::Head => self.head,
        }
    }

    /// The pod as it is in the end, or was.
    pub(super) fn latest(&self) -> &'a Pod {
        self.head.or(self.base).expect("a pod is on a side").1
    }

    pub(super) fn presence(&self) -> Presence {
        match (self.base, self.head) {
            (None, _) => Presence::Appear,
            (_, None) => Presence::Vanish,
            (Some(_), Some(_)) => Presence::Stay,
        }
    }

    pub(super) fn address(&self, side: Side, family: Family) -> Option<IpAddr> {
        self.on(side).and_then(|(_, pod)| pod.addresses.of(family))
    }

    /// Whether it is at one address of a family before and after.
    pub(super) fn stays_put(&self, family: Family) -> bool {
        self.presence() == Presence::Stay
            && self.address(Side::Base, family) == self.address(Side::Head, family)
    }
}

/// Several objects may contradict each other about one pod. Those that add no address are no further end of packets: what is
/// said of an address is asked of all its claimants.
fn distinct(mut claims: Vec<(PodId, &Pod)>) -> Vec<(PodId, &Pod)> {
    if claims.len() > 1 {
        claims.sort_by_key(|(_, pod)| Reverse(pod.addresses.iter().count()));
        let mut seen = BTreeSet::new();
        claims.retain(|(_, pod)| {
            let known = seen.len();
            seen.extend(pod.addresses.iter());
            seen.len() > known
        });
    }
    claims
}

/// What both sides say of the pods of a name: those of equal addresses are one, and the others in order.
fn paired<'a>([base, mut head]: [Vec<(PodId, &'a Pod)>; 2]) -> Vec<Both<'a>> {
    let mut pods = Vec::new();
    let mut moved = Vec::new();
    for old in base {
        match head.iter().position(|(_, new)| new.addresses == old.1.addresses) {
            Some(place) => pods.push(Both { base: Some(old), head: Some(head.remove(place)) }),
            None => moved.push(old),
        }
    }
    let (mut moved, mut head) = (moved.into_iter(), head.into_iter());
    loop {
        match (moved.next(), head.next()) {
            (None, None) => return pods,
            (base, head) => pods.push(Both { base, head }),
        }
    }
}

/// The pods of both sides, in order of namespace and name.
pub(super) struct Pods<'a> {
    pods: Vec<Both<'a>>,
    /// In order of addresses, on each side; several pods may claim one address.
    at: [Vec<(IpAddr, At)>; 2],
}

impl<'a> Pods<'a> {
    pub(super) fn new(base: &'a Cluster, head: &'a Cluster) -> Self {
        let mut by_name: BTreeMap<PodRef, [Vec<(PodId, &'a Pod)>; 2]> = BTreeMap::new();
        for (side, cluster) in [(Side::Base, base), (Side::Head, head)] {
            for (id, pod) in cluster.pods().filter(|(_, pod)| pod.is_endpoint()) {
                by_name.entry(pod.pod_ref()).or_default()[side.index()].push((id, pod));
            }
        }
        let pods: Vec<Both<'a>> =
            by_name.into_values().flat_map(|claims| paired(claims.map(distinct))).collect();
        let at = [Side::Base, Side::Head].map(|side| {
            let addresses = |(at, both): (At, &Both<'a>)| {
                let addresses = both.on(side).map(|(_, pod)| pod.addresses).unwrap_or_default();
                addresses.iter().map(move |address| (address, at)).collect::<Vec<_>>()
            };
            let mut at: Vec<(IpAddr, At)> = (0..).zip(&pods).flat_map(addresses).collect();
            at.sort_unstable();
            at
        });
        Self { pods, at }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (At, &Both<'a>)> {
        (0..).zip(&self.pods)
    }

    pub(super) fn get(&self, at: At) -> &Both<'a> {
        &self.pods[at as usize]
    }

    /// The pods that have an address of a set on a side.
    pub(super) fn within(&self, side: Side, set: &AddressSet) -> impl Iterator<Item = At> {
        let at = match side {
            Side::Base => &self.at[0],
            Side::Head => &self.at[1],
        };
        let ranges: Vec<_> = set.ranges().collect();
        ranges.into_iter().flat_map(move |(first, last)| {
            let start = at.partition_point(|(address, _)| *address < first);
            at[start..].iter().take_while(move |(address, _)| *address <= last).map(|(_, at)| *at)
        })
    }

    /// The pods that have a pod's address on a side, itself among them.
    pub(super) fn at_one_address(&self, pod: At, family: Family) -> RoaringBitmap {
        let mut pods = RoaringBitmap::from_iter([pod]);
        for side in Side::ALL {
            if let Some(address) = self.get(pod).address(side, family) {
                pods.extend(self.within(side, &AddressSet::of(family, [address])));
            }
        }
        pods
    }

    /// Every address of a family that is a pod's on either side.
    pub(super) fn addresses(&self, family: Family) -> AddressSet {
        let [base, head] =
            self.at.each_ref().map(|at| AddressSet::of(family, at.iter().map(|(address, _)| *address)));
        base.union(&head)
    }
}
