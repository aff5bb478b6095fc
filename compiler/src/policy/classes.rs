//! Groups pods by the policies that isolate them, and resolves what those admit.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_snapshot::Transport;
use range_set_blaze::RangeSetBlaze;

use super::index::Index;
use super::pod_sets::PodSets;
use super::{Allow, AllowedTraffic, Class, ClassId, Isolation, Origin, PeerSet, PortSet, Service, Traffic};
use crate::cluster::{
    AddressRanges, Cluster, Direction, NamespaceName, NamespaceScope, Peer, Peers, Pod, PodId, PortMatch,
    PortName, Ports, Rule,
};

/// A name that a container port may have.
type Name = (Transport, PortName);

/// The numbers that one pod gives to the names its ingress rules use, in order of names. Pods that agree can share a
/// class; an egress rule's names are the peers' and never matter here.
type Resolved = Vec<(Name, Vec<u16>)>;

/// Computes the allowed traffic of every pod.
#[must_use]
pub fn allowed_traffic(cluster: &Cluster, sets: &mut PodSets) -> AllowedTraffic {
    let mut builder = Builder { cluster, index: Index::new(cluster), named: named_ports(cluster) };
    let mut traffic = AllowedTraffic { classes: BTreeMap::new(), of_pod: BTreeMap::new() };
    for direction in Direction::ALL {
        let (classes, of_pod) = builder.direction(sets, direction);
        traffic.classes.insert(direction, classes);
        traffic.of_pod.insert(direction, of_pod);
    }
    traffic
}

/// Which endpoints have a port of each name, and its numbers.
fn named_ports(cluster: &Cluster) -> BTreeMap<Name, Vec<(PodId, u16)>> {
    let mut named: BTreeMap<Name, Vec<(PodId, u16)>> = BTreeMap::new();
    for (id, pod) in cluster.pods().filter(|(_, pod)| pod.is_endpoint()) {
        for port in &pod.ports {
            if let Some(name) = &port.name {
                named.entry((port.protocol, name.clone())).or_default().push((id, port.number));
            }
        }
    }
    named
}

struct Builder<'a> {
    cluster: &'a Cluster,
    index: Index<'a>,
    named: BTreeMap<Name, Vec<(PodId, u16)>>,
}

