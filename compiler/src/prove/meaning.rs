//! What policies say of all packets at once.
//!
//! [`semantics::judge`](crate::semantics::judge) says it of one packet. This is the same reading of the API text, clause
//! by clause, with sets in the place of questions; it knows no classes, no kernel sets, and no order of rules. A peer is
//! worked out once for all rules that name it, and a pod's traffic once for all pods that the same policies select.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::iter;
use std::net::IpAddr;
use std::rc::Rc;

use chainmail_snapshot::{Family, NodeName, Transport};
use chainmail_verdict::exact::{AddressSet, ServiceSet, Traffic};
use chainmail_verdict::{PortRange, Protocol};

use crate::cluster::{
    Cluster, ContainerPort, Direction, LabelSelector, NamespaceName, NamespaceScope, Node, Peer, Peers, Pod,
    PodId, Policy, Port, PortMatch, PortName, Ports, Rule,
};
use crate::semantics::selects;

/// The traffic that policies allow, pod by pod.
pub struct Meaning<'a> {
    cluster: &'a Cluster,
    /// The endpoints of each namespace.
    of: BTreeMap<&'a NamespaceName, Vec<(PodId, &'a Pod)>>,
    /// The endpoints on each node.
    on: BTreeMap<&'a NodeName, Vec<(PodId, &'a Pod)>>,
    /// By which policies a pod is isolated in a direction, as a place in `selections`.
    isolated: BTreeMap<(PodId, Direction), usize>,
    /// Policies that isolate one pod together, by their places in the cluster.
    selections: Vec<Vec<usize>>,
    /// For each of those whether an ingress rule names a port, which is then the pod's own.
    asks_own_ports: Vec<bool>,
    memory: RefCell<Memory<'a>>,
}

/// What was worked out before.
#[derive(Default)]
struct Memory<'a> {
    /// Of both families, by the place of a policy, a direction and the place of a rule.
    peers: BTreeMap<(usize, Direction, usize), [Rc<AddressSet>; 2]>,
    traffic: BTreeMap<TrafficKey<'a>, Rc<Traffic>>,
    /// Of both families.
    pods: BTreeMap<(PodsOf<'a>, &'a LabelSelector), [Rc<AddressSet>; 2]>,
    named: BTreeMap<(Family, Transport, &'a PortName), Rc<Numbers>>,
}

/// The numbers that a port's name stands for, and whose pods' it does.
type Numbers = Vec<(u16, AddressSet)>;

/// Everything that a pod's allowed traffic hangs on.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct TrafficKey<'a> {
    selection: usize,
    direction: Direction,
    family: Family,
    /// The pod's own ports, where a rule names one.
    ports: Option<&'a [ContainerPort]>,
}

