//! Every packet that a pod's policies can tell from another.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chainmail_contract::{Family, Transport};
use chainmail_model::semantics::{Packet, Service};
use chainmail_model::{Cluster, Direction, Pod, Policy, PortMatch, Ports, Rule};

use crate::probes::{STRANGERS, around, edges};

/// The packets of a family between a pod and all that its policies of a direction can tell apart, with every service
/// that they can: other pods, nodes, strangers, and both sides of every edge of a block or a range.
#[must_use]
pub fn packets(cluster: &Cluster, pod: &Pod, direction: Direction, family: Family) -> Vec<Packet> {
    let Some(own) = pod.addresses.of(family) else { return Vec::new() };
    let selects = |policy: &&Policy| {
        let is_subject = |pod: &Pod| policy.namespace == pod.namespace && policy.subject.matches(&pod.labels);
        is_subject(pod) || cluster.claimants(own).any(is_subject)
    };
    let policies = cluster.policies().iter().filter(selects);
    let rules: Vec<&Rule> = policies.flat_map(|policy| policy.rules(direction).unwrap_or_default()).collect();
    let peers = peers(cluster, &rules, family);
    let services = services(cluster, &rules);
    let pairs = peers.iter().flat_map(|peer| services.iter().map(move |service| (*peer, *service)));
    let packet = |(peer, service)| match direction {
        Direction::Ingress => Packet { source: peer, destination: own, service },
        Direction::Egress => Packet { source: own, destination: peer, service },
    };
    pairs.map(packet).collect()
}

/// Every pod, node and stranger, and both sides of every edge of the rules' blocks.
#[must_use]
pub fn peers(cluster: &Cluster, rules: &[&Rule], family: Family) -> BTreeSet<IpAddr> {
    let pods = cluster.pods().flat_map(|(_, pod)| pod.addresses.iter());
    let nodes = cluster.nodes().flat_map(|node| node.addresses.iter().copied());
    let strangers = STRANGERS.iter().map(|text| text.parse::<IpAddr>().expect("these are addresses"));
    let blocks = rules.iter().flat_map(|rule| edges(rule));
    let all = pods.chain(nodes).chain(strangers).chain(blocks);
    all.filter(|address| Family::of(*address) == family).collect()
}

/// Every service that the rules can tell from another.
#[must_use]
pub fn services(cluster: &Cluster, rules: &[&Rule]) -> BTreeSet<Service> {
    let mut ports = BTreeSet::from([1, u16::MAX]);
    for rule in rules {
        let Ports::OneOf(asked) = &rule.ports else { continue };
        for port in asked {
            match &port.which {
                PortMatch::All => {}
                PortMatch::Range(range) => {
                    ports.extend(around(range.first()).chain(around(range.last())));
                }
                PortMatch::Named(name) => {
                    let numbers = cluster.pods().flat_map(|(_, pod)| {
                        Transport::ALL.into_iter().flat_map(|transport| pod.named_ports(transport, name))
                    });
                    ports.extend(numbers.flat_map(around));
                }
            }
        }
    }
    let of = |transport| ports.iter().map(move |port| Service::Port(transport, *port));
    Transport::ALL.into_iter().flat_map(of).chain([Service::Portless]).collect()
}
