//! What the policies of one end say.

use std::net::IpAddr;

use chainmail_findings::Places;
use chainmail_model::semantics::{self, Packet};
use chainmail_model::{Cluster, Direction, Pod, Policy, PolicyAt, RuleAt};
use serde::Serialize;

use super::miss::{Miss, Misses};

/// What one end says: the source by egress, the destination by ingress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Side {
    /// Policies are not asked.
    Exempt {
        /// Why not.
        #[serde(flatten)]
        why: Exemption,
    },
    /// No policy isolates the pod in this direction, so that it may everything.
    NotIsolated,
    /// Rules allow it.
    Allowed {
        /// The policies that isolate the pod.
        isolated_by: Vec<PolicyAt>,
        /// The rules that allow it. Each alone would do, but at an address that several objects claim: there each claimant needs
        /// one of its own.
        allowed_by: Vec<RuleAt>,
    },
    /// No rule allows it.
    Refused {
        /// The policies that isolate the pod.
        isolated_by: Vec<PolicyAt>,
        /// The rule that fails by the fewest conditions, unless the policies have no rule.
        #[serde(skip_serializing_if = "Option::is_none")]
        nearest: Option<NearMiss>,
        /// How many other rules fail too.
        other_rules: usize,
    },
}

/// Why the policies of an end are not asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Exemption {
    /// The end is no pod of its own: policies select pods only.
    NoPod,
    /// The pod runs on no node that the manifests know.
    NoNode,
    /// The pod's node runs Windows.
    Windows {
        /// The node.
        node: String,
    },
    /// Both ends are the same pod.
    Itself,
    /// The other end is the pod's own node.
    OwnNode {
        /// The node.
        node: String,
    },
}

/// A rule that nearly allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NearMiss {
    /// The rule.
    #[serde(flatten)]
    pub rule: RuleAt,
    /// By which conditions it fails, never none.
    pub misses: Vec<Miss>,
}

impl Side {
    pub(super) fn egress(cluster: &Cluster, places: &dyn Places, packet: &Packet) -> Self {
        Self::of(cluster, places, Direction::Egress, packet, packet.source, packet.destination)
    }

    pub(super) fn ingress(cluster: &Cluster, places: &dyn Places, packet: &Packet) -> Self {
        Self::of(cluster, places, Direction::Ingress, packet, packet.destination, packet.source)
    }

    /// Whether the end lets the packet through.
    #[must_use]
    pub fn allows(&self) -> bool {
        match self {
            Side::Exempt { .. } | Side::NotIsolated | Side::Allowed { .. } => true,
            Side::Refused { .. } => false,
        }
    }

    fn of(
        cluster: &Cluster,
        places: &dyn Places,
        direction: Direction,
        packet: &Packet,
        end: IpAddr,
        peer: IpAddr,
    ) -> Self {
        let Some(first) = cluster.claimants(end).next() else {
            return Side::Exempt { why: Exemption::NoPod };
        };
        let nodes = semantics::enforcing_nodes(cluster, end);
        if nodes.is_empty() {
            let known = first.node.as_ref().and_then(|node| cluster.node(node));
            let why =
                known.map_or(Exemption::NoNode, |node| Exemption::Windows { node: node.name.to_string() });
            return Side::Exempt { why };
        }
        if end == peer {
            return Side::Exempt { why: Exemption::Itself };
        }
        if let Some(node) = nodes.first().filter(|_| nodes.iter().all(|node| node.addresses.contains(&peer)))
        {
            return Side::Exempt { why: Exemption::OwnNode { node: node.name.to_string() } };
        }
        if semantics::is_crowded(cluster, end) {
            return Side::Refused { isolated_by: Vec::new(), nearest: None, other_rules: 0 };
        }
        let each =
            cluster.claimants(end).map(|pod| Self::of_pod(cluster, places, direction, packet, peer, pod));
        each.reduce(Self::and).unwrap_or(Side::NotIsolated)
    }

    /// What two that claim one address say together: what both allow.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (refused @ Side::Refused { .. }, _) | (_, refused @ Side::Refused { .. }) => refused,
            (
                Side::Allowed { mut isolated_by, mut allowed_by },
                Side::Allowed { isolated_by: policies, allowed_by: rules },
            ) => {
                isolated_by.extend(policies);
                allowed_by.extend(rules);
                isolated_by.sort_by(|a, b| a.policy.cmp(&b.policy));
                isolated_by.dedup();
                allowed_by.sort_by(|a, b| a.rule.cmp(&b.rule));
                allowed_by.dedup();
                Side::Allowed { isolated_by, allowed_by }
            }
            (allowed @ Side::Allowed { .. }, _) | (_, allowed @ Side::Allowed { .. }) => allowed,
            (side, _) => side,
        }
    }

    fn of_pod(
        cluster: &Cluster,
        places: &dyn Places,
        direction: Direction,
        packet: &Packet,
        peer: IpAddr,
        pod: &Pod,
    ) -> Self {
        let isolating: Vec<&Policy> = cluster
            .policies()
            .iter()
            .filter(|policy| policy.rules(direction).is_some() && policy.namespace == pod.namespace)
            .filter(|policy| semantics::selects(&policy.subject, &pod.labels))
            .collect();
        if isolating.is_empty() {
            return Side::NotIsolated;
        }
        let isolated_by = isolating.iter().map(|policy| PolicyAt::new(places, policy)).collect();
        let mut allowed_by = Vec::new();
        let mut failing: Vec<(Misses, RuleAt)> = Vec::new();
        for policy in isolating {
            for (index, rule) in policy.rules(direction).into_iter().flatten().enumerate() {
                let at = RuleAt::new(places, policy, direction, index);
                if semantics::rule_allows(cluster, policy, rule, packet, peer) {
                    allowed_by.push(at);
                } else {
                    failing.push((Misses::of(cluster, policy, (direction, rule), packet, peer), at));
                }
            }
        }
        if !allowed_by.is_empty() {
            return Side::Allowed { isolated_by, allowed_by };
        }
        let other_rules = failing.len().saturating_sub(1);
        // Of rules that are equally near, the first in order of policies and rules.
        let nearest = failing.into_iter().min_by_key(|(misses, _)| misses.distance());
        let nearest = nearest.map(|(misses, rule)| NearMiss { rule, misses: misses.into_vec() });
        Side::Refused { isolated_by, nearest, other_rules }
    }
}
