//! How much of the manifests differs.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_model::{Cluster, Labels, Node, Pod, Policy, Workload, WorkloadRef};

use super::{Manifests, SourceCounts};

impl SourceCounts {
    /// Counts what differs, comes or goes.
    pub(super) fn of(base: &Manifests<'_>, head: &Manifests<'_>) -> Self {
        Self {
            files: differing(&base.files, &head.files, |a, b| a == b),
            policies: differing(&policies(base.cluster), &policies(head.cluster), |a, b| {
                a.subject == b.subject && a.ingress == b.ingress && a.egress == b.egress
            }),
            namespaces: differing(&namespaces(base.cluster), &namespaces(head.cluster), |a, b| a == b),
            pods: differing(&pods(base.cluster), &pods(head.cluster), same_pod),
            workloads: differing(&workloads(base.cluster), &workloads(head.cluster), |a, b| {
                a.labels == b.labels && a.ports == b.ports && a.state == b.state
            }),
            nodes: differing(&nodes(base.cluster), &nodes(head.cluster), same_node),
        }
    }
}

fn differing<K: Ord, V>(
    base: &BTreeMap<K, V>,
    head: &BTreeMap<K, V>,
    same: impl Fn(&V, &V) -> bool,
) -> usize {
    let names: BTreeSet<&K> = base.keys().chain(head.keys()).collect();
    let is_same = |name: &K| match (base.get(name), head.get(name)) {
        (Some(old), Some(new)) => same(old, new),
        (None, _) | (_, None) => false,
    };
    names.into_iter().filter(|name| !is_same(name)).count()
}

fn policies(cluster: &Cluster) -> BTreeMap<(&str, &str), &Policy> {
    let policies = cluster.policies().iter();
    policies.map(|policy| ((policy.namespace.as_str(), policy.name.as_str()), policy)).collect()
}

fn namespaces(cluster: &Cluster) -> BTreeMap<&str, &Labels> {
    cluster.namespaces().map(|namespace| (namespace.name.as_str(), &namespace.labels)).collect()
}

fn pods(cluster: &Cluster) -> BTreeMap<(&str, &str), &Pod> {
    cluster.pods().map(|(_, pod)| ((pod.namespace.as_str(), pod.name.as_str()), pod)).collect()
}

fn workloads(cluster: &Cluster) -> BTreeMap<&WorkloadRef, &Workload> {
    cluster.workloads().map(|workload| (&workload.workload, workload)).collect()
}

fn nodes(cluster: &Cluster) -> BTreeMap<&str, &Node> {
    cluster.nodes().map(|node| (node.name.as_str(), node)).collect()
}

fn same_pod(old: &&Pod, new: &&Pod) -> bool {
    old.labels == new.labels
        && old.node == new.node
        && old.addresses == new.addresses
        && old.ports == new.ports
        && old.state == new.state
}

fn same_node(old: &&Node, new: &&Node) -> bool {
    old.addresses == new.addresses
        && old.pod_cidrs == new.pod_cidrs
        && old.os == new.os
        && old.settings == new.settings
}
