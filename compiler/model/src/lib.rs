//! The cluster as the policies see it: namespaces, pods, nodes and policies, admitted as the API server would, with
//! its defaults filled in. Built once by admission, read only; everything after this works on it.

// What others wrote never ends the program: it becomes an error that names its place.
#![warn(clippy::panic, clippy::unreachable, clippy::get_unwrap, clippy::string_slice)]

mod addresses;
mod admitted;
mod assumed;
pub mod enclosing;
mod flow_test;
mod holders;
mod interfaces;
mod labels;
mod lints;
mod model;
mod names;
mod owner;
mod policy;
mod policy_at;
pub mod semantics;
mod service;
mod settings;
mod waiver;
mod workload;
mod workload_kind;

pub use addresses::number;
pub use addresses::{AddressRanges, Addresses};
pub use flow_test::{FlowCase, FlowTest, Words};
pub use holders::{CLAIMANTS_MAX, Contested, Doubt, Holder, HolderId};
pub use interfaces::{
    InterfaceName, InterfaceNameError, InterfacePattern, InterfacePatternError, InterfacePrefix,
    PodInterfaces, PodInterfacesError,
};
pub use labels::{LabelSelector, Labels, Requirement};
pub use lints::{Budget, Cost, Level, LintSettings};
pub use model::{Cluster, ContainerPort, Namespace, Node, Os, Pod, PodId, PodState, Whose};
pub use names::{LabelKey, NamespaceName, PodName, PodRef, PolicyName, PolicyRef, PortName, WorkloadName};
pub use policy::{
    Direction, IpBlock, NamespaceScope, Peer, Peers, Policy, PolicyTypes, Port, PortMatch, PortRange, Ports,
    Rule, RuleRef,
};
pub use policy_at::{PolicyAt, RuleAt};
pub use service::ServiceError;
pub use settings::{
    AllowTarget, CONFIG_PATH, Enforcement, InvalidPackets, LogLimit, LogLimitError, NodeSettings, Refusal,
    UnknownPods,
};
pub use waiver::{Covered, Waiver};
pub use workload::{Controller, Owner, Workload, WorkloadRef};
pub use workload_kind::WorkloadKind;
