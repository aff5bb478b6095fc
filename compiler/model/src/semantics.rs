//! What the policies say, read as plainly as the API text is written: the oracle that everything else is held against.
//!
//! It shares the cluster model with the pipeline and nothing else: no index, no classes, no sets. Quotations are from
//! `networking/v1/types.go` ("API") and the NetworkPolicy page of the Kubernetes documentation ("page").

use std::net::IpAddr;

use chainmail_contract::{Family, Transport};

use crate::{
    Cluster, Direction, Doubt, LabelSelector, Labels, NamespaceScope, Node, Os, Peer, Peers, Pod, Policy,
    PortMatch, Ports, Requirement, Rule, UnknownPods, Whose,
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
    let egress = end_allows(cluster, Direction::Egress, packet);
    let ingress = end_allows(cluster, Direction::Ingress, packet);
    // Both ends have their say: "for a connection from a source pod to a destination pod to be allowed, both the egress
    // policy on the source pod and the ingress policy on the destination pod need to allow the connection" (page).
    let refused =
        refuses_unknown_pod(cluster, packet).is_some() || refuses_on_bridge(cluster, packet).is_some();
    if egress && ingress && !refused { Verdict::Allow } else { Verdict::Deny }
}

/// Whether one end lets the packet through: the source by egress, the destination by ingress.
#[must_use]
pub fn end_allows(cluster: &Cluster, direction: Direction, packet: &Packet) -> bool {
    let (end, peer) = match direction {
        Direction::Ingress => (packet.destination, packet.source),
        Direction::Egress => (packet.source, packet.destination),
    };
    // "A pod cannot block access to itself" (page).
    if end == peer {
        return true;
    }
    // Each node that may run the pod must let the packet through.
    enforcing_nodes(cluster, end).into_iter().all(|node| {
        // "Traffic to and from the node where a Pod is running is always allowed" (page), and "if the traffic source
        // is the pod's local node" (API, NetworkPolicySpec.ingress).
        let exempt = node.addresses.contains(&peer);
        exempt || allowed(cluster, direction, packet, end, peer)
    })
}

/// The pod's node, where it enforces: policies of pods that run nowhere, or on Windows, are nobody's to enforce here.
pub(crate) fn enforcing_node<'a>(cluster: &'a Cluster, pod: &Pod) -> Option<&'a Node> {
    cluster.node(pod.node.as_ref()?).filter(|node| node.os == Os::Linux)
}

/// Whether policies are enforced on what has an address, by some node at least.
pub fn is_enforced(cluster: &Cluster, address: IpAddr) -> bool {
    cluster.claimants(address).any(|pod| enforcing_node(cluster, pod).is_some())
}

/// The nodes on which an address is a pod's and policies are enforced: several where pods of several nodes claim it.
pub fn enforcing_nodes(cluster: &Cluster, address: IpAddr) -> Vec<&Node> {
    let mut nodes: Vec<&Node> =
        cluster.claimants(address).filter_map(|pod| enforcing_node(cluster, pod)).collect();
    nodes.sort_by_key(|node| &node.name);
    nodes.dedup_by_key(|node| &node.name);
    nodes
}

/// Whether an address may have the packet. Where several pods claim it, nothing tells which of them has it, so each of them
/// must allow the packet. One that too many claim is closed.
fn allowed(cluster: &Cluster, direction: Direction, packet: &Packet, end: IpAddr, peer: IpAddr) -> bool {
    !is_crowded(cluster, end)
        && cluster.claimants(end).all(|pod| pod_allowed(cluster, direction, pod, packet, peer))
}

/// Whether too many pods claim an address, so that it is closed.
#[must_use]
pub fn is_crowded(cluster: &Cluster, address: IpAddr) -> bool {
    matches!(cluster.whose(address), Whose::Contested(contested) if contested.doubt == Doubt::Crowd)
}

/// The pods that an address may be of. Empty where it is no pod's, and where it may be no pod's: a node claims it too, or
/// too many pods do.
pub fn pods_at(cluster: &Cluster, address: IpAddr) -> Vec<&Pod> {
    match cluster.whose(address) {
        Whose::Pod(_, pod) => vec![pod],
        Whose::Contested(contested) if contested.doubt == Doubt::Pods => cluster.claimants(address).collect(),
        Whose::Contested(_) | Whose::Node(_) | Whose::Unknown => Vec::new(),
    }
}

