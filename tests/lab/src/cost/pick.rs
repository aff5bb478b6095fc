//! Which traffic is measured: pairs that the policies allow, between a pod of the node and an end elsewhere. Pure.
//!
//! Each pod gives at most one pair of a kind. Pods of one class would else meet one rule; so each next pod takes the
//! next of its rules, and the pairs are met early and late in their chains.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use chainmail_contract::{Family, Transport};
use chainmail_model::semantics::{self, Packet, Service, Verdict};
use chainmail_model::{
    Cluster, Direction, IpBlock, NamespaceScope, Node, Peer, Peers, Pod, Policy, PortMatch, Ports, Whose,
};

use super::figure::Ends;
use crate::probe;

/// Traffic between two addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) transport: Transport,
    pub(crate) port: u16,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pair { source, destination, transport, port } = self;
        write!(
            f,
            "{source} -> {destination} {}",
            probe::Service::Port { transport: *transport, number: *port }
        )
    }
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Picked {
    /// What the policies allow, by kind.
    pub(crate) allowed: BTreeMap<Kind, Vec<Pair>>,
    /// Some of what they deny to the same pods.
    pub(crate) denied: Vec<Pair>,
}

/// A port where policies name none.
const ANY_PORT: u16 = 8080;
/// An address outside every cluster (RFC 5737).
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
/// How many peers of one rule are looked at, and how many pairs of one pod are kept to choose from.
const TRIES: usize = 64;
/// How many denied pairs are tried.
const DENIED: usize = 8;

/// Which pod of the node is an end, and the protocol.
pub(crate) type Kind = (Ends, Transport);

/// Picks at most `most` pods for each kind of pair, spread over the node's pods. IPv4.
pub(crate) fn pick(cluster: &Cluster, node: &Node, kinds: &BTreeSet<Kind>, most: usize) -> Picked {
    let picker = Picker { cluster, node };
    let mut picked = Picked::default();
    let is_here = |pod: &&Pod| {
        pod.is_endpoint() && pod.node.as_ref() == Some(&node.name) && pod.addresses.of(Family::V4).is_some()
    };
    let local: Vec<&Pod> = cluster.pods().map(|(_, pod)| pod).filter(is_here).collect();
    for &(ends, transport) in kinds {
        let mut pairs = Vec::new();
        for pod in local.iter().filter(|pod| picker.is_of(pod, ends)) {
            let choices = picker.pairs(pod, ends, transport);
            if let Some(pair) = choices.get(pairs.len() % choices.len().max(1)) {
                pairs.push(pair.clone());
            }
        }
        picked.allowed.insert((ends, transport), spread(pairs, most));
    }
    let isolated = picked.allowed.iter().filter(|((ends, _), _)| *ends != Ends::IntoOpen);
    let denied: BTreeSet<Pair> =
        isolated.flat_map(|(_, pairs)| pairs).filter_map(|p| picker.denied(p)).collect();
    picked.denied = spread(denied.into_iter().collect(), DENIED);
    picked
}

/// `most` of the items, evenly from first to last.
fn spread<T>(items: Vec<T>, most: usize) -> Vec<T> {
    let (count, most) = (items.len(), most.min(items.len()));
    let wanted: BTreeSet<usize> = (0..most).map(|i| i * count / most).collect();
    items.into_iter().enumerate().filter(|(i, _)| wanted.contains(i)).map(|(_, item)| item).collect()
}

struct Picker<'a> {
    cluster: &'a Cluster,
    node: &'a Node,
}

