//! Policies as they are meant: defaults filled in, absence and emptiness told apart by type.

use std::fmt;

use chainmail_contract::Transport;
use chainmail_findings::ObjectRef;
use ipnet::IpNet;

use super::{AddressRanges, LabelSelector, NamespaceName, PolicyName, PolicyRef, PortName};

/// A direction of traffic, seen from the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To the pod.
    Ingress,
    /// From the pod.
    Egress,
}

impl Direction {
    /// Both.
    pub const ALL: [Direction; 2] = [Direction::Ingress, Direction::Egress];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        })
    }
}

/// A NetworkPolicy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its namespace, of which alone it selects pods.
    pub namespace: NamespaceName,
    /// Its name.
    pub name: PolicyName,
    /// Which pods it isolates.
    pub subject: LabelSelector,
    /// The ingress rules, where `policyTypes` has Ingress; then the subjects are isolated for ingress.
    pub ingress: Option<Vec<Rule>>,
    /// The egress rules, where `policyTypes` has Egress; then the subjects are isolated for egress.
    pub egress: Option<Vec<Rule>>,
    /// Whether `policyTypes` was written.
    pub types: PolicyTypes,
    /// Where it stands.
    pub at: ObjectRef,
}

/// Where a policy's directions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyTypes {
    /// `policyTypes` names them.
    Written,
    /// `policyTypes` is absent or empty, and the API server fills it in.
    Defaulted,
}

impl Policy {
    /// Namespace and name.
    #[must_use]
    pub fn policy_ref(&self) -> PolicyRef {
        PolicyRef { namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// The rules of a direction, if the policy isolates in it.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }

    /// The networks that its ipBlocks name, exceptions among them.
    pub fn networks(&self) -> impl Iterator<Item = &IpNet> {
        let rules = Direction::ALL.into_iter().filter_map(|direction| self.rules(direction)).flatten();
        let peers = rules.flat_map(|rule| match &rule.peers {
            Peers::OneOf(peers) => peers.as_slice(),
            Peers::Any => &[],
        });
        let blocks = peers.filter_map(|peer| match peer {
            Peer::Block(block) => Some(block),
            Peer::Pods { .. } => None,
        });
        blocks.flat_map(|block| block.except.iter().chain([&block.cidr]))
    }
}

/// A rule of a policy by its direction and index; prints as `ingress[0]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleRef {
    /// The policy.
    pub policy: PolicyRef,
    /// Which of its two lists.
    pub direction: Direction,
    /// The place in the list, from 0.
    pub index: usize,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}[{}]", self.policy, self.direction, self.index)
    }
}

/// One rule: traffic with one of the peers, to one of the ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// With whom.
    pub peers: Peers,
    /// To which ports of the destination.
    pub ports: Ports,
}

/// `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Absent or empty: every address, also outside the cluster.
    Any,
    /// One of these; never empty.
    OneOf(Vec<Peer>),
}

/// One entry of `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Pods that meet `pods`, in the namespaces of `namespaces`: both must hold.
    Pods {
        /// In which namespaces.
        namespaces: NamespaceScope,
        /// Which pods of them.
        pods: LabelSelector,
    },
    /// Addresses, pods' addresses among them.
    Block(IpBlock),
}

/// Where a peer's pods may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamespaceScope {
    /// No `namespaceSelector`: the policy's own namespace.
    Own,
    /// In every namespace whose labels match.
    Matching(LabelSelector),
}

/// `ipBlock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpBlock {
    /// The block, host bits zero.
    pub cidr: IpNet,
    /// What is not meant, host bits zero.
    pub except: Vec<IpNet>,
}

impl IpBlock {
    /// Exactly the addresses that are meant.
    #[must_use]
    pub fn addresses(&self) -> AddressRanges {
        let mut addresses = AddressRanges::of_net(&self.cidr);
        addresses.remove(&AddressRanges::of_nets(addresses.family(), &self.except));
        addresses
    }
}

/// `ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// Absent or empty: every port and every protocol.
    Any,
    /// One of these; never empty.
    OneOf(Vec<Port>),
}

/// One entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The protocol; TCP where none was written.
    pub protocol: Transport,
    /// Which of its ports.
    pub which: PortMatch,
}

/// Which ports of a protocol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortMatch {
    /// No `port`: all of them.
    All,
    /// A number, or a range with `endPort`.
    Range(PortRange),
    /// The port of this name on the destination pod, if it has one of this protocol.
    Named(PortName),
}

/// Ports `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The ports from `first` to `last`, unless they are in the wrong order.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The first port.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }

    /// Whether a port is in it.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}