impl Builder<'_> {
    fn direction(
        &mut self,
        sets: &mut PodSets,
        direction: Direction,
    ) -> (Vec<Class>, BTreeMap<PodId, ClassId>) {
        let mut isolating: BTreeMap<PodId, Vec<u32>> = BTreeMap::new();
        let mut names: BTreeMap<u32, BTreeSet<Name>> = BTreeMap::new();
        for (number, policy) in (0u32..).zip(self.cluster.policies()) {
            let Some(rules) = policy.rules(direction) else { continue };
            let subjects = self.index.select(sets, &policy.namespace, &NamespaceScope::Own, &policy.subject);
            for pod in sets.pods(subjects) {
                isolating.entry(pod).or_default().push(number);
            }
            if direction == Direction::Ingress {
                names.insert(number, rules.iter().flat_map(names_of).collect());
            }
        }
        let mut ids: BTreeMap<(Vec<u32>, Resolved), ClassId> = BTreeMap::new();
        let mut classes = Vec::new();
        let mut of_pod = BTreeMap::new();
        for (id, policies) in isolating {
            let wanted: BTreeSet<&Name> =
                policies.iter().filter_map(|number| names.get(number)).flatten().collect();
            let resolved = resolve(self.cluster.pod(id), &wanted);
            let key = (policies, resolved);
            let class = match ids.get(&key) {
                Some(class) => *class,
                None => {
                    let class = ClassId(u32::try_from(classes.len()).expect("at most one class a pod"));
                    classes.push(self.class(sets, direction, &key.0, &key.1));
                    ids.insert(key, class);
                    class
                }
            };
            of_pod.insert(id, class);
        }
        (classes, of_pod)
    }

    fn class(
        &mut self,
        sets: &mut PodSets,
        direction: Direction,
        policies: &[u32],
        resolved: &Resolved,
    ) -> Class {
        let mut allows = Vec::new();
        for &number in policies {
            let policy = &self.cluster.policies()[number as usize];
            for (index, rule) in (0u32..).zip(policy.rules(direction).into_iter().flatten()) {
                let origin = Origin { policy: number, direction, rule: index };
                let peers = self.peers(sets, &policy.namespace, &rule.peers);
                for traffic in self.traffic(sets, direction, &rule.ports, peers, resolved) {
                    allows.push(Allow { traffic, origin });
                }
            }
        }
        let isolating = policies.iter().map(|&policy| Isolation { policy, direction }).collect();
        Class { direction, isolating, allows }
    }

    fn peers(&mut self, sets: &mut PodSets, own: &NamespaceName, peers: &Peers) -> PeerSet {
        let Peers::OneOf(peers) = peers else { return PeerSet::Any };
        let mut pods = PodSets::EMPTY;
        let mut blocks = Vec::new();
        for peer in peers {
            match peer {
                Peer::Pods { namespaces, pods: selector } => {
                    let selected = self.index.select(sets, own, namespaces, selector);
                    pods = sets.union(pods, selected);
                }
                Peer::Block(block) => blocks.push(block.addresses()),
            }
        }
        PeerSet::OneOf { pods, blocks }
    }

    /// A rule's traffic: one part for its numbers, and one for an egress rule's names.
    fn traffic(
        &self,
        sets: &PodSets,
        direction: Direction,
        ports: &Ports,
        peers: PeerSet,
        resolved: &Resolved,
    ) -> Vec<Traffic> {
        let Ports::OneOf(ports) = ports else { return vec![Traffic::Peers { peers, ports: PortSet::Any }] };
        let mut numbers: BTreeMap<Transport, RangeSetBlaze<u16>> = BTreeMap::new();
        let mut services = BTreeSet::new();
        for port in ports {
            let ranges = match &port.which {
                PortMatch::All => RangeSetBlaze::from_iter([0..=u16::MAX]),
                PortMatch::Range(range) => RangeSetBlaze::from_iter([range.first()..=range.last()]),
                PortMatch::Named(name) => {
                    let name = (port.protocol, name.clone());
                    match direction {
                        Direction::Ingress => {
                            let numbers = resolved.iter().find(|(known, _)| *known == name);
                            numbers
                                .map(|(_, numbers)| RangeSetBlaze::from_iter(numbers.iter().copied()))
                                .unwrap_or_default()
                        }
                        Direction::Egress => {
                            self.add_services(sets, &name, &peers, &mut services);
                            continue;
                        }
                    }
                }
            };
            *numbers.entry(port.protocol).or_default() |= ranges;
        }
        numbers.retain(|_, ranges| !ranges.is_empty());
        let mut traffic = Vec::new();
        if !numbers.is_empty() {
            traffic.push(Traffic::Peers { peers, ports: PortSet::OneOf(numbers) });
        }
        if !services.is_empty() {
            traffic.push(Traffic::Services(services));
        }
        traffic
    }

    /// The services that a named port of an egress rule means: each destination pod's own number for the name. An
    /// address that is no pod's has no named port; an ipBlock admits the pods whose addresses are in it.
    fn add_services(&self, sets: &PodSets, name: &Name, peers: &PeerSet, services: &mut BTreeSet<Service>) {
        let members: BTreeSet<PodId> = match peers {
            PeerSet::Any => BTreeSet::new(),
            PeerSet::OneOf { pods, .. } => sets.pods(*pods).collect(),
        };
        for (id, port) in self.named.get(name).into_iter().flatten() {
            for address in self.cluster.pod(*id).addresses.iter() {
                let admitted = match peers {
                    PeerSet::Any => true,
                    PeerSet::OneOf { blocks, .. } => {
                        members.contains(id)
                            || blocks.iter().any(|block: &AddressRanges| block.contains(address))
                    }
                };
                if admitted {
                    services.insert(Service { address, protocol: name.0, port: *port });
                }
            }
        }
    }
}

fn names_of(rule: &Rule) -> Vec<Name> {
    let Ports::OneOf(ports) = &rule.ports else { return Vec::new() };
    let name = |port: &crate::cluster::Port| match &port.which {
        PortMatch::Named(name) => Some((port.protocol, name.clone())),
        PortMatch::All | PortMatch::Range(_) => None,
    };
    ports.iter().filter_map(name).collect()
}

fn resolve(pod: &Pod, names: &BTreeSet<&Name>) -> Resolved {
    let numbers = |(protocol, name): &Name| pod.named_ports(*protocol, name).collect::<Vec<u16>>();
    names.iter().map(|name| ((*name).clone(), numbers(name))).collect()
}
