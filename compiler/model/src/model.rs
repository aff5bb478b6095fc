//! The indexed model.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chainmail_contract::{NodeName, Transport};
use chainmail_findings::ObjectRef;
use ipnet::IpNet;

use super::holders::{Contested, Holder, HolderId};
use super::workload::{Controller, Workload, WorkloadRef};
use super::{Addresses, Labels, NamespaceName, NodeSettings, PodName, PodRef, Policy, PortName};

/// A pod's place among the cluster's pods, which are in order of namespace and name. Two have one name where live facts
/// contradict the reviewed ones, or each other: then each is what one object says of the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodId(pub u32);

/// A namespace.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// Its name.
    pub name: NamespaceName,
    /// Its labels, `kubernetes.io/metadata.name` among them.
    pub labels: Labels,
    /// Where it stands; nothing where only its pods and policies speak of it.
    pub at: Option<ObjectRef>,
}

/// A port that a container names or declares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerPort {
    /// Its name, if it has one.
    pub name: Option<PortName>,
    /// Its protocol.
    pub protocol: Transport,
    /// Its number.
    pub number: u16,
}

/// Whether a pod is an end of traffic of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodState {
    /// It has addresses of its own.
    Endpoint,
    /// As an endpoint, but no manifest has it: its workload will, and its addresses are assumed.
    Assumed,
    /// It has its node's network: never selected, never a peer.
    HostNetwork,
    /// Succeeded or Failed: its address may be another pod's by now.
    Finished,
    /// It has no address yet, or is being deleted and has left it to another.
    NoAddress,
}

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its namespace.
    pub namespace: NamespaceName,
    /// Its name.
    pub name: PodName,
    /// Its labels.
    pub labels: Labels,
    /// The node that runs it.
    pub node: Option<NodeName>,
    /// The addresses that it claims, where it is an endpoint; others may claim them too ([`Cluster::holder_of`]).
    pub addresses: Addresses,
    /// Its containers' ports.
    pub ports: Vec<ContainerPort>,
    /// Whether policies see it.
    pub state: PodState,
    /// What made it.
    pub controller: Option<Controller>,
    /// Where it stands.
    pub at: ObjectRef,
}

impl Pod {
    /// Namespace and name.
    #[must_use]
    pub fn pod_ref(&self) -> PodRef {
        PodRef { namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// Whether selectors may select it and rules name its addresses.
    #[must_use]
    pub fn is_endpoint(&self) -> bool {
        matches!(self.state, PodState::Endpoint | PodState::Assumed)
    }

    /// The numbers of the ports of a name and protocol. Two containers may give one name to two numbers, which the API
    /// leaves undefined: then both are meant, since each was declared under that name.
    pub fn named_ports<'a>(
        &'a self,
        protocol: Transport,
        name: &'a PortName,
    ) -> impl Iterator<Item = u16> + 'a {
        let has_name =
            move |port: &&ContainerPort| port.protocol == protocol && port.name.as_ref() == Some(name);
        self.ports.iter().filter(has_name).map(|port| port.number)
    }
}

/// What runs on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Os {
    /// Linux, or nothing said.
    Linux,
    /// Labelled `kubernetes.io/os: windows`: it gets no snapshot.
    Windows,
}

/// A node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// The networks of its pods.
    pub pod_cidrs: Vec<IpNet>,
    /// Its system.
    pub os: Os,
    /// What of the configuration holds for it.
    pub settings: NodeSettings,
}

/// Whose an address is.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// One pod's.
    Pod(PodId, &'a Pod),
    /// A node's own.
    Node(&'a Node),
    /// Claimed by several.
    Contested(&'a Contested),
    /// Nobody's that the manifests know.
    Unknown,
}

/// The whole cluster.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    pub(super) namespaces: BTreeMap<NamespaceName, Namespace>,
    pub(super) pods: Vec<Pod>,
    pub(super) nodes: BTreeMap<NodeName, Node>,
    pub(super) policies: Vec<Policy>,
    pub(super) workloads: BTreeMap<WorkloadRef, Workload>,
    /// The holder of each address that a pod claims.
    pub(super) holders: BTreeMap<IpAddr, HolderId>,
    /// The addresses that several claim, in order.
    pub(super) contested: Vec<Contested>,
}

impl Cluster {
    /// The namespaces, in order of names.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.namespaces.values()
    }

    /// A namespace.
    #[must_use]
    pub fn namespace(&self, name: &NamespaceName) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// All pods with their ids, in order of namespace and name.
    pub fn pods(&self) -> impl Iterator<Item = (PodId, &Pod)> {
        (0u32..).map(PodId).zip(&self.pods)
    }

    /// A pod.
    #[must_use]
    pub fn pod(&self, id: PodId) -> &Pod {
        &self.pods[id.0 as usize]
    }

    /// The pod of a namespace and name; where several objects say what it is, the first.
    #[must_use]
    pub fn find_pod(&self, namespace: &str, name: &str) -> Option<(PodId, &Pod)> {
        self.pods_named(namespace, name).next()
    }

    /// What objects say of the pod of a namespace and name: one thing, unless they contradict each other.
    pub fn pods_named(&self, namespace: &str, name: &str) -> impl Iterator<Item = (PodId, &Pod)> + use<'_> {
        let key = |pod: &Pod| (pod.namespace.as_str(), pod.name.as_str()).cmp(&(namespace, name));
        let first = self.pods.partition_point(|pod| key(pod).is_lt());
        let count = self.pods[first..].partition_point(|pod| key(pod).is_eq());
        let ids = (u32::try_from(first).expect("ids are 32 bits")..).map(PodId);
        ids.zip(&self.pods[first..first + count])
    }

    /// The nodes, in order of names.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The nodes whose rules are ours to make, in order of names.
    pub fn linux_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes().filter(|node| node.os == Os::Linux)
    }

    /// A node.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// The policies, in order of namespace and name.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Sets what of the configuration holds for a node.
    pub fn configure(&mut self, node: &NodeName, settings: NodeSettings) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.settings = settings;
        }
    }

    /// Whose an address is.
    #[must_use]
    pub fn whose(&self, address: IpAddr) -> Whose<'_> {
        match self.holder_of(address).map(|id| self.holder(id)) {
            Some(Holder::Pod(id, pod)) => return Whose::Pod(id, pod),
            Some(Holder::Contested(contested)) => return Whose::Contested(contested),
            None => {}
        }
        let node = self.nodes.values().find(|node| node.addresses.contains(&address));
        node.map_or(Whose::Unknown, Whose::Node)
    }
}
