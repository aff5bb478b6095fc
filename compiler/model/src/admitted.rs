//! How admission puts a cluster together. Nothing is checked here: admission has found what it adds valid.

use std::net::IpAddr;

use super::holders::{Contested, Doubt, HolderId};
use super::model::{Cluster, Namespace, Node, Pod, PodId, PodState};
use super::{LabelKey, Labels, NamespaceName, Policy, Workload};

/// The label that the API server sets on every namespace, whatever the manifest says.
const METADATA_NAME: &str = "kubernetes.io/metadata.name";

impl Cluster {
    /// Adds a namespace, in place of one of its name.
    pub fn add_namespace(&mut self, namespace: Namespace) {
        self.namespaces.insert(namespace.name.clone(), namespace);
    }

    /// Adds a namespace that only its pods and policies speak of, unless it is there: it exists all the same, with the one
    /// label that all have. Answers its name as the cluster has it, in one place of memory for all that are in it.
    pub fn imply_namespace(&mut self, name: NamespaceName) -> NamespaceName {
        if let Some(known) = self.namespace(&name) {
            return known.name.clone();
        }
        let labels = Labels::default().of_namespace(&name);
        self.add_namespace(Namespace { name: name.clone(), labels, at: None });
        name
    }

    /// Adds a node, in place of one of its name.
    pub fn add_node(&mut self, node: Node) {
        self.nodes.insert(node.name.clone(), node);
    }

    /// Adds a workload, in place of one of its name and kind.
    pub fn add_workload(&mut self, workload: Workload) {
        self.workloads.insert(workload.workload.clone(), workload);
    }

    /// Takes the policies, in any order.
    pub fn set_policies(&mut self, mut policies: Vec<Policy>) {
        policies.sort_by_cached_key(Policy::policy_ref);
        self.policies = policies;
    }

    /// Takes the pods, in order of namespace and name.
    pub fn set_pods(&mut self, pods: Vec<Pod>) {
        self.pods = pods;
    }

    /// Takes the holder of each address that pods claim: those with one holder, and those that stay contested, in order
    /// of addresses, with the pods that claim them.
    pub fn set_holders(
        &mut self,
        held: Vec<(IpAddr, HolderId)>,
        contested: Vec<(IpAddr, Doubt, Vec<PodId>)>,
    ) {
        let contested = contested.into_iter();
        let contested = contested.map(|(address, doubt, pods)| Contested::new(self, address, doubt, pods));
        self.contested = contested.collect();
        let of_contested: Vec<_> =
            self.contested_holders().map(|(id, contested)| (contested.address, id)).collect();
        self.holders = held.into_iter().chain(of_contested).collect();
    }

    /// Takes from a pod an address that others hold.
    pub fn remove_address(&mut self, pod: PodId, address: IpAddr) {
        let pod = &mut self.pods[pod.0 as usize];
        pod.addresses = pod.addresses.without(address);
        if pod.addresses.is_empty() {
            pod.state = PodState::NoAddress;
        }
    }
}

impl Labels {
    /// The labels of a namespace, with the one that the API server sets.
    #[must_use]
    pub fn of_namespace(&self, name: &NamespaceName) -> Self {
        let written = self.iter().filter(|(key, _)| key.as_str() != METADATA_NAME);
        let written = written.map(|(key, value)| (key.clone(), value.to_owned()));
        Self::new(written.chain([(LabelKey::admitted(METADATA_NAME), name.to_string())]))
    }
}
