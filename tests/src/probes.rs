//! Packets that are likely to tell a right reading from a wrong one.
//!
//! Each probe starts from a policy: one of its namespace's pods at one end, at the other an address that its rules
//! speak of or nearly do, and a port that they name, begin or end at.

use std::net::IpAddr;

use chainmail_contract::{Family, Transport};
use chainmail_model::semantics::{Packet, Service};
use chainmail_model::{Cluster, Direction, Peer, Peers, Pod, Policy, PortMatch, Ports, Rule, Whose};
use ipnet::IpNet;

use crate::seeded::Seeded;
use crate::world::PORT_NAMES;

/// Addresses that no manifest explains: outside, and inside the nodes' networks for pods.
pub(crate) const STRANGERS: [&str; 6] =
    ["203.0.113.9", "8.8.8.8", "10.1.1.200", "2001:db8::9", "fd00:10:1:1::200", "fd00:c0::ff"];

/// Makes probes of one cluster.
pub struct Prober<'a> {
    cluster: &'a Cluster,
    pods: Vec<&'a Pod>,
    /// Addresses that are no pod's, or no longer.
    others: Vec<IpAddr>,
    rng: Seeded,
}

impl<'a> Prober<'a> {
    /// Prepares probes of a cluster. `written` are addresses that its manifests mention.
    #[must_use]
    pub fn new(cluster: &'a Cluster, written: &[IpAddr], rng: Seeded) -> Self {
        let pods = cluster.pods().map(|(_, pod)| pod).filter(|pod| pod.is_endpoint()).collect();
        let mut others: Vec<IpAddr> = cluster.nodes().flat_map(|node| node.addresses.clone()).collect();
        others.extend(STRANGERS.iter().map(|text| text.parse::<IpAddr>().expect("these are addresses")));
        others.extend(written.iter().filter(|address| !matches!(cluster.whose(**address), Whose::Pod(..))));
        Self { cluster, pods, others, rng }
    }

    /// So many probes; none of a cluster without pods.
    pub fn probes(&mut self, count: usize) -> Vec<Packet> {
        if self.pods.is_empty() {
            return Vec::new();
        }
        (0..count).map(|_| self.probe()).collect()
    }

    fn probe(&mut self) -> Packet {
        let cluster = self.cluster;
        let policy =
            if cluster.policies().is_empty() { None } else { Some(self.rng.pick(cluster.policies())) };
        let direction = *self.rng.pick(&Direction::ALL);
        let rule = policy.and_then(|policy| self.rule(policy, direction));
        let subject = self.subject(policy);
        let addresses: Vec<IpAddr> = subject.addresses.iter().collect();
        let own = *self.rng.pick(&addresses);
        let peer = self.peer(rule, own);
        let (source, destination) = match direction {
            Direction::Ingress => (peer, own),
            Direction::Egress => (own, peer),
        };
        let service = self.service(rule, destination);
        Packet { source, destination, service }
    }

    fn rule(&mut self, policy: &'a Policy, direction: Direction) -> Option<&'a Rule> {
        let rules = policy.rules(direction).filter(|rules| !rules.is_empty())?;
        Some(self.rng.pick(rules))
    }

    /// Mostly a pod that the policy selects, or one of its namespace: they alone may be isolated.
    fn subject(&mut self, policy: Option<&Policy>) -> &'a Pod {
        let near = |pod: &&&'a Pod| policy.is_some_and(|policy| policy.namespace == pod.namespace);
        let selected = |pod: &&&'a Pod| policy.is_some_and(|policy| policy.subject.matches(&pod.labels));
        let near: Vec<&'a Pod> = self.pods.iter().filter(near).copied().collect();
        let selected: Vec<&'a Pod> = near.iter().filter(selected).copied().collect();
        let among = match self.rng.below(10) {
            0 => &self.pods,
            1..4 if !near.is_empty() => &near,
            _ if !selected.is_empty() => &selected,
            _ => &self.pods,
        };
        among[self.rng.below(among.len())]
    }