/// Which namespaces' pods a peer means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PodsOf<'a> {
    Namespace(&'a NamespaceName),
    Matching(&'a LabelSelector),
}

impl<'a> Meaning<'a> {
    /// Finds out who is isolated.
    #[must_use]
    pub fn new(cluster: &'a Cluster) -> Self {
        let mut pods_of: BTreeMap<&NamespaceName, Vec<(PodId, &Pod)>> = BTreeMap::new();
        let mut on: BTreeMap<&NodeName, Vec<(PodId, &Pod)>> = BTreeMap::new();
        for (id, pod) in cluster.pods().filter(|(_, pod)| pod.is_endpoint()) {
            pods_of.entry(&pod.namespace).or_default().push((id, pod));
            if let Some(node) = &pod.node {
                on.entry(node).or_default().push((id, pod));
            }
        }
        let mut isolating: BTreeMap<(PodId, Direction), Vec<usize>> = BTreeMap::new();
        for (index, policy) in cluster.policies().iter().enumerate() {
            let own = pods_of.get(&policy.namespace).into_iter().flatten();
            for (id, _) in own.filter(|(_, pod)| selects(&policy.subject, &pod.labels)) {
                for direction in Direction::ALL.into_iter().filter(|&d| policy.rules(d).is_some()) {
                    isolating.entry((*id, direction)).or_default().push(index);
                }
            }
        }
        let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        let mut isolated = BTreeMap::new();
        for (pod, policies) in isolating {
            let next = known.len();
            isolated.insert(pod, *known.entry(policies).or_insert(next));
        }
        let mut selections = vec![Vec::new(); known.len()];
        for (policies, place) in known {
            selections[place] = policies;
        }
        let names_a_port = |&place: &usize| {
            let policy = &cluster.policies()[place];
            policy.rules(Direction::Ingress).is_some_and(|rules| rules.iter().any(names_a_port))
        };
        let asks_own_ports = selections.iter().map(|policies| policies.iter().any(names_a_port)).collect();
        Self { cluster, of: pods_of, on, isolated, selections, asks_own_ports, memory: RefCell::default() }
    }

    /// The endpoints on a node.
    pub fn on(&self, node: &Node) -> impl Iterator<Item = (PodId, &'a Pod)> {
        self.on.get(&node.name).into_iter().flatten().copied()
    }

    /// The policies that isolate a pod in a direction, in order; none where it is not isolated.
    pub fn isolating(&self, direction: Direction, pod: PodId) -> impl Iterator<Item = &'a Policy> {
        let selection = self.isolated.get(&(pod, direction)).map(|&place| &self.selections[place]);
        selection.into_iter().flatten().map(|&index| &self.cluster.policies()[index])
    }

    /// Whether a pod is isolated in a direction.
    #[must_use]
    pub fn isolates(&self, direction: Direction, pod: PodId) -> bool {
        self.isolated.contains_key(&(pod, direction))
    }

    /// What a pod's allowed traffic hangs on: the policies that isolate it, by their places in the cluster, and where
    /// their rules name ports the pod's own. `None` where it is not isolated.
    pub(crate) fn hangs_on(
        &self,
        direction: Direction,
        id: PodId,
    ) -> Option<(&[usize], &'a [ContainerPort])> {
        let selection = *self.isolated.get(&(id, direction))?;
        let own_ports = direction == Direction::Ingress && self.asks_own_ports[selection];
        let ports = if own_ports { &self.cluster.pod(id).ports[..] } else { &[] };
        Some((&self.selections[selection], ports))
    }

    /// The traffic that is allowed with a pod by policies: peers and services; `None` where the pod is not isolated and
    /// all is allowed. What is allowed in spite of every policy (with itself, with its node) is not in it.
    #[must_use]
    pub fn allowed(&self, direction: Direction, family: Family, id: PodId) -> Option<Rc<Traffic>> {
        let selection = *self.isolated.get(&(id, direction))?;
        let pod = self.cluster.pod(id);
        let own_ports = direction == Direction::Ingress && self.asks_own_ports[selection];
        let key = TrafficKey { selection, direction, family, ports: own_ports.then_some(&pod.ports[..]) };
        if let Some(known) = self.memory.borrow().traffic.get(&key) {
            return Some(Rc::clone(known));
        }
        let mut each = Vec::new();
        for &place in &self.selections[selection] {
            let policy = &self.cluster.policies()[place];
            for (index, rule) in policy.rules(direction).unwrap_or_default().iter().enumerate() {
                let peers = self.peers((place, direction, index), family, policy, rule);
                each.push(self.rule(direction, peers, rule, pod));
            }
        }
        let all = Rc::new(united(each, Traffic::union).unwrap_or_else(|| Traffic::none(family)));
        self.memory.borrow_mut().traffic.insert(key, Rc::clone(&all));
        Some(all)
    }

    /// What one rule allows with a pod that its policy selects: the rule by the place of its policy in the cluster, its
    /// direction and its own place.
    #[must_use]
    pub fn of_rule(&self, place: (usize, Direction, usize), family: Family, pod: &Pod) -> Traffic {
        let (policy, direction, index) = place;
        let policy = &self.cluster.policies()[policy];
        let rule = &policy.rules(direction).unwrap_or_default()[index];
        self.rule(direction, self.peers(place, family, policy, rule), rule, pod)
    }

    /// "Traffic must match both the ports and the peers" (API, NetworkPolicyIngressRule).
    fn rule(&self, direction: Direction, peers: Rc<AddressSet>, rule: &'a Rule, pod: &Pod) -> Traffic {
        let Ports::OneOf(ports) = &rule.ports else { return Traffic::of(peers, &ServiceSet::all()) };
        let none = Traffic::none(peers.family());
        ports.iter().fold(none, |all, port| all.union(&self.port(direction, &peers, port, pod)))
    }

    /// "If this field is empty or missing, this rule matches all sources" (API, from; to alike). Items are OR-ed.
    fn peers(
        &self,
        place: (usize, Direction, usize),
        family: Family,
        policy: &'a Policy,
        rule: &'a Rule,
    ) -> Rc<AddressSet> {
        let known = self.memory.borrow().peers.get(&place).cloned();
        let [v4, v6] = known.unwrap_or_else(|| {
            let peers = Family::ALL.map(|family| match &rule.peers {
                Peers::Any => Rc::new(AddressSet::all(family)),
                Peers::OneOf(peers) => {
                    let each = peers.iter().map(|peer| self.peer(family, policy, peer)).collect();
                    let all = united(each, |a: &Rc<AddressSet>, b| Rc::new(a.union(b)));
                    all.expect("a list of peers is never empty")
                }
            });
            self.memory.borrow_mut().peers.insert(place, peers.clone());
            peers
        });
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }

    fn peer(&self, family: Family, policy: &'a Policy, peer: &'a Peer) -> Rc<AddressSet> {
        match peer {
            Peer::Pods { namespaces: NamespaceScope::Own, pods } => {
                self.pods(family, PodsOf::Namespace(&policy.namespace), pods)
            }
            Peer::Pods { namespaces: NamespaceScope::Matching(selector), pods } => {
                self.pods(family, PodsOf::Matching(selector), pods)
            }
            Peer::Block(block) => {
                let except = AddressSet::of_nets(family, &block.except);
                Rc::new(AddressSet::of_nets(family, [&block.cidr]).difference(&except))
            }
        }
    }

    fn pods(&self, family: Family, of: PodsOf<'a>, selector: &'a LabelSelector) -> Rc<AddressSet> {
        let key = (of, selector);
        let known = self.memory.borrow().pods.get(&key).cloned();
        let [v4, v6] = known.unwrap_or_else(|| {
            let namespaces = self.of.iter().filter(|(name, _)| match of {
                PodsOf::Namespace(own) => **name == own,
                PodsOf::Matching(selector) => {
                    let namespace = self.cluster.namespace(name);
                    namespace.is_some_and(|namespace| selects(selector, &namespace.labels))
                }
            });
            let pods =
                namespaces.flat_map(|(_, pods)| pods).filter(|(_, pod)| selects(selector, &pod.labels));
            let pods: Vec<&Pod> = pods.map(|(_, pod)| *pod).collect();
            let addresses = Family::ALL.map(|family| {
                Rc::new(AddressSet::of(family, pods.iter().filter_map(|pod| pod.addresses.of(family))))
            });
            self.memory.borrow_mut().pods.insert(key, addresses.clone());
            addresses
        });
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }

    fn port(&self, direction: Direction, peers: &Rc<AddressSet>, port: &'a Port, pod: &Pod) -> Traffic {
        let number = |number| ServiceSet::ports(port.protocol, PortRange::new(number, number));
        let services = match (&port.which, direction) {
            (PortMatch::All, _) => ServiceSet::protocol(Protocol::from(port.protocol)),
            (PortMatch::Range(range), _) => {
                ServiceSet::ports(port.protocol, PortRange::new(range.first(), range.last()))
            }
            // "A named port on a pod" (API, port): the destination's. For ingress that is the pod itself.
            (PortMatch::Named(name), Direction::Ingress) => pod
                .named_ports(port.protocol, name)
                .fold(ServiceSet::none(), |all, named| all.union(&number(named))),
            // For egress it is each peer's own.
            (PortMatch::Named(name), Direction::Egress) => {
                let having = self.named(peers.family(), port.protocol, name);
                return having.iter().fold(Traffic::none(peers.family()), |all, (named, pods)| {
                    let these = Rc::new(peers.intersection(pods));
                    all.union(&Traffic::of(these, &number(*named)))
                });
            }
        };
        Traffic::of(Rc::clone(peers), &services)
    }

    /// The numbers that a name stands for, and the pods' addresses where it does.
    fn named(&self, family: Family, transport: Transport, name: &'a PortName) -> Rc<Numbers> {
        let key = (family, transport, name);
        if let Some(known) = self.memory.borrow().named.get(&key) {
            return Rc::clone(known);
        }
        let mut by_number: BTreeMap<u16, Vec<IpAddr>> = BTreeMap::new();
        for (_, pod) in self.cluster.pods().filter(|(_, pod)| pod.is_endpoint()) {
            for number in pod.named_ports(transport, name) {
                by_number.entry(number).or_default().extend(pod.addresses.iter());
            }
        }
        let named = by_number.into_iter().map(|(number, pods)| (number, AddressSet::of(family, pods)));
        let named = Rc::new(named.collect::<Numbers>());
        self.memory.borrow_mut().named.insert(key, Rc::clone(&named));
        named
    }
}

/// The union of sets, made two by two: one by one, the cost of many would grow with the square of their number.
fn united<T>(mut sets: Vec<T>, union: impl Fn(&T, &T) -> T) -> Option<T> {
    while sets.len() > 1 {
        let mut pairs = sets.into_iter();
        sets = iter::from_fn(|| {
            let first = pairs.next()?;
            Some(match pairs.next() {
                Some(second) => union(&first, &second),
                None => first,
            })
        })
        .collect();
    }
    sets.pop()
}

fn names_a_port(rule: &Rule) -> bool {
    match &rule.ports {
        Ports::Any => false,
        Ports::OneOf(ports) => ports.iter().any(|port| matches!(port.which, PortMatch::Named(_))),
    }
}
