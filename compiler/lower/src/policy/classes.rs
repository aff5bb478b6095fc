//! Groups pods by the policies that isolate them, and resolves what those admit.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_contract::Transport;
use chainmail_model::{
    AddressRanges, Cluster, ContainerPort, Contested, Direction, Doubt, Holder, HolderId, NamespaceName,
    NamespaceScope, Peer, Peers, PortMatch, PortName, Ports, Rule,
};
use range_set_blaze::RangeSetBlaze;

use super::index::Index;
use super::pod_sets::PodSets;
use super::{
    Admits, Allow, AllowedTraffic, Class, ClassId, Isolation, Origin, PeerSet, PortSet, Service, Traffic,
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
    let mut traffic = AllowedTraffic { classes: BTreeMap::new(), of_holder: BTreeMap::new() };
    for direction in Direction::ALL {
        let (classes, of_holder) = builder.direction(sets, direction);
        traffic.classes.insert(direction, classes);
        traffic.of_holder.insert(direction, of_holder);
    }
    traffic
}

/// Which holders have a port of each name, and its numbers.
fn named_ports(cluster: &Cluster) -> BTreeMap<Name, Vec<(HolderId, u16)>> {
    let mut named: BTreeMap<Name, Vec<(HolderId, u16)>> = BTreeMap::new();
    for (id, _) in cluster.holders() {
        for port in cluster.ports_of(id) {
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
    named: BTreeMap<Name, Vec<(HolderId, u16)>>,
}

/// The policies of one direction as pods meet them.
struct Selected {
    /// Those that isolate each pod, in order.
    isolating: BTreeMap<HolderId, Vec<u32>>,
    /// The names of ports that each asks the pod itself for.
    names: BTreeMap<u32, BTreeSet<Name>>,
}

/// The classes of one direction so far.
#[derive(Default)]
struct Classes {
    all: Vec<Class>,
    ids: BTreeMap<(Vec<u32>, Resolved), ClassId>,
    of_several: BTreeMap<Vec<ClassId>, ClassId>,
}

impl Classes {
    fn add(&mut self, class: Class) -> ClassId {
        let id = ClassId(u32::try_from(self.all.len()).expect("at most one class a holder and claimant"));
        self.all.push(class);
        id
    }
}

impl Builder<'_> {
    fn direction(
        &mut self,
        sets: &mut PodSets,
        direction: Direction,
    ) -> (Vec<Class>, BTreeMap<HolderId, ClassId>) {
        let selected = self.selected(sets, direction);
        let mut classes = Classes::default();
        let mut of_holder = BTreeMap::new();
        for (id, policies) in &selected.isolating {
            let ports = self.cluster.ports_of(*id);
            let class = self.class_for(sets, direction, (&selected, policies, ports), &mut classes);
            of_holder.insert(*id, class);
        }
        for (id, contested) in self.cluster.contested_holders() {
            let class = self.contested_class(sets, direction, (&selected, contested), &mut classes);
            of_holder.extend(class.map(|class| (id, class)));
        }
        (classes.all, of_holder)
    }

    fn selected(&mut self, sets: &mut PodSets, direction: Direction) -> Selected {
        let mut selected = Selected { isolating: BTreeMap::new(), names: BTreeMap::new() };
        // A contested address is isolated for the sake of each claimant, also where not all are selected.
        let is_pod = |id: &HolderId| matches!(self.cluster.holder(*id), Holder::Pod(..));
        for (number, policy) in (0u32..).zip(self.cluster.policies()) {
            let Some(rules) = policy.rules(direction) else { continue };
            let subjects = self.index.select(sets, &policy.namespace, &NamespaceScope::Own, &policy.subject);
            for pod in sets.pods(subjects).take_while(is_pod) {
                selected.isolating.entry(pod).or_default().push(number);
            }
            if direction == Direction::Ingress {
                selected.names.insert(number, rules.iter().flat_map(names_of).collect());
            }
        }
        selected
    }

    /// The class of pods that some policies isolate, and that have some ports.
    fn class_for(
        &mut self,
        sets: &mut PodSets,
        direction: Direction,
        (selected, policies, ports): (&Selected, &[u32], &[ContainerPort]),
        classes: &mut Classes,
    ) -> ClassId {
        let wanted: BTreeSet<&Name> =
            policies.iter().filter_map(|number| selected.names.get(number)).flatten().collect();
        let key = (policies.to_vec(), resolve(ports, &wanted));
        if let Some(class) = classes.ids.get(&key) {
            return *class;
        }
        let id = classes.add(self.class(sets, direction, &key.0, &key.1));
        classes.ids.insert(key, id);
        id
    }

    /// The class of a contested address: isolated if one claimant is, and admitting what all that are isolated admit.
    fn contested_class(
        &mut self,
        sets: &mut PodSets,
        direction: Direction,
        (selected, contested): (&Selected, &Contested),
        classes: &mut Classes,
    ) -> Option<ClassId> {
        let mut each = BTreeSet::new();
        if contested.doubt == Doubt::Crowd {
            // No policy isolates it: nothing is admitted, whoever is selected.
            each.insert(self.class_for(sets, direction, (selected, &[], &[]), classes));
        } else {
            for pod in contested.claimants() {
                if let Some(policies) = selected.isolating.get(&HolderId::from(*pod)) {
                    let of_pod = (selected, &policies[..], contested.ports());
                    each.insert(self.class_for(sets, direction, of_pod, classes));
                }
            }
        }
        let each: Vec<ClassId> = each.into_iter().collect();
        match each[..] {
            [] => None,
            [only] => Some(only),
            _ => Some(match classes.of_several.get(&each) {
                Some(known) => *known,
                None => {
                    let isolating = each.iter().flat_map(|id| &classes.all[id.0 as usize].isolating);
                    let isolating: BTreeSet<Isolation> = isolating.copied().collect();
                    let isolating = isolating.into_iter().collect();
                    let class = Class { direction, isolating, admits: Admits::AllOf(each.clone()) };
                    let id = classes.add(class);
                    classes.of_several.insert(each, id);
                    id
                }
            }),
        }
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
        Class { direction, isolating, admits: Admits::AnyOf(allows) }
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
        let members: BTreeSet<HolderId> = match peers {
            PeerSet::Any => BTreeSet::new(),
            PeerSet::OneOf { pods, .. } => sets.pods(*pods).collect(),
        };
        for (id, port) in self.named.get(name).into_iter().flatten() {
            for address in self.cluster.addresses_of(*id).iter() {
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
    let name = |port: &chainmail_model::Port| match &port.which {
        PortMatch::Named(name) => Some((port.protocol, name.clone())),
        PortMatch::All | PortMatch::Range(_) => None,
    };
    ports.iter().filter_map(name).collect()
}

fn resolve(ports: &[ContainerPort], names: &BTreeSet<&Name>) -> Resolved {
    let numbers = |(protocol, name): &Name| {
        let has_name = |port: &&ContainerPort| port.protocol == *protocol && port.name.as_ref() == Some(name);
        ports.iter().filter(has_name).map(|port| port.number).collect::<Vec<u16>>()
    };
    names.iter().map(|name| ((*name).clone(), numbers(name))).collect()
}
