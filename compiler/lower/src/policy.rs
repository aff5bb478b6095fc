//! Allowed traffic: which pods are isolated, and for those what their policies admit together.
//!
//! Pods that the same policies isolate in a direction form one [`Class`]; an address that several pods claim has what all
//! of their classes admit. Selectors are answered from an index of
//! labels, each distinct one once, so that the cost grows with what they select and not with pods × selectors.

mod classes;
mod index;
pub mod limits;
mod pod_sets;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chainmail_contract::Transport;
use chainmail_model::{AddressRanges, Cluster, Direction, HolderId, RuleRef};
use range_set_blaze::RangeSetBlaze;

pub use classes::allowed_traffic;
pub use pod_sets::{PodSetId, PodSets};

/// A policy rule that admits traffic, by its policy's place among the cluster's policies and its own in the policy.
/// The order is the order of policy names, then of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    policy: u32,
    direction: Direction,
    rule: u32,
}

impl Origin {
    /// The rule by name.
    #[must_use]
    pub fn rule_ref(self, cluster: &Cluster) -> RuleRef {
        let policy = cluster.policies()[self.policy as usize].policy_ref();
        RuleRef { policy, direction: self.direction, index: self.rule as usize }
    }

    /// The policy's place among [`Cluster::policies`].
    #[must_use]
    pub fn policy_index(self) -> usize {
        self.policy as usize
    }
}

/// Ports of the destination. A port that is not a number has been resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortSet {
    /// Every protocol and every port.
    Any,
    /// These ports of these protocols; ports are 0 to 65535, both included, where all of a protocol are meant.
    OneOf(BTreeMap<Transport, RangeSetBlaze<u16>>),
}

/// The other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerSet {
    /// Every address.
    Any,
    /// These pods, and these addresses.
    OneOf {
        /// Pods, by selectors.
        pods: PodSetId,
        /// Addresses of ipBlocks, exceptions taken out, of either family.
        blocks: Vec<AddressRanges>,
    },
}

/// One port of one destination address: what a named port of an egress rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// The pod's address.
    pub address: IpAddr,
    /// The protocol.
    pub protocol: Transport,
    /// The number that the pod gives the name.
    pub port: u16,
}

/// Traffic that one policy rule admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Traffic {
    /// With any of the peers, to any of the ports.
    Peers {
        /// With whom.
        peers: PeerSet,
        /// To which ports.
        ports: PortSet,
    },
    /// To exactly these services.
    Services(BTreeSet<Service>),
}

/// One admission of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// What is admitted.
    pub traffic: Traffic,
    /// By which rule.
    pub origin: Origin,
}

/// That a policy isolates pods in a direction: what none admits is denied for its sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Isolation {
    policy: u32,
    /// The direction.
    pub direction: Direction,
}

impl Isolation {
    /// The policy's place among [`Cluster::policies`].
    #[must_use]
    pub fn policy_index(self) -> usize {
        self.policy as usize
    }
}

/// A class's place among the classes of its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClassId(u32);

/// What the pods of one class may do in one direction; all else they may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// The direction.
    pub direction: Direction,
    /// The policies that isolate its pods.
    pub isolating: Vec<Isolation>,
    /// What is admitted.
    pub admits: Admits,
}

/// What a class admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admits {
    /// What any of these admits, in order of policies and rules.
    AnyOf(Vec<Allow>),
    /// What all of these classes of the same direction admit, at least two: those of the pods that claim an address.
    AllOf(Vec<ClassId>),
}

/// The allowed traffic of a cluster.
#[derive(Debug, Clone)]
pub struct AllowedTraffic {
    classes: BTreeMap<Direction, Vec<Class>>,
    /// The class of each holder that is isolated.
    of_holder: BTreeMap<Direction, BTreeMap<HolderId, ClassId>>,
}

impl AllowedTraffic {
    /// A class; ids are those of [`AllowedTraffic::class_of`] for the same direction.
    #[must_use]
    pub fn class(&self, direction: Direction, id: ClassId) -> &Class {
        &self.classes[&direction][id.0 as usize]
    }

    /// The class of what holds an address, if it is isolated in that direction.
    #[must_use]
    pub fn class_of(&self, direction: Direction, holder: HolderId) -> Option<ClassId> {
        self.of_holder.get(&direction)?.get(&holder).copied()
    }
}
