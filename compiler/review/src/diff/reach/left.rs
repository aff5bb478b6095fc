//! Addresses that isolated pods leave: no policy isolates them any more.
//!
//! Such an address is no end of any flow: on one side it is a pod's, and on the other it is nobody's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chainmail_contract::Sha256Hex;
use chainmail_model::{Cluster, Direction, Pod, PodState, UnknownPods};
use roaring::RoaringBitmap;

use super::causes::Why;
use super::pods::Pods;
use super::sides::Sides;
use super::words::Words;
use crate::diff::{Cause, Isolation, IsolationChange, Presence, Role, Side};

/// An address that was isolated: by which policies, and the pods that had or claimed it.
struct Left<'m> {
    policies: &'m [usize],
    /// `Vanish` where one of the pods does.
    presence: Presence,
    pods: RoaringBitmap,
}

/// Pods that the same policies isolated, and the addresses that they left, in order.
#[derive(Default)]
struct Group {
    pods: RoaringBitmap,
    addresses: Vec<IpAddr>,
}

/// The addresses that were isolated on the base and that no pod has on the head, a row for all that the same policies
/// isolated. Pods that stay at another address and pods that are gone are told apart.
pub(super) fn addresses(sides: Sides<'_, '_>, why: Why<'_>, pods: &Pods<'_>) -> Vec<Isolation> {
    let mut left: BTreeMap<(Direction, IpAddr), Left<'_>> = BTreeMap::new();
    for (at, both) in pods.iter() {
        let Some((_, pod)) = both.base.filter(|(_, pod)| pod.state != PodState::Assumed) else { continue };
        for address in pod.addresses.iter().filter(|address| is_open(sides.clusters[1], *address)) {
            for direction in Direction::ALL {
                let Some(policies) = sides.isolating(Side::Base, direction, address) else { continue };
                let pods = RoaringBitmap::new();
                let presence = both.presence();
                let left = left.entry((direction, address)).or_insert(Left { policies, presence, pods });
                left.presence = left.presence.max(presence);
                left.pods.insert(at);
            }
        }
    }
    let mut groups: BTreeMap<(Direction, Presence, &[usize]), Group> = BTreeMap::new();
    for ((direction, address), left) in left {
        let group = groups.entry((direction, left.presence, left.policies)).or_default();
        group.pods |= left.pods;
        group.addresses.push(address);
    }
    let words = Words::new(pods, sides.clusters);
    let row = |((direction, presence, policies), group): ((_, _, &[usize]), Group)| {
        let change = IsolationChange::NoLongerIsolated;
        let addresses = group.addresses;
        let mut causes = examples(why, direction, group.pods.iter().filter_map(|at| pods.get(at).base));
        let all = sides.clusters[Side::Base.index()].policies();
        causes.extend(
            policies.iter().map(|&place| why.policy(Role::Isolate, direction, Side::Base, &all[place], &[])),
        );
        let pods = words.of(&group.pods, &RoaringBitmap::new(), presence);
        let identity = format!("{change:?} {direction} {:?} {addresses:?}", pods.ends);
        let id = Sha256Hex::of(identity).short(16).to_owned();
        Isolation { id, change, direction, pods, addresses, causes, waived: None }
    };
    let mut rows: Vec<Isolation> = groups.into_iter().map(row).collect();
    rows.sort_by(|a, b| (a.direction, &a.pods, &a.addresses).cmp(&(b.direction, &b.pods, &b.addresses)));
    rows
}

/// Whether an address is no pod's and no node refuses it for that. That a workload's pod may get it is only assumed.
fn is_open(cluster: &Cluster, address: IpAddr) -> bool {
    let is_a_nodes = || cluster.nodes().any(|node| node.addresses.contains(&address));
    let is_refused = || {
        cluster.linux_nodes().any(|node| {
            node.settings.unknown_pods == UnknownPods::Drop
                && node.pod_cidrs.iter().any(|net| net.contains(&address))
        })
    };
    cluster.claimants(address).all(|pod| pod.state == PodState::Assumed) && (is_a_nodes() || !is_refused())
}

/// Why pods left: of each way the first pod.
fn examples<'a, Id>(
    why: Why<'a>,
    direction: Direction,
    pods: impl Iterator<Item = (Id, &'a Pod)>,
) -> Vec<Cause> {
    let mut causes: Vec<Cause> = Vec::new();
    for (_, pod) in pods {
        let cause = why.left(direction, pod);
        if causes.iter().all(|known| (known.side, &known.field) != (cause.side, &cause.field)) {
            causes.push(cause);
        }
    }
    causes
}
