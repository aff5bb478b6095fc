//! What policies say of all packets at once.
//!
//! [`semantics::judge`](chainmail_model::semantics::judge) says it of one packet. This is the same reading of the API text, clause
//! by clause, with sets in the place of questions; it knows no classes, no kernel sets, and no order of rules. A peer is
//! worked out once for all rules that name it, and a pod's traffic once for all pods that the same policies select.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::net::IpAddr;
use std::rc::Rc;

use chainmail_contract::{Family, NodeName, Transport};
use chainmail_model::semantics::selects;
use chainmail_model::{
    Cluster, ContainerPort, Contested, Direction, Doubt, Holder, HolderId, LabelSelector, NamespaceName,
    NamespaceScope, Node, Peer, Peers, Pod, PodId, Policy, Port, PortMatch, PortName, Ports, Rule,
};
use chainmail_verdict::exact::{AddressSet, ServiceSet, Traffic};
use chainmail_verdict::{PortRange, Protocol};

/// The traffic that policies allow, pod by pod.
pub struct Meaning<'a> {
    cluster: &'a Cluster,
    /// The endpoints of each namespace.
    of: BTreeMap<&'a NamespaceName, Vec<(PodId, &'a Pod)>>,
    /// What may hold an address on each node.
    on: BTreeMap<&'a NodeName, Vec<HolderId>>,
    /// By which policies a holder is isolated in a direction, as a place in `selections`. For a contested address these
    /// are the policies of all claimants, in an order of its own.
    isolated: BTreeMap<(HolderId, Direction), usize>,
    /// For each contested address the places in `selections` of those of its claimants that are isolated.
    claims: BTreeMap<(HolderId, Direction), BTreeSet<usize>>,
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
    both: BTreeMap<[*const Traffic; 2], Both>,
}