    /// An address of the family of `own`.
    fn peer(&mut self, rule: Option<&Rule>, own: IpAddr) -> IpAddr {
        let family = Family::of(own);
        let of_pods = |pods: &mut dyn Iterator<Item = &&Pod>| -> Vec<IpAddr> {
            pods.filter_map(|pod| pod.addresses.of(family)).collect()
        };
        let mut candidates: Vec<IpAddr> = match self.rng.below(20) {
            0 => return own,
            1..7 => rule.map(edges).unwrap_or_default(),
            7..10 => self.others.clone(),
            10..15 => {
                of_pods(&mut self.pods.iter().filter(|pod| rule.is_some_and(|rule| may_select(rule, pod))))
            }
            _ => Vec::new(),
        };
        candidates.retain(|address| Family::of(*address) == family && *address != own);
        if candidates.is_empty() {
            candidates = of_pods(&mut self.pods.iter());
        }
        *self.rng.pick(&candidates)
    }

    fn service(&mut self, rule: Option<&Rule>, destination: IpAddr) -> Service {
        if self.rng.percent(7) {
            return Service::Portless;
        }
        let mut services: Vec<(Transport, u16)> = Vec::new();
        if let Some(Rule { ports: Ports::OneOf(ports), .. }) = rule {
            for port in ports {
                let numbers: Vec<u16> = match &port.which {
                    PortMatch::All => vec![80, 5353],
                    PortMatch::Range(range) => around(range.first()).chain(around(range.last())).collect(),
                    PortMatch::Named(name) => {
                        let known = PORT_NAMES.iter().filter(|(known, _)| *known == name.as_str());
                        known.flat_map(|(_, numbers)| *numbers).collect()
                    }
                };
                services.extend(numbers.into_iter().map(|number| (port.protocol, number)));
            }
        }
        if services.is_empty() || self.rng.percent(15) {
            for pod in self.cluster.claimants(destination) {
                services.extend(pod.ports.iter().map(|port| (port.protocol, port.number)));
            }
            services.push((Transport::Tcp, 80));
        }
        let (mut protocol, number) = *self.rng.pick(&services);
        if self.rng.percent(10) {
            protocol = *self.rng.pick(&[Transport::Tcp, Transport::Udp, Transport::Sctp]);
        }
        Service::Port(protocol, number)
    }
}

/// Whether a selector of the rule's peers matches the pod's labels, whatever its namespace.
fn may_select(rule: &Rule, pod: &Pod) -> bool {
    let Peers::OneOf(peers) = &rule.peers else { return false };
    peers.iter().any(|peer| matches!(peer, Peer::Pods { pods, .. } if pods.matches(&pod.labels)))
}

/// A port and its neighbours.
pub(crate) fn around(port: u16) -> impl Iterator<Item = u16> {
    let ports = [port.checked_sub(1), Some(port), port.checked_add(1)];
    ports.into_iter().flatten().filter(|port| *port > 0)
}

/// Addresses at the edges of a rule's blocks and of what they leave out, on either side.
pub(crate) fn edges(rule: &Rule) -> Vec<IpAddr> {
    let Peers::OneOf(peers) = &rule.peers else { return Vec::new() };
    let mut edges = Vec::new();
    for peer in peers {
        let Peer::Block(block) = peer else { continue };
        for net in block.except.iter().chain([&block.cidr]) {
            edges.extend(
                [before(net), Some(net.network()), Some(net.broadcast()), after(net)].into_iter().flatten(),
            );
        }
    }
    // No packet of a connection has these.
    edges.retain(|address| !address.is_unspecified() && !address.is_multicast());
    edges
}

fn before(net: &IpNet) -> Option<IpAddr> {
    Some(match net {
        IpNet::V4(net) => IpAddr::V4(u32::from(net.network()).checked_sub(1)?.into()),
        IpNet::V6(net) => IpAddr::V6(u128::from(net.network()).checked_sub(1)?.into()),
    })
}

fn after(net: &IpNet) -> Option<IpAddr> {
    Some(match net {
        IpNet::V4(net) => IpAddr::V4(u32::from(net.broadcast()).checked_add(1)?.into()),
        IpNet::V6(net) => IpAddr::V6(u128::from(net.broadcast()).checked_add(1)?.into()),
    })
}
