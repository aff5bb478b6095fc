//! By which conditions a rule fails, and how near it is to allowing.

use std::net::IpAddr;

use chainmail_model::semantics::{self, Packet, Service};
use chainmail_model::{
    Cluster, Direction, LabelSelector, Labels, NamespaceScope, Peer, Peers, Pod, Policy, Port, PortMatch,
    Ports, Rule, Whose,
};
use serde::Serialize;

/// What of a rule a packet does not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// A peer's `namespaceSelector`, or without one the policy's own namespace.
    NamespaceSelector,
    /// A peer's `podSelector`.
    PodSelector,
    /// A peer's `ipBlock.cidr`.
    IpBlock,
    /// One of a peer's `ipBlock.except`.
    Except,
    /// A port's `protocol`.
    Protocol,
    /// A port's number or range.
    Port,
    /// A port's name, as the destination resolves it.
    NamedPort,
    /// That the packet has a port at all.
    HasPort,
    /// That the other end is a pod: selectors select nothing else.
    IsPod,
}

/// One condition that is not met: `wants …, …`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Miss {
    /// Which.
    pub condition: Condition,
    /// The entry of `from` or `to` that is nearest, such as `from[1]`, where the rule has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What the rule wants.
    pub wants: String,
    /// What is there instead.
    pub found: String,
}

impl Miss {
    fn new(condition: Condition, wants: impl Into<String>, found: impl Into<String>) -> Self {
        Self { condition, item: None, wants: wants.into(), found: found.into() }
    }
}

/// How near a condition is to being met, of one pod or of what is none: labels can be given to a pod, but an address
/// outside never becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Near,
    Far,
}

/// The conditions by which a rule fails: those of its nearest peer, and those of its nearest port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misses {
    misses: Vec<Miss>,
    reach: Reach,
}

impl Misses {
    /// What a rule that does not allow the packet misses.
    pub(super) fn of(
        cluster: &Cluster,
        policy: &Policy,
        (direction, rule): (Direction, &Rule),
        packet: &Packet,
        peer: IpAddr,
    ) -> Self {
        let mut all = Self { misses: Vec::new(), reach: Reach::Near };
        if let Peers::OneOf(peers) = &rule.peers
            && !semantics::peers_allow(cluster, policy, &rule.peers, peer)
        {
            let each = peers.iter().enumerate().map(|(index, item)| {
                let mut misses = peer_misses(cluster, policy, item, peer);
                let field = match direction {
                    Direction::Ingress => "from",
                    Direction::Egress => "to",
                };
                for miss in misses.iter_mut().filter(|_| peers.len() > 1) {
                    miss.item = Some(format!("{field}[{index}]"));
                }
                let of_pods = matches!(item, Peer::Pods { .. });
                let is_pod = !semantics::pods_at(cluster, peer).is_empty();
                Self { misses, reach: if of_pods == is_pod { Reach::Near } else { Reach::Far } }
            });
            all = each.min_by_key(Misses::distance).unwrap_or(all);
        }
        if let Ports::OneOf(ports) = &rule.ports
            && !semantics::ports_allow(cluster, &rule.ports, packet)
        {
            all.misses.extend(ports_misses(cluster, ports, packet));
        }
        all
    }

    /// How far the rule is from allowing: by how many conditions it fails, then by how likely those are to be met.
    pub(super) fn distance(&self) -> impl Ord + use<> {
        (self.misses.len(), self.reach)
    }

    pub(super) fn into_vec(self) -> Vec<Miss> {
        self.misses
    }
}

fn peer_misses(cluster: &Cluster, policy: &Policy, item: &Peer, address: IpAddr) -> Vec<Miss> {
    let (namespaces, pods) = match item {
        Peer::Pods { namespaces, pods } => (namespaces, pods),
        Peer::Block(block) => {
            let Some(except) = block.except.iter().find(|except| except.contains(&address)) else {
                let found = format!("{address} is not in it");
                return vec![Miss::new(Condition::IpBlock, block.cidr.to_string(), found)];
            };
            let wants = format!("{} except {except}", block.cidr);
            return vec![Miss::new(Condition::Except, wants, format!("{address} is in {except}"))];
        }
    };
    let at_address = semantics::pods_at(cluster, address);
    if at_address.is_empty() {
        let found = match cluster.whose(address) {
            Whose::Node(node) => format!("{address} is node {} and no pod", node.name),
            Whose::Contested(contested) => {
                format!("{address} is claimed by {}", cluster.claimants_text(contested))
            }
            Whose::Pod(..) | Whose::Unknown => format!("{address} is no pod"),
        };
        return vec![Miss::new(Condition::IsPod, "pods", found)];
    }
    // Of several that claim the address each must be meant.
    let mut each = at_address.into_iter().map(|pod| pod_misses(cluster, policy, (namespaces, pods), pod));
    each.find(|misses| !misses.is_empty()).unwrap_or_default()
}