/// Two claimants' traffic, and what is in both. The two stay in memory with it, so that no others take their place there.
struct Both {
    #[expect(dead_code, reason = "it is kept, not read")]
    of: [Rc<Traffic>; 2],
    both: Rc<Traffic>,
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
        let mut on: BTreeMap<&NodeName, Vec<HolderId>> = BTreeMap::new();
        for (id, pod) in cluster.pods().filter(|(_, pod)| pod.is_endpoint()) {
            pods_of.entry(&pod.namespace).or_default().push((id, pod));
        }
        for (id, _) in cluster.holders() {
            cluster.nodes_of(id).into_iter().for_each(|node| on.entry(node).or_default().push(id));
        }
        let mut isolating: BTreeMap<(HolderId, Direction), Vec<usize>> = BTreeMap::new();
        for (index, policy) in cluster.policies().iter().enumerate() {
            let own = pods_of.get(&policy.namespace).into_iter().flatten();
            for (id, _) in own.filter(|(_, pod)| selects(&policy.subject, &pod.labels)) {
                for direction in Direction::ALL.into_iter().filter(|&d| policy.rules(d).is_some()) {
                    isolating.entry((HolderId::from(*id), direction)).or_default().push(index);
                }
            }
        }
        let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        let mut isolated = BTreeMap::new();
        let mut place = |policies: Vec<usize>| {
            let next = known.len();
            *known.entry(policies).or_insert(next)
        };
        for (pod, policies) in isolating {
            isolated.insert(pod, place(policies));
        }
        let mut claims = BTreeMap::new();
        for (id, contested) in cluster.contested_holders() {
            for direction in Direction::ALL {
                let of_pod = |pod: &PodId| isolated.get(&(HolderId::from(*pod), direction)).copied();
                let each: BTreeSet<usize> = contested.claimants().iter().filter_map(of_pod).collect();
                if !each.is_empty() || contested.doubt == Doubt::Crowd {
                    claims.insert((id, direction), each);
                }
            }
        }
        let mut selections = vec![Vec::new(); known.len()];
        for (policies, place) in known {
            selections[place] = policies;
        }
        for (contested, each) in &claims {
            let policies: BTreeSet<usize> =
                each.iter().flat_map(|place| &selections[*place]).copied().collect();
            isolated.insert(*contested, selections.len());
            selections.push(policies.into_iter().collect());
        }
        let names_a_port = |&place: &usize| {
            let policy = &cluster.policies()[place];
            policy.rules(Direction::Ingress).is_some_and(|rules| rules.iter().any(names_a_port))
        };
        let asks_own_ports = selections.iter().map(|policies| policies.iter().any(names_a_port)).collect();
        Self {
            cluster,
            of: pods_of,
            on,
            isolated,
            claims,
            selections,
            asks_own_ports,
            memory: RefCell::default(),
        }
    }

    /// What may hold an address on a node: its pods, and addresses that one of its pods claims.
    pub fn on(&self, node: &Node) -> impl Iterator<Item = HolderId> {
        self.on.get(&node.name).into_iter().flatten().copied()
    }

    /// The policies that isolate a holder in a direction, in order; none where it is not isolated.
    pub fn isolating(&self, direction: Direction, holder: HolderId) -> impl Iterator<Item = &'a Policy> {
        let selection = self.isolated.get(&(holder, direction)).map(|&place| &self.selections[place]);
        selection.into_iter().flatten().map(|&index| &self.cluster.policies()[index])
    }

    /// The address of a holder in a family.
    pub(super) fn address(&self, family: Family, holder: HolderId) -> Option<IpAddr> {
        self.cluster.addresses_of(holder).of(family)
    }

    /// Whether a holder is isolated in a direction: a contested address is if one of its claimants is.
    #[must_use]
    pub fn isolates(&self, direction: Direction, holder: HolderId) -> bool {
        self.isolated.contains_key(&(holder, direction))
    }

    /// What a holder's allowed traffic hangs on: the policies that isolate it, by their places in the cluster, and where
    /// their rules name ports the holder's own. `None` where it is not isolated. Of a contested address it hangs on who
    /// claims it, too.
    pub fn hangs_on(
        &self,
        direction: Direction,
        holder: HolderId,
    ) -> Option<(&[usize], &'a [ContainerPort])> {
        let selection = *self.isolated.get(&(holder, direction))?;
        let own_ports = direction == Direction::Ingress && self.asks_own_ports[selection];
        let ports = if own_ports { self.cluster.ports_of(holder) } else { &[] };
        Some((&self.selections[selection], ports))
    }

    /// The traffic that is allowed with a holder by policies: peers and services; `None` where it is not isolated and all
    /// is allowed. What is allowed in spite of every policy (with itself, with its node) is not in it.
    #[must_use]
    pub fn allowed(&self, direction: Direction, family: Family, holder: HolderId) -> Option<Rc<Traffic>> {
        let ports = self.cluster.ports_of(holder);
        let Holder::Contested(contested) = self.cluster.holder(holder) else {
            let selection = *self.isolated.get(&(holder, direction))?;
            return Some(self.selected(selection, direction, family, ports));
        };
        let each = self.claims.get(&(holder, direction))?;
        if contested.doubt == Doubt::Crowd {
            return Some(Rc::new(Traffic::none(family)));
        }
        // Nothing tells which of the claimants has it: it is allowed what is allowed to each.
        let each: Vec<_> =
            each.iter().map(|selection| self.selected(*selection, direction, family, ports)).collect();
        let mut each = each.into_iter();
        let first = each.next()?;
        Some(each.fold(first, |all, more| self.both(all, more)))
    }

    /// The traffic that is allowed by each of two policies' selections, worked out once for each two.
    fn both(&self, one: Rc<Traffic>, other: Rc<Traffic>) -> Rc<Traffic> {
        if Rc::ptr_eq(&one, &other) {
            return one;
        }
        let key = [Rc::as_ptr(&one), Rc::as_ptr(&other)];
        if let Some(known) = self.memory.borrow().both.get(&key) {
            return Rc::clone(&known.both);
        }
        let both = Rc::new(one.intersection(&other));
        self.memory.borrow_mut().both.insert(key, Both { of: [one, other], both: Rc::clone(&both) });
        both
    }

    /// The traffic that some policies allow with what they select, which has some ports.
    fn selected(
        &self,
        selection: usize,
        direction: Direction,
        family: Family,
        ports: &'a [ContainerPort],
    ) -> Rc<Traffic> {
        let own_ports = direction == Direction::Ingress && self.asks_own_ports[selection];
        let key = TrafficKey { selection, direction, family, ports: own_ports.then_some(ports) };
        if let Some(known) = self.memory.borrow().traffic.get(&key) {
            return Rc::clone(known);
        }
        let mut each = Vec::new();
        for &place in &self.selections[selection] {
            let policy = &self.cluster.policies()[place];
            for (index, rule) in policy.rules(direction).unwrap_or_default().iter().enumerate() {
                let peers = self.peers((place, direction, index), family, policy, rule);
                each.push(self.rule(direction, peers, rule, ports));
            }
        }
        let all = Rc::new(united(each, Traffic::union).unwrap_or_else(|| Traffic::none(family)));
        self.memory.borrow_mut().traffic.insert(key, Rc::clone(&all));
        all
    }

    /// What one rule allows with a pod that its policy selects: the rule by the place of its policy in the cluster, its
    /// direction and its own place.
    #[must_use]
    pub fn of_rule(&self, place: (usize, Direction, usize), family: Family, pod: &Pod) -> Traffic {
        let (policy, direction, index) = place;
        let policy = &self.cluster.policies()[policy];
        let rule = &policy.rules(direction).unwrap_or_default()[index];
        self.rule(direction, self.peers(place, family, policy, rule), rule, &pod.ports)
    }

    /// "Traffic must match both the ports and the peers" (API, NetworkPolicyIngressRule).
    fn rule(
        &self,
        direction: Direction,
        peers: Rc<AddressSet>,
        rule: &'a Rule,
        own: &[ContainerPort],
    ) -> Traffic {
        let Ports::OneOf(ports) = &rule.ports else { return Traffic::of(peers, &ServiceSet::all()) };
        let none = Traffic::none(peers.family());
        ports.iter().fold(none, |all, port| all.union(&self.port(direction, &peers, port, own)))
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
            let pods: Vec<PodId> = pods.map(|(id, _)| *id).collect();
            let addresses =
                Family::ALL.map(|family| Rc::new(AddressSet::of(family, self.addresses(family, &pods))));
            self.memory.borrow_mut().pods.insert(key, addresses.clone());
            addresses
        });
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }

    fn port(
        &self,
        direction: Direction,
        peers: &Rc<AddressSet>,
        port: &'a Port,
        own: &[ContainerPort],
    ) -> Traffic {
        let number = |number| ServiceSet::ports(port.protocol, PortRange::new(number, number));
        let services = match (&port.which, direction) {
            (PortMatch::All, _) => ServiceSet::protocol(Protocol::from(port.protocol)),
            (PortMatch::Range(range), _) => {
                ServiceSet::ports(port.protocol, PortRange::new(range.first(), range.last()))
            }
            // "A named port on a pod" (API, port): the destination's. For ingress that is the pod itself.
            (PortMatch::Named(name), Direction::Ingress) => {
                let is_named =
                    |own: &&ContainerPort| own.protocol == port.protocol && own.name.as_ref() == Some(name);
                let named = own.iter().filter(is_named);
                named.fold(ServiceSet::none(), |all, named| all.union(&number(named.number)))
            }
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

    /// The addresses of some pods in a family. One that several claim is among them only if all of those are.
    fn addresses(&self, family: Family, pods: &[PodId]) -> Vec<IpAddr> {
        let of_pods =
            pods.iter().filter_map(|pod| self.cluster.addresses_of(HolderId::from(*pod)).of(family));
        let mut addresses: Vec<IpAddr> = of_pods.collect();
        if !self.cluster.contested().is_empty() {
            let pods: BTreeSet<&PodId> = pods.iter().collect();
            let is_meant = |contested: &&Contested| {
                contested.doubt == Doubt::Pods && contested.claimants().iter().all(|pod| pods.contains(pod))
            };
            let meant = self.cluster.contested().iter().filter(is_meant);
            addresses.extend(meant.map(|contested| contested.address).filter(|a| Family::of(*a) == family));
        }
        addresses
    }

    /// The numbers that a name stands for, and the pods' addresses where it does.
    fn named(&self, family: Family, transport: Transport, name: &'a PortName) -> Rc<Numbers> {
        let key = (family, transport, name);
        if let Some(known) = self.memory.borrow().named.get(&key) {
            return Rc::clone(known);
        }
        let mut by_number: BTreeMap<u16, Vec<IpAddr>> = BTreeMap::new();
        for (id, _) in self.cluster.holders() {
            let is_named =
                |port: &&ContainerPort| port.protocol == transport && port.name.as_ref() == Some(name);
            for port in self.cluster.ports_of(id).iter().filter(is_named) {
                by_number.entry(port.number).or_default().extend(self.cluster.addresses_of(id).iter());
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