impl<'a> Picker<'a> {
    fn isolating(&self, pod: &Pod, direction: Direction) -> impl Iterator<Item = &'a Policy> {
        self.cluster.policies().iter().filter(move |policy| {
            policy.rules(direction).is_some()
                && policy.namespace == pod.namespace
                && policy.subject.matches(&pod.labels)
        })
    }

    fn is_of(&self, pod: &Pod, ends: Ends) -> bool {
        let isolated = |direction| self.isolating(pod, direction).next().is_some();
        match ends {
            Ends::IntoIsolated => isolated(Direction::Ingress),
            Ends::IntoOpen => !isolated(Direction::Ingress),
            Ends::OutOfIsolated => isolated(Direction::Egress),
        }
    }

    /// Allowed pairs with a pod: of each rule at most one.
    fn pairs(&self, pod: &Pod, ends: Ends, transport: Transport) -> Vec<Pair> {
        let direction = match ends {
            Ends::IntoIsolated => Direction::Ingress,
            Ends::OutOfIsolated => Direction::Egress,
            Ends::IntoOpen => {
                let pair = self.pair(pod, OUTSIDE, Direction::Ingress, transport, ANY_PORT);
                return pair.filter(|pair| self.judge(pair) == Verdict::Allow).into_iter().collect();
            }
        };
        let mut pairs = Vec::new();
        for policy in self.isolating(pod, direction) {
            for rule in policy.rules(direction).into_iter().flatten() {
                let pair = self.peers(policy, &rule.peers).into_iter().take(TRIES).find_map(|peer| {
                    let port = self.port(pod, peer, direction, &rule.ports, transport)?;
                    let pair = self.pair(pod, peer, direction, transport, port)?;
                    (self.judge(&pair) == Verdict::Allow).then_some(pair)
                });
                pairs.extend(pair);
                if pairs.len() == TRIES {
                    return pairs;
                }
            }
        }
        pairs
    }

    fn pair(
        &self,
        pod: &Pod,
        peer: IpAddr,
        direction: Direction,
        transport: Transport,
        port: u16,
    ) -> Option<Pair> {
        let own = pod.addresses.of(Family::V4)?;
        let (source, destination) = match direction {
            Direction::Ingress => (peer, own),
            Direction::Egress => (own, peer),
        };
        Some(Pair { source, destination, transport, port })
    }

    fn judge(&self, pair: &Pair) -> Verdict {
        let &Pair { source, destination, transport, port } = pair;
        semantics::judge(
            self.cluster,
            &Packet { source, destination, service: Service::Port(transport, port) },
        )
    }

    /// Addresses that a rule names, of ends that are not on the node.
    fn peers(&self, policy: &Policy, peers: &Peers) -> Vec<IpAddr> {
        let Peers::OneOf(peers) = peers else { return vec![OUTSIDE] };
        let mut addresses = Vec::new();
        for peer in peers {
            match peer {
                Peer::Block(block) => addresses.extend(hosts(block).filter(|host| self.is_elsewhere(*host))),
                Peer::Pods { namespaces, pods } => {
                    let in_scope = |pod: &Pod| match namespaces {
                        NamespaceScope::Own => pod.namespace == policy.namespace,
                        NamespaceScope::Matching(selector) => self
                            .cluster
                            .namespace(&pod.namespace)
                            .is_some_and(|namespace| selector.matches(&namespace.labels)),
                    };
                    let named = self.cluster.pods().map(|(_, pod)| pod).filter(|pod| pod.is_endpoint());
                    let named = named.filter(|pod| pods.matches(&pod.labels) && in_scope(pod));
                    let own = named.filter_map(|pod| pod.addresses.of(Family::V4));
                    addresses.extend(own.filter(|address| self.is_elsewhere(*address)).take(TRIES / 2));
                }
            }
        }
        addresses
    }

    /// Whether packets of an address come to the node from outside it.
    fn is_elsewhere(&self, address: IpAddr) -> bool {
        let in_pod_cidr = self.node.pod_cidrs.iter().any(|net| net.contains(&address));
        match self.cluster.whose(address) {
            Whose::Pod(..) | Whose::Contested(_) => {
                self.cluster.claimants(address).all(|pod| pod.node.as_ref() != Some(&self.node.name))
            }
            Whose::Node(_) => false,
            Whose::Unknown => !in_pod_cidr,
        }
    }

    /// A port of the destination that a rule names.
    fn port(
        &self,
        pod: &Pod,
        peer: IpAddr,
        direction: Direction,
        ports: &Ports,
        wanted: Transport,
    ) -> Option<u16> {
        let Ports::OneOf(ports) = ports else { return Some(ANY_PORT) };
        ports.iter().filter(|port| port.protocol == wanted).find_map(|port| match &port.which {
            PortMatch::All => Some(ANY_PORT),
            PortMatch::Range(range) => Some(range.first()),
            PortMatch::Named(name) => match (direction, self.cluster.whose(peer)) {
                (Direction::Ingress, _) => pod.named_ports(wanted, name).next(),
                (Direction::Egress, Whose::Pod(_, peer)) => peer.named_ports(wanted, name).next(),
                (Direction::Egress, Whose::Contested(_) | Whose::Node(_) | Whose::Unknown) => None,
            },
        })
    }

    /// The same pair at a port that is denied.
    fn denied(&self, pair: &Pair) -> Option<Pair> {
        let at = |port| Pair { port, ..pair.clone() };
        [9, 50_007, 61_001].into_iter().map(at).find(|pair| self.judge(pair) == Verdict::Deny)
    }
}

