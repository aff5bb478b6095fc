//! What the policies say, read as plainly as the API text is written: the oracle that everything else is held against.
//!
//! It shares the cluster model with the pipeline and nothing else: no index, no classes, no sets. Quotations are from
//! `networking/v1/types.go` ("API") and the NetworkPolicy page of the Kubernetes documentation ("page").

use std::net::IpAddr;

use chainmail_snapshot::{Family, Transport};

use crate::cluster::{
    Cluster, Direction, NamespaceScope, Node, Os, Peer, Peers, Pod, Policy, PortMatch, Ports, Rule,
    UnknownPods, Whose,
};

/// What of a packet's payload policies can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// A protocol with ports, and the destination's port.
    Port(Transport, u16),
    /// ICMP and every other protocol.
    Portless,
}

/// The first packet of a connection, as FORWARD sees it: after the destination was translated and before the source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes; of the same family.
    pub destination: IpAddr,
    /// What it asks for.
    pub service: Service,
}

/// Whether a connection is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every node on its way lets it pass.
    Allow,
    /// Some node drops it.
    Deny,
}

/// Judges the first packet of a connection on its whole way.
#[must_use]
pub fn judge(cluster: &Cluster, packet: &Packet) -> Verdict {
    let source = cluster.whose(packet.source);
    let destination = cluster.whose(packet.destination);
    let egress = match source {
        Whose::Pod(_, pod) => egress_allowed(cluster, packet, pod, &destination),
        Whose::Node(_) | Whose::Unknown => true,
    };
    let ingress = match destination {
        Whose::Pod(_, pod) => ingress_allowed(cluster, packet, pod, &source),
        Whose::Node(_) | Whose::Unknown => true,
    };
    // Both ends have their say: "for a connection from a source pod to a destination pod to be allowed, both the egress
    // policy on the source pod and the ingress policy on the destination pod need to allow the connection" (page).
    if egress && ingress && !touches_unknown_pod(cluster, packet) { Verdict::Allow } else { Verdict::Deny }
}

/// The pod's node, where it enforces: policies of pods that run nowhere, or on Windows, are nobody's to enforce here.
fn enforcing_node<'a>(cluster: &'a Cluster, pod: &Pod) -> Option<&'a Node> {
    cluster.node(pod.node.as_ref()?).filter(|node| node.os == Os::Linux)
}

fn egress_allowed(cluster: &Cluster, packet: &Packet, pod: &Pod, destination: &Whose<'_>) -> bool {
    let Some(node) = enforcing_node(cluster, pod) else { return true };
    match destination {
        // "A pod cannot block access to itself" (page).
        Whose::Pod(_, peer) if peer.pod_ref() == pod.pod_ref() => return true,
        // "Traffic to and from the node where a Pod is running is always allowed" (page).
        Whose::Node(peer) if peer.name == node.name => return true,
        Whose::Pod(..) | Whose::Node(_) | Whose::Unknown => {}
    }
    allowed(cluster, Direction::Egress, pod, packet, packet.destination)
}

fn ingress_allowed(cluster: &Cluster, packet: &Packet, pod: &Pod, source: &Whose<'_>) -> bool {
    let Some(node) = enforcing_node(cluster, pod) else { return true };
    match source {
        Whose::Pod(_, peer) if peer.pod_ref() == pod.pod_ref() => return true,
        // "OR if the traffic source is the pod's local node" (API, NetworkPolicySpec.ingress).
        Whose::Node(peer) if peer.name == node.name => return true,
        Whose::Pod(..) | Whose::Node(_) | Whose::Unknown => {}
    }
    allowed(cluster, Direction::Ingress, pod, packet, packet.source)
}

/// "If no policies select a pod, all traffic is allowed; with any that do, only what one of them allows" (API,
/// NetworkPolicySpec.ingress and .egress, for each direction by itself).
fn allowed(cluster: &Cluster, direction: Direction, pod: &Pod, packet: &Packet, peer: IpAddr) -> bool {
    let mut isolated = false;
    for policy in cluster.policies() {
        let Some(rules) = policy.rules(direction) else { continue };
        // "This field is a selector of pods in the policy's own namespace" (API, podSelector).
        if policy.namespace != pod.namespace || !policy.subject.matches(&pod.labels) {
            continue;
        }
        isolated = true;
        if rules.iter().any(|rule| rule_allows(cluster, policy, rule, packet, peer)) {
            return true;
        }
    }
    !isolated
}