/// "If no policies select a pod, all traffic is allowed; with any that do, only what one of them allows" (API,
/// NetworkPolicySpec.ingress and .egress, for each direction by itself).
fn pod_allowed(cluster: &Cluster, direction: Direction, pod: &Pod, packet: &Packet, peer: IpAddr) -> bool {
    let mut isolated = false;
    for policy in cluster.policies() {
        let Some(rules) = policy.rules(direction) else { continue };
        // "This field is a selector of pods in the policy's own namespace" (API, podSelector).
        if policy.namespace != pod.namespace || !selects(&policy.subject, &pod.labels) {
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
pub fn rule_allows(cluster: &Cluster, policy: &Policy, rule: &Rule, packet: &Packet, peer: IpAddr) -> bool {
    peers_allow(cluster, policy, &rule.peers, peer) && ports_allow(cluster, &rule.ports, packet)
}

/// "If this field is empty or missing, this rule matches all sources" (API, from; to alike). Items are OR-ed.
pub fn peers_allow(cluster: &Cluster, policy: &Policy, peers: &Peers, address: IpAddr) -> bool {
    let Peers::OneOf(peers) = peers else { return true };
    peers.iter().any(|peer| match peer {
        Peer::Pods { namespaces, pods } => {
            // Selectors select pods, and pods only: not nodes, not pods on their node's network, nothing outside.
            let at_address = pods_at(cluster, address);
            !at_address.is_empty()
                && at_address.iter().all(|pod| {
                    let in_namespace = match namespaces {
                        NamespaceScope::Own => pod.namespace == policy.namespace,
                        NamespaceScope::Matching(selector) => cluster
                            .namespace(&pod.namespace)
                            .is_some_and(|namespace| selects(selector, &namespace.labels)),
                    };
                    // In one item both must hold.
                    in_namespace && selects(pods, &pod.labels)
                })
        }
        // Of one family only, and of pods' addresses too.
        Peer::Block(block) => {
            block.cidr.contains(&address) && !block.except.iter().any(|except| except.contains(&address))
        }
    })
}

/// "The requirements are ANDed. An empty label selector matches all objects" (API, LabelSelector). What holds of a value
/// holds of a label that is there; without the label `NotIn` is met (`Requirement.Matches` of apimachinery).
pub fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.requirements().all(|requirement| match requirement {
        Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
        Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
        Requirement::Exists(key) => labels.get(key).is_some(),
        Requirement::DoesNotExist(key) => labels.get(key).is_none(),
    })
}

/// "If this field is empty or missing, this rule matches all ports" (API, ports), and then also what has no ports.
pub fn ports_allow(cluster: &Cluster, ports: &Ports, packet: &Packet) -> bool {
    let Ports::OneOf(ports) = ports else { return true };
    let Service::Port(protocol, number) = packet.service else { return false };
    ports.iter().any(|port| {
        port.protocol == protocol
            && match &port.which {
                PortMatch::All => true,
                PortMatch::Range(range) => range.contains(number),
                // "A named port on a pod" (API, port): the destination's, whichever direction the rule is for.
                PortMatch::Named(name) => {
                    let at_address = pods_at(cluster, packet.destination);
                    !at_address.is_empty()
                        && at_address
                            .iter()
                            .all(|pod| pod.named_ports(protocol, name).any(|named| named == number))
                }
            }
    })
}

/// The node that drops a packet because an end is an address that it keeps for its pods and no manifest explains.
pub fn refuses_unknown_pod<'a>(cluster: &'a Cluster, packet: &Packet) -> Option<&'a Node> {
    cluster
        .nodes()
        .filter(|node| node.os == Os::Linux && node.settings.unknown_pods == UnknownPods::Drop)
        .find(|node| {
            [packet.source, packet.destination].into_iter().any(|address| {
                let mine = |pod: &Pod| pod.node.as_ref() == Some(&node.name);
                node.pod_cidrs.iter().any(|net| net.contains(&address))
                    && !cluster.claimants(address).any(mine)
                    && crosses(cluster, packet, node)
            })
        })
}

/// Whether a node drops a packet for the interfaces that it comes in and leaves by: by one of its pods' goes nothing from
/// or to an address that is none of its pods'. [`judge`] asks for addresses only, of which a pod's and no others are taken
/// to be on such interfaces.
#[must_use]
pub fn refuses_at_interfaces(node: &Node, cluster: &Cluster, packet: &Packet, by: [&str; 2]) -> bool {
    let is_its_pods = |address| cluster.claimants(address).any(|pod| pod.node.as_ref() == Some(&node.name));
    let refuses = |address, by: &str| node.settings.pod_interfaces.have(by) && !is_its_pods(address);
    let [in_by, out_by] = by;
    node.os == Os::Linux
        && node.settings.unknown_pods == UnknownPods::Drop
        && (refuses(packet.source, in_by) || refuses(packet.destination, out_by))
}

/// The node on whose bridge a packet between two pods is not from one of that node's pod addresses to one host.
pub fn refuses_on_bridge<'a>(cluster: &'a Cluster, packet: &Packet) -> Option<&'a Node> {
    cluster.nodes().filter(|node| node.os == Os::Linux && node.settings.pod_bridge.is_some()).find(|node| {
        let (source, destination) = (packet.source, packet.destination);
        let mut nets =
            node.pod_cidrs.iter().filter(|net| Family::of_net(net) == Family::of(source)).peekable();
        let known = match nets.peek() {
            None => is_behind(cluster, node, source),
            Some(_) => nets.any(|net| net.contains(&source)),
        };
        let link_local = |address| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let stray = !known || destination.is_multicast() || link_local(source) || link_local(destination);
        is_behind(cluster, node, source) && is_behind(cluster, node, destination) && stray
    })
}

/// Whether an address is a pod's on a node, or one that the node keeps for its pods.
fn is_behind(cluster: &Cluster, node: &Node, address: IpAddr) -> bool {
    match cluster.whose(address) {
        Whose::Pod(..) | Whose::Contested(_) => {
            cluster.claimants(address).any(|pod| pod.node.as_ref() == Some(&node.name))
        }
        Whose::Node(_) => false,
        Whose::Unknown => node.pod_cidrs.iter().any(|net| net.contains(&address)),
    }
}

/// Whether a packet is forwarded by a node: one that an end of it is on, other than the node's own traffic with it.
fn crosses(cluster: &Cluster, packet: &Packet, node: &Node) -> bool {
    let behind = |address| is_behind(cluster, node, address);
    let is_node = |address: IpAddr| node.addresses.contains(&address);
    let (source, destination) = (packet.source, packet.destination);
    debug_assert_eq!(Family::of(source), Family::of(destination));
    (behind(source) || behind(destination)) && !is_node(source) && !is_node(destination)
}
