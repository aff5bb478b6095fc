//! Why a packet meets something else: the rule, policy, label or object that decides otherwise, at its place.
//!
//! Who decides is asked of [`semantics`] on both sides. The side that lets the packet through tells what would have to be
//! there, and the other one which part of that is not.

use chainmail_contract::Family;
use chainmail_findings::{FieldPath, ObjectRef};
use chainmail_model::semantics::{self, Packet, selects};
use chainmail_model::{
    Cluster, Direction, Doubt, LabelKey, LabelSelector, Labels, Namespace, NamespaceScope, Peer, Peers, Pod,
    PodState, Policy, Rule, Whose,
};

use crate::diff::{Cause, Manifests, Role, Side};

/// Both sides, with the files that they were read from.
#[derive(Clone, Copy)]
pub(super) struct Why<'a> {
    pub(super) clusters: [&'a Cluster; 2],
    pub(super) manifests: [&'a Manifests<'a>; 2],
}

/// What one end says of a packet on one side.
enum Decision<'a> {
    /// No policy is asked.
    Free,
    /// These policies isolate the pod, and these of their rules allow it.
    Policies { isolating: Vec<&'a Policy>, allowing: Vec<(&'a Policy, usize)> },
}

/// The pod that decides, if any does, and its decision.
type Decided<'a> = (Option<&'a Pod>, Decision<'a>);

/// The pod whose say it is, and the other end, on one side.
#[derive(Clone, Copy)]
struct Ends<'a> {
    subject: Option<&'a Pod>,
    peer: Option<&'a Pod>,
    destination: Option<&'a Pod>,
}

impl<'a> Why<'a> {
    /// The causes, of a packet as both sides have it; a side where an end is missing has none.
    pub(super) fn causes(&self, packets: &[Option<Packet>; 2]) -> Vec<Cause> {
        let mut causes = Vec::new();
        for direction in [Direction::Ingress, Direction::Egress] {
            match packets {
                [Some(base), Some(head)] => self.changed(direction, [base, head], &mut causes),
                [None, Some(packet)] => self.comes(Side::Head, direction, packet, &mut causes),
                [Some(packet), None] => self.comes(Side::Base, direction, packet, &mut causes),
                [None, None] => {}
            }
        }
        let contested = |side: Side| !self.clusters[side.index()].contested().is_empty();
        if causes.is_empty() && Side::ALL.into_iter().any(contested) {
            self.claims(packets, &mut causes);
        }
        if let ([Some(base), Some(head)], true) = (packets, causes.is_empty()) {
            self.guards([base, head], &mut causes);
        }
        causes
    }

    fn changed(&self, direction: Direction, packets: [&Packet; 2], causes: &mut Vec<Cause>) {
        let decided = Side::ALL.map(|side| self.decided(side, direction, packets[side.index()]));
        let (yes, no) = match decided.each_ref().map(|(_, decision)| decision.allows()) {
            [false, true] => (Side::Head, Side::Base),
            [true, false] => (Side::Base, Side::Head),
            [true, true] | [false, false] => return,
        };
        let [base, head] = decided;
        let (lets, refuses) = if yes == Side::Base { (base, head) } else { (head, base) };
        // Where several claim the address, what the one that refuses said there.
        let Some(lets) = self.said_by(refuses.0, (yes, lets), direction, packets[yes.index()]) else {
            return;
        };
        self.between(direction, (yes, &lets), (no, &refuses), packets, causes);
    }

    /// The decision of the claimant that a pod is on the other side; `None` where it claims nothing there.
    fn said_by(
        &self,
        pod: Option<&Pod>,
        (side, decided): (Side, Decided<'a>),
        direction: Direction,
        packet: &Packet,
    ) -> Option<Decided<'a>> {
        let cluster = self.clusters[side.index()];
        let end = match direction {
            Direction::Ingress => packet.destination,
            Direction::Egress => packet.source,
        };
        let Some(pod) = pod.filter(|_| semantics::is_enforced(cluster, end)) else { return Some(decided) };
        let known = || cluster.claimants(end).filter(|known| known.pod_ref() == pod.pod_ref());
        let same = known().find(|known| (&known.labels, &known.ports) == (&pod.labels, &pod.ports));
        let twin = same.or_else(|| known().next())?;
        Some((Some(twin), self.of_pod(cluster, direction, packet, twin)))
    }

