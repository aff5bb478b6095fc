//! Which policies can mean something else after a change: those that differ, and those whose selectors meet a pod that
//! does.

use std::collections::BTreeMap;

use chainmail_model::semantics::selects;
use chainmail_model::{
    Cluster, Direction, NamespaceScope, Peer, Peers, Pod, Policy, PolicyRef, PortMatch, Ports, Rule, Whose,
};

use super::pods::{Both, Pods};
use super::sides::Sides;
use crate::diff::{Presence, Side};

/// With more pods than these to ask for, no policy is taken to mean the same.
const MANY: usize = 500;

/// The policies that mean the same on both sides, by their places: that of the base gives that of the head.
pub(super) struct Touched {
    same: BTreeMap<usize, usize>,
}

impl Touched {
    pub(super) fn new(sides: Sides<'_, '_>, pods: &Pods<'_>) -> Self {
        let [base, head] = sides.clusters;
        let changed: Vec<&Both<'_>> =
            pods.iter().map(|(_, both)| both).filter(|both| differs(sides, both)).collect();
        let mut same = BTreeMap::new();
        if changed.len() > MANY {
            return Self { same };
        }
        let places: BTreeMap<PolicyRef, usize> =
            head.policies().iter().enumerate().map(|(place, policy)| (policy.policy_ref(), place)).collect();
        for (old_place, old) in base.policies().iter().enumerate() {
            let Some(&new_place) = places.get(&old.policy_ref()) else { continue };
            let new = &head.policies()[new_place];
            let is_equal =
                old.subject == new.subject && old.ingress == new.ingress && old.egress == new.egress;
            let meets = |side: Side, pod: &Pod| meets(sides.clusters[side.index()], new, pod);
            let touches = |both: &&Both<'_>| {
                Side::ALL.into_iter().any(|side| both.on(side).is_some_and(|(_, pod)| meets(side, pod)))
            };
            if is_equal && !changed.iter().any(touches) {
                same.insert(old_place, new_place);
            }
        }
        Self { same }
    }

    /// Whether policies of the base, by their places, mean just what those of the head do.
    pub(super) fn leaves(&self, base: &[usize], head: &[usize]) -> bool {
        base.len() == head.len()
            && base.iter().zip(head).all(|(old, new)| self.same.get(old).is_some_and(|same| same == new))
    }
}

/// Whether anything of a pod that policies ask for differs, or may: what is said of a contested address hangs on who else
/// claims it.
fn differs(sides: Sides<'_, '_>, both: &Both<'_>) -> bool {
    let (Some((_, old)), Some((_, new))) = (both.base, both.head) else {
        return both.presence() != Presence::Stay;
    };
    let [base, head] =
        sides.clusters.map(|cluster| cluster.namespace(&old.namespace).map(|namespace| &namespace.labels));
    let is_contested = |side: Side, pod: &Pod| {
        let cluster = sides.clusters[side.index()];
        let contested = |address| matches!(cluster.whose(address), Whose::Contested(_));
        !cluster.contested().is_empty() && pod.addresses.iter().any(contested)
    };
    if is_contested(Side::Base, old) || is_contested(Side::Head, new) {
        return true;
    }
    old.labels != new.labels || old.addresses != new.addresses || old.ports != new.ports || base != head
}

/// Whether a rule of a policy means a pod, or may ask for the name of one of its ports.
fn meets(cluster: &Cluster, policy: &Policy, pod: &Pod) -> bool {
    let means = |peer: &Peer| match peer {
        Peer::Block(_) => false,
        Peer::Pods { namespaces: NamespaceScope::Own, pods } => {
            pod.namespace == policy.namespace && selects(pods, &pod.labels)
        }
        Peer::Pods { namespaces: NamespaceScope::Matching(selector), pods } => {
            let namespace = cluster.namespace(&pod.namespace);
            namespace.is_some_and(|namespace| selects(selector, &namespace.labels))
                && selects(pods, &pod.labels)
        }
    };
    let meets = |direction: Direction, rule: &Rule| {
        let names_a_port = match (&rule.ports, direction) {
            (Ports::OneOf(ports), Direction::Egress) => {
                ports.iter().any(|port| matches!(port.which, PortMatch::Named(_)))
            }
            (Ports::Any, _) | (_, Direction::Ingress) => false,
        };
        match &rule.peers {
            Peers::Any => names_a_port,
            Peers::OneOf(peers) => {
                peers.iter().any(|peer| means(peer) || (names_a_port && matches!(peer, Peer::Block(_))))
            }
        }
    };
    Direction::ALL
        .into_iter()
        .any(|direction| policy.rules(direction).into_iter().flatten().any(|rule| meets(direction, rule)))
}