fn pod_misses(
    cluster: &Cluster,
    policy: &Policy,
    (namespaces, pods): (&NamespaceScope, &LabelSelector),
    pod: &Pod,
) -> Vec<Miss> {
    let mut misses = Vec::new();
    match namespaces {
        NamespaceScope::Own if pod.namespace != policy.namespace => misses.push(Miss::new(
            Condition::NamespaceSelector,
            format!("pods of namespace {}", policy.namespace),
            format!("{} is in {}", pod.pod_ref(), pod.namespace),
        )),
        NamespaceScope::Own => {}
        NamespaceScope::Matching(selector) => {
            if let Some(namespace) = cluster.namespace(&pod.namespace)
                && !semantics::selects(selector, &namespace.labels)
            {
                let condition = Condition::NamespaceSelector;
                let who = namespace.name.as_str();
                misses.push(selector_miss(condition, "namespaces", selector, who, &namespace.labels));
            }
        }
    }
    if !semantics::selects(pods, &pod.labels) {
        let who = pod.pod_ref().to_string();
        misses.push(selector_miss(Condition::PodSelector, "pods", pods, &who, &pod.labels));
    }
    misses
}

/// The requirements that labels do not meet, and what the labels are instead.
fn selector_miss(
    condition: Condition,
    what: &str,
    selector: &LabelSelector,
    who: &str,
    labels: &Labels,
) -> Miss {
    let unmet: Vec<_> = selector.requirements().filter(|requirement| !requirement.matches(labels)).collect();
    let wants: Vec<String> = unmet.iter().map(|requirement| requirement.to_string()).collect();
    let mut has: Vec<String> = unmet
        .iter()
        .map(|requirement| match labels.get(requirement.key()) {
            Some(value) => format!("{}={value}", requirement.key()),
            None => format!("no {}", requirement.key()),
        })
        .collect();
    has.dedup();
    Miss::new(condition, format!("{what} {}", wants.join(",")), format!("{who} has {}", has.join(" and ")))
}

/// What the nearest of some ports misses. Ports that miss the same are wanted together.
fn ports_misses(cluster: &Cluster, ports: &[Port], packet: &Packet) -> Vec<Miss> {
    let Service::Port(protocol, number) = packet.service else {
        let wants = ports.iter().map(port_text).collect::<Vec<_>>().join(" or ");
        let found = format!("{} has no ports", packet.service);
        return vec![Miss::new(Condition::HasPort, format!("port {wants}"), found)];
    };
    let mut nearest: Vec<Miss> = Vec::new();
    for port in ports {
        let mut misses = Vec::new();
        if port.protocol != protocol {
            let (wants, found) = (format!("protocol {}", port.protocol.as_str()), protocol.as_str());
            misses.push(Miss::new(Condition::Protocol, wants, format!("{found} is asked")));
        }
        let asked = format!("{number} is asked");
        match &port.which {
            PortMatch::All => {}
            PortMatch::Range(range) if range.contains(number) => {}
            PortMatch::Range(_) => {
                let wants = format!("port {}", number_text(port));
                misses.push(Miss::new(Condition::Port, wants, asked));
            }
            PortMatch::Named(name) => {
                let wants = format!("port {name}");
                let at_address = semantics::pods_at(cluster, packet.destination);
                let found = if at_address.is_empty() {
                    Some(format!("{} is no pod and names no ports", packet.destination))
                } else {
                    at_address.into_iter().find_map(|pod| {
                        let numbers: Vec<u16> = pod.named_ports(port.protocol, name).collect();
                        let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                        if numbers.contains(&number) {
                            None
                        } else if numbers.is_empty() {
                            let transport = port.protocol.as_str();
                            Some(format!("{} has no {transport} port of that name", pod.pod_ref()))
                        } else {
                            let at = texts.join(" and ");
                            Some(format!("it is {at} on {} and {number} is asked", pod.pod_ref()))
                        }
                    })
                };
                misses.extend(found.map(|found| Miss::new(Condition::NamedPort, wants, found)));
            }
        }
        if nearest.is_empty() || misses.len() < nearest.len() {
            nearest = misses;
        } else if let ([first], [other]) = (&mut nearest[..], &misses[..])
            && first.condition == Condition::Port
            && other.condition == Condition::Port
        {
            let number = other.wants.trim_start_matches("port ");
            first.wants.push_str(&format!(" or {number}"));
        }
    }
    nearest
}

fn number_text(port: &Port) -> String {
    match &port.which {
        PortMatch::All => "any".to_owned(),
        PortMatch::Range(range) if range.first() == range.last() => range.first().to_string(),
        PortMatch::Range(range) => format!("{}-{}", range.first(), range.last()),
        PortMatch::Named(name) => name.to_string(),
    }
}

fn port_text(port: &Port) -> String {
    format!("{}/{}", port.protocol.as_str(), number_text(port))
}