    /// The pod that decides, and its decision: of several that claim the address, one that refuses or else is isolated.
    fn decided(&self, side: Side, direction: Direction, packet: &Packet) -> Decided<'a> {
        let cluster = self.clusters[side.index()];
        let end = match direction {
            Direction::Ingress => packet.destination,
            Direction::Egress => packet.source,
        };
        let first = cluster.claimants(end).next();
        if !semantics::is_enforced(cluster, end) {
            return (first, Decision::Free);
        }
        if matches!(cluster.whose(end), Whose::Contested(contested) if contested.doubt == Doubt::Crowd) {
            return (first, Decision::Policies { isolating: Vec::new(), allowing: Vec::new() });
        }
        let mut chosen = (first, Decision::Free);
        for pod in cluster.claimants(end) {
            let decision = self.of_pod(cluster, direction, packet, pod);
            if !decision.allows() {
                return (Some(pod), decision);
            }
            if matches!((&chosen.1, &decision), (Decision::Free, Decision::Policies { .. })) {
                chosen = (Some(pod), decision);
            }
        }
        chosen
    }

    fn of_pod(&self, cluster: &'a Cluster, direction: Direction, packet: &Packet, pod: &Pod) -> Decision<'a> {
        let peer = match direction {
            Direction::Ingress => packet.source,
            Direction::Egress => packet.destination,
        };
        let isolating: Vec<&Policy> =
            cluster.policies().iter().filter(|policy| isolates(policy, direction, pod)).collect();
        if isolating.is_empty() {
            return Decision::Free;
        }
        let mut allowing = Vec::new();
        for policy in &isolating {
            for (place, rule) in policy.rules(direction).into_iter().flatten().enumerate() {
                if semantics::rule_allows(cluster, policy, rule, packet, peer) {
                    allowing.push((*policy, place));
                }
            }
        }
        Decision::Policies { isolating, allowing }
    }

    fn ends(&self, side: Side, direction: Direction, packet: &Packet, subject: Option<&'a Pod>) -> Ends<'a> {
        let pod = |address| self.clusters[side.index()].claimants(address).next();
        let (source, destination) = (pod(packet.source), pod(packet.destination));
        match direction {
            Direction::Ingress => Ends { subject, peer: source, destination },
            Direction::Egress => Ends { subject, peer: destination, destination },
        }
    }

    /// Pods that claim an end's address on one side and not on the other: what is said of the address hangs on them.
    fn claims(&self, packets: &[Option<Packet>; 2], causes: &mut Vec<Cause>) {
        let ends = [
            (Direction::Ingress, packets.map(|packet| packet.map(|packet| packet.destination))),
            (Direction::Ingress, packets.map(|packet| packet.map(|packet| packet.source))),
        ];
        let namespace = |side: Side, pod: &Pod| {
            self.clusters[side.index()].namespace(&pod.namespace).map(|namespace| &namespace.labels)
        };
        for (direction, addresses) in ends {
            for (side, other) in [(Side::Head, Side::Base), (Side::Base, Side::Head)] {
                let Some(address) = addresses[side.index()] else { continue };
                if !matches!(self.clusters[side.index()].whose(address), Whose::Contested(_)) {
                    continue;
                }
                let there = addresses[other.index()].into_iter();
                let there: Vec<&Pod> =
                    there.flat_map(|address| self.clusters[other.index()].claimants(address)).collect();
                for pod in self.clusters[side.index()].claimants(address) {
                    let is_it = |known: &&Pod| {
                        known.pod_ref() == pod.pod_ref()
                            && (&known.labels, &known.ports) == (&pod.labels, &pod.ports)
                            && namespace(other, known) == namespace(side, pod)
                    };
                    if !there.iter().any(is_it) {
                        causes.push(self.pod(Role::Address, direction, side, pod, &["status", "podIP"]));
                    }
                }
            }
        }
    }

    /// What one side lets through and the other does not.
    fn between(
        &self,
        direction: Direction,
        (yes, lets): (Side, &Decided<'a>),
        (no, refuses): (Side, &Decided<'a>),
        packets: [&Packet; 2],
        causes: &mut Vec<Cause>,
    ) {
        let Decision::Policies { isolating: refusing, .. } = &refuses.1 else { return };
        let ends = [(yes, lets.0), (no, refuses.0)]
            .map(|(side, subject)| self.ends(side, direction, packets[side.index()], subject));
        match &lets.1 {
            Decision::Free => {
                for policy in refusing {
                    let twin = self.twin(yes, policy);
                    let found = match (twin, ends[0].subject, ends[1].subject) {
                        (Some(twin), Some(before), Some(now))
                            if twin.subject == policy.subject && twin.rules(direction).is_some() =>
                        {
                            self.labels(direction, &policy.subject, [(yes, before), (no, now)])
                        }
                        _ => vec![self.policy(Role::Isolate, direction, no, policy, &[])],
                    };
                    causes.extend(found);
                }
                if let Some(pod) = ends[0].subject.filter(|_| causes.is_empty()) {
                    causes.push(self.pod(Role::Object, direction, yes, pod, &["spec", "nodeName"]));
                }
            }
            Decision::Policies { allowing, .. } => {
                for (policy, place) in allowing {
                    self.rule(direction, (yes, no), (policy, *place), ends, causes);
                }
            }
        }
    }

    /// Why a rule that allows on one side does not on the other.
    fn rule(
        &self,
        direction: Direction,
        (yes, no): (Side, Side),
        (policy, place): (&'a Policy, usize),
        [lets, refuses]: [Ends<'a>; 2],
        causes: &mut Vec<Cause>,
    ) {
        let rule = &policy.rules(direction).expect("the rule is one of them")[place];
        let spelled = direction.to_string();
        let twin = self.twin(no, policy);
        let has_rule = |twin: &&Policy| twin.rules(direction).is_some_and(|rules| rules.contains(rule));
        match twin.filter(has_rule) {
            None => {
                let mut cause = self.policy(Role::Allow, direction, yes, policy, &["spec", &spelled]);
                self.at_rule(&mut cause, yes, policy, direction, place);
                causes.push(cause);
                // Where the rule was, something else is now.
                if let (Side::Base, Some(twin)) = (yes, twin.filter(|twin| twin.rules(direction).is_some())) {
                    causes.push(self.policy(Role::Isolate, direction, no, twin, &["spec", &spelled]));
                }
            }
            Some(twin) if twin.subject != policy.subject => {
                causes.push(self.policy(Role::Allow, direction, yes, policy, &["spec", "podSelector"]));
            }
            Some(_) => {
                let mut found = Vec::new();
                if let (Some(old), Some(new)) = (lets.subject, refuses.subject) {
                    found.extend(self.labels(direction, &policy.subject, [(yes, old), (no, new)]));
                }
                if let (Some(old), Some(new)) = (lets.peer, refuses.peer) {
                    found.extend(self.peers(direction, rule, [(yes, old), (no, new)]));
                }
                if found.is_empty() {
                    found.extend(self.pods(direction, [(yes, lets), (no, refuses)]));
                }
                causes.extend(found);
            }
        }
    }

    /// Labels of a peer, or of its namespace, that a rule asks for and that differ.
    fn peers(&self, direction: Direction, rule: &Rule, pods: [(Side, &'a Pod); 2]) -> Vec<Cause> {
        let Peers::OneOf(peers) = &rule.peers else { return Vec::new() };
        let mut causes = Vec::new();
        for peer in peers {
            let Peer::Pods { namespaces, pods: selector } = peer else { continue };
            causes.extend(self.labels(direction, selector, pods));
            if let NamespaceScope::Matching(selector) = namespaces {
                causes.extend(self.namespace_labels(direction, selector, pods));
            }
        }
        causes
    }

    fn labels(&self, direction: Direction, selector: &LabelSelector, pods: [(Side, &Pod); 2]) -> Vec<Cause> {
        let keys = differing(selector, pods.map(|(_, pod)| &pod.labels));
        keys.map(|key| {
            let (side, pod) = holder(&key, pods, |pod| &pod.labels);
            let path = ["metadata", "labels", key.as_str()];
            self.pod(Role::Label, direction, side, pod, &path)
        })
        .collect()
    }

    fn namespace_labels(
        &self,
        direction: Direction,
        selector: &LabelSelector,
        pods: [(Side, &'a Pod); 2],
    ) -> Vec<Cause> {
        let of = |(side, pod): (Side, &'a Pod)| {
            Some((side, self.clusters[side.index()].namespace(&pod.namespace)?))
        };
        let (Some(one), Some(other)) = (of(pods[0]), of(pods[1])) else { return Vec::new() };
        let namespaces: [(Side, &Namespace); 2] = [one, other];
        let keys = differing(selector, namespaces.map(|(_, namespace)| &namespace.labels));
        keys.filter_map(|key| {
            let (side, namespace) = holder(&key, namespaces, |namespace| &namespace.labels);
            let object = format!("Namespace {}", namespace.name);
            let path = ["metadata", "labels", key.as_str()];
            // One that no file speaks of has no labels but those that every namespace has; then the other side has it.
            let held = [(side, namespace)].into_iter().chain(namespaces);
            let (side, at) = held.into_iter().find_map(|(side, namespace)| Some((side, namespace.at?)))?;
            Some(self.cause(Role::Label, direction, side, object, at, &path))
        })
        .collect()
    }

    /// What of pods themselves differs.
    fn pods(&self, direction: Direction, [(yes, lets), (no, refuses)]: [(Side, Ends<'a>); 2]) -> Vec<Cause> {
        let mut causes = Vec::new();
        let pairs = [(lets.destination, refuses.destination), (lets.peer, refuses.peer)];
        for (old, new) in pairs {
            let (Some(old), Some(new)) = (old, new) else { continue };
            let (side, pod) = if no == Side::Head { (no, new) } else { (yes, old) };
            if old.ports != new.ports {
                causes.push(self.pod(Role::Port, direction, side, pod, &["spec", "containers"]));
            }
            if old.addresses != new.addresses {
                causes.push(self.pod(Role::Address, direction, side, pod, &["status", "podIP"]));
            }
        }
        causes
    }

    /// A packet of which an end comes with one side.
    fn comes(&self, side: Side, direction: Direction, packet: &Packet, causes: &mut Vec<Cause>) {
        let (subject, decision) = self.decided(side, direction, packet);
        let other = match side {
            Side::Base => Side::Head,
            Side::Head => Side::Base,
        };
        if let Decision::Policies { allowing, .. } = decision {
            for (policy, place) in allowing {
                let mut cause = self.policy(Role::Allow, direction, side, policy, &[]);
                self.at_rule(&mut cause, side, policy, direction, place);
                causes.push(cause);
            }
        }
        let Some(pod) = subject else { return };
        let there = self.clusters[other.index()].find_pod(pod.namespace.as_str(), pod.name.as_str());
        match there.map(|(_, pod)| pod).filter(|pod| pod.is_endpoint()) {
            None => causes.push(self.pod(Role::Object, direction, side, pod, &[])),
            // It is there, but has no address of this family.
            Some(there) if there.addresses.of(Family::of(packet.source)).is_none() => {
                causes.push(self.pod(Role::Address, direction, side, pod, &["status", "podIP"]));
            }
            Some(_) => {}
        }
    }

    /// Settings that refuse on one side.
    fn guards(&self, packets: [&Packet; 2], causes: &mut Vec<Cause>) {
        let unknown =
            |side: usize| semantics::refuses_unknown_pod(self.clusters[side], packets[side]).is_some();
        let stray = |side: usize| semantics::refuses_on_bridge(self.clusters[side], packets[side]).is_some();
        for (setting, [base, head]) in
            [("unknown_pods", [0, 1].map(unknown)), ("pod_bridge", [0, 1].map(stray))]
        {
            if base == head {
                continue;
            }
            // The configuration of the head, if it has one: what is not said there has its default.
            let config = |side: Side| Some((side, self.manifests[side.index()].config?));
            let Some((side, path)) = config(Side::Head).or_else(|| config(Side::Base)) else { continue };
            let bytes = self.manifests[side.index()].files.get(path).copied().unwrap_or_default();
            let text = String::from_utf8_lossy(bytes);
            let line = text.lines().position(|line| line.trim_start().starts_with(setting)).unwrap_or(0);
            causes.push(Cause {
                direction: Direction::Ingress,
                role: Role::Setting,
                side,
                object: "chainmail.toml".to_owned(),
                field: setting.to_owned(),
                file: path.to_owned(),
                line: u32::try_from(line).unwrap_or(u32::MAX).saturating_add(1),
            });
        }
    }

    /// The policy of the same name on a side.
    fn twin(&self, side: Side, policy: &Policy) -> Option<&'a Policy> {
        let policies = self.clusters[side.index()].policies();
        let key = (&policy.namespace, &policy.name);
        let place = policies.binary_search_by(|known| (&known.namespace, &known.name).cmp(&key)).ok()?;
        Some(&policies[place])
    }

    /// A policy as a cause.
    pub(super) fn policy(
        &self,
        role: Role,
        direction: Direction,
        side: Side,
        policy: &Policy,
        path: &[&str],
    ) -> Cause {
        let object = format!("NetworkPolicy {}", policy.policy_ref());
        self.cause(role, direction, side, object, policy.at, path)
    }

    /// Why a pod of the base is no longer at an address: what the head says of it, or that it is gone.
    pub(super) fn left(&self, direction: Direction, pod: &Pod) -> Cause {
        let head = self.clusters[Side::Head.index()];
        let Some((_, now)) = head.find_pod(pod.namespace.as_str(), pod.name.as_str()) else {
            return self.pod(Role::Object, direction, Side::Base, pod, &[]);
        };
        let field = match now.state {
            PodState::HostNetwork => ["spec", "hostNetwork"],
            PodState::Finished => ["status", "phase"],
            PodState::Endpoint | PodState::Assumed | PodState::NoAddress => ["status", "podIP"],
        };
        self.pod(Role::Address, direction, Side::Head, now, &field)
    }

    fn at_rule(&self, cause: &mut Cause, side: Side, policy: &Policy, direction: Direction, place: usize) {
        let path = FieldPath::root().key("spec").key(direction.to_string()).index(place);
        cause.field = format!("{direction}[{place}]");
        cause.line = self.manifests[side.index()].places.place(policy.at, &path).line;
    }

    fn pod(&self, role: Role, direction: Direction, side: Side, pod: &Pod, path: &[&str]) -> Cause {
        self.cause(role, direction, side, format!("Pod {}", pod.pod_ref()), pod.at, path)
    }

    fn cause(
        &self,
        role: Role,
        direction: Direction,
        side: Side,
        object: String,
        at: ObjectRef,
        path: &[&str],
    ) -> Cause {
        let field = path.iter().fold(FieldPath::root(), |path, key| path.key((*key).to_owned()));
        let place = self.manifests[side.index()].places.place(at, &field);
        Cause { direction, role, side, object, field: field.to_string(), file: place.file, line: place.line }
    }
}

impl Decision<'_> {
    fn allows(&self) -> bool {
        match self {
            Decision::Free => true,
            Decision::Policies { allowing, .. } => !allowing.is_empty(),
        }
    }
}

fn isolates(policy: &Policy, direction: Direction, pod: &Pod) -> bool {
    policy.namespace == pod.namespace
        && policy.rules(direction).is_some()
        && selects(&policy.subject, &pod.labels)
}

/// The keys that a selector asks for and two sets of labels answer differently.
fn differing<'l>(
    selector: &LabelSelector,
    [one, other]: [&'l Labels; 2],
) -> impl Iterator<Item = LabelKey> + use<'l> {
    let mut keys: Vec<LabelKey> =
        selector.requirements().map(|requirement| requirement.key().clone()).collect();
    keys.dedup();
    keys.into_iter().filter(move |key| one.get(key) != other.get(key))
}

/// Which of two objects has a label: that of the head, if both or neither do.
fn holder<'o, T>(key: &LabelKey, objects: [(Side, &'o T); 2], labels: fn(&T) -> &Labels) -> (Side, &'o T) {
    let [base, head] = Side::ALL.map(|side| {
        let of_side = objects.iter().find(|(own, _)| *own == side);
        *of_side.expect("one of each side")
    });
    if labels(head.1).get(key).is_none() && labels(base.1).get(key).is_some() { base } else { head }
}