/// Some IPv4 hosts that a block means.
fn hosts(block: &IpBlock) -> impl Iterator<Item = IpAddr> {
    let hosts = block.addresses().networks().into_iter().filter_map(|net| net.hosts().next());
    hosts.filter(|host| match host {
        IpAddr::V4(v4) => {
            // What no router forwards; 240.0.0.0/4 is reserved.
            !(v4.is_unspecified() || v4.is_loopback() || v4.is_link_local() || v4.octets()[0] >= 224)
        }
        IpAddr::V6(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use chainmail_manifest::source::{SourceFile, Sources};

    use super::*;
    use crate::spec::LabSpec;

    const MANIFESTS: &str = "
{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.0.0.0/24]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, spec: {podCIDRs: [10.0.1.0/24]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, labels: {app: web}}, spec: {nodeName: n1}, status: {podIP: 10.0.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: free}, spec: {nodeName: n1}, status: {podIP: 10.0.0.2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: near, labels: {app: user}}, spec: {nodeName: n1}, status: {podIP: 10.0.0.3}}
---
{apiVersion: v1, kind: Pod, metadata: {name: far, labels: {app: user}}, spec: {nodeName: n2}, status: {podIP: 10.0.1.1}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - {from: [{podSelector: {matchLabels: {app: user}}}], ports: [{port: 80}]}
";

    fn picked(most: usize) -> Picked {
        let file = SourceFile { path: "all.yaml".to_owned(), bytes: MANIFESTS.as_bytes().to_vec() };
        let cluster = LabSpec::from_sources(&Sources::new(vec![file])).unwrap().cluster;
        let node = cluster.nodes().find(|node| node.name.as_str() == "n1").unwrap();
        let all = [Ends::IntoIsolated, Ends::IntoOpen, Ends::OutOfIsolated].into_iter();
        let kinds = all.flat_map(|ends| [(ends, Transport::Tcp), (ends, Transport::Udp)]).collect();
        pick(&cluster, node, &kinds, most)
    }

    fn pair(source: &str, destination: &str, port: u16) -> Pair {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        Pair { source, destination, transport: Transport::Tcp, port }
    }

    #[test]
    fn pairs_are_allowed_and_one_end_is_elsewhere() {
        let picked = picked(12);
        let of = |ends| &picked.allowed[&(ends, Transport::Tcp)];
        assert_eq!(*of(Ends::IntoIsolated), [pair("10.0.1.1", "10.0.0.1", 80)]);
        let open = [pair("198.51.100.7", "10.0.0.2", 8080), pair("198.51.100.7", "10.0.0.3", 8080)];
        assert_eq!(*of(Ends::IntoOpen), open);
        assert_eq!(*of(Ends::OutOfIsolated), []);
        assert_eq!(picked.allowed[&(Ends::IntoIsolated, Transport::Udp)], [], "the policy allows no UDP");
        assert_eq!(picked.denied, [pair("10.0.1.1", "10.0.0.1", 9)]);
    }

    #[test]
    fn no_more_pods_than_asked_for() {
        assert_eq!(picked(1).allowed[&(Ends::IntoOpen, Transport::Tcp)].len(), 1);
        assert_eq!(spread((0..10).collect(), 4), [0, 2, 5, 7]);
        assert_eq!(spread(vec![1], 4), [1]);
        assert_eq!(spread(Vec::<u8>::new(), 4), Vec::<u8>::new());
    }
}