/// "Traffic must match both the ports and the peers" (API, NetworkPolicyIngressRule).
fn rule_allows(cluster: &Cluster, policy: &Policy, rule: &Rule, packet: &Packet, peer: IpAddr) -> bool {
    peers_allow(cluster, policy, &rule.peers, peer) && ports_allow(cluster, &rule.ports, packet)
}

/// "If this field is empty or missing, this rule matches all sources" (API, from; to alike). Items are OR-ed.
fn peers_allow(cluster: &Cluster, policy: &Policy, peers: &Peers, address: IpAddr) -> bool {
    let Peers::OneOf(peers) = peers else { return true };
    peers.iter().any(|peer| match peer {
        Peer::Pods { namespaces, pods } => {
            // Selectors select pods, and pods only: not nodes, not pods on their node's network, nothing outside.
            let Whose::Pod(_, pod) = cluster.whose(address) else { return false };
            let in_namespace = match namespaces {
                NamespaceScope::Own => pod.namespace == policy.namespace,
                NamespaceScope::Matching(selector) => cluster
                    .namespace(&pod.namespace)
                    .is_some_and(|namespace| selector.matches(&namespace.labels)),
            };
            // In one item both must hold.
            in_namespace && pods.matches(&pod.labels)
        }
        // Of one family only, and of pods' addresses too.
        Peer::Block(block) => {
            block.cidr.contains(&address) && !block.except.iter().any(|except| except.contains(&address))
        }
    })
}

/// "If this field is empty or missing, this rule matches all ports" (API, ports), and then also what has no ports.
fn ports_allow(cluster: &Cluster, ports: &Ports, packet: &Packet) -> bool {
    let Ports::OneOf(ports) = ports else { return true };
    let Service::Port(protocol, number) = packet.service else { return false };
    ports.iter().any(|port| {
        port.protocol == protocol
            && match &port.which {
                PortMatch::All => true,
                PortMatch::Range(range) => range.contains(number),
                // "A named port on a pod" (API, port): the destination's, whichever direction the rule is for.
                PortMatch::Named(name) => match cluster.whose(packet.destination) {
                    Whose::Pod(_, pod) => pod.named_ports(protocol, name).any(|named| named == number),
                    Whose::Node(_) | Whose::Unknown => false,
                },
            }
    })
}

/// Whether an end is an address that a node keeps for its pods and no manifest explains, where that node drops those.
fn touches_unknown_pod(cluster: &Cluster, packet: &Packet) -> bool {
    cluster
        .nodes()
        .filter(|node| node.os == Os::Linux && node.settings.unknown_pods == UnknownPods::Drop)
        .any(|node| {
            [packet.source, packet.destination].into_iter().any(|address| {
                let mine = |pod: &Pod| pod.node.as_ref() == Some(&node.name);
                node.pod_cidrs.iter().any(|net| net.contains(&address))
                    && !matches!(cluster.whose(address), Whose::Pod(_, pod) if mine(pod))
                    && crosses(cluster, packet, node)
            })
        })
}

/// Whether a packet is forwarded by a node: one that an end of it is on, other than the node's own traffic with it.
fn crosses(cluster: &Cluster, packet: &Packet, node: &Node) -> bool {
    let behind = |address: IpAddr| match cluster.whose(address) {
        Whose::Pod(_, pod) => pod.node.as_ref() == Some(&node.name),
        Whose::Node(_) => false,
        Whose::Unknown => node.pod_cidrs.iter().any(|net| net.contains(&address)),
    };
    let is_node = |address: IpAddr| matches!(cluster.whose(address), Whose::Node(of) if of.name == node.name);
    let (source, destination) = (packet.source, packet.destination);
    debug_assert_eq!(Family::of(source), Family::of(destination));
    (behind(source) || behind(destination)) && !is_node(source) && !is_node(destination)
}
