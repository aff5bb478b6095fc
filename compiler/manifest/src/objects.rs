//! The objects of the sources, by kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use chainmail_findings::{FileId, Findings, ObjectRef};
use chainmail_model::WorkloadKind;
use serde::{Deserialize, Serialize};

use super::{FlowTest, Namespace, NetworkPolicy, Node, Pod, Workload};

/// An object with its place. A copy shares the object: a cache, and an inventory that is kept, give the same ones again
/// and again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Located<T> {
    /// What was read.
    pub object: Arc<T>,
    /// Where it stands.
    pub at: ObjectRef,
}

/// How the name of a file ends that holds nothing but expected flows.
pub const FLOW_FILE: &str = ".flows.yaml";
/// What becomes of a live pod that is not as the API has pods.
pub(crate) const LIVE_POD_LEFT_OUT: &str = "the pod is left out: its address is unknown";
/// What becomes of a live namespace that is not as the API has them.
pub(crate) const LIVE_NAMESPACE_LEFT_OUT: &str = "the namespace is left out: its labels are unknown";
/// What becomes of a live node that is not as the API has them.
pub(crate) const LIVE_NODE_LEFT_OUT: &str = "the node is left out: its addresses are unknown";
/// What becomes of a workload that is not as the API has them.
pub(crate) const WORKLOAD_LEFT_OUT: &str = "the workload takes no part in review";

/// All objects of the kinds that are used, in order of files and documents; those of inventories come last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Manifests {
    /// v1 Namespaces.
    pub namespaces: Vec<Located<Namespace>>,
    /// v1 Pods.
    pub pods: Vec<Located<Pod>>,
    /// v1 Nodes.
    pub nodes: Vec<Located<Node>>,
    /// networking.k8s.io/v1 NetworkPolicies.
    pub policies: Vec<Located<NetworkPolicy>>,
    /// Workloads of apps/v1 and batch/v1, with their kinds.
    pub workloads: Vec<(WorkloadKind, Located<Workload>)>,
    /// Expected flows.
    pub flow_tests: Vec<Located<FlowTest>>,
    /// What is wrong with those, which is of no concern to whoever only wants the rules.
    #[serde(skip)]
    pub flow_findings: Findings,
    /// Objects of other kinds, counted by kind.
    pub others: BTreeMap<String, usize>,
    /// How many documents are no Kubernetes objects at all.
    pub not_objects: usize,
}

impl Manifests {
    pub(super) fn extend(&mut self, other: Manifests) {
        let Manifests {
            namespaces,
            pods,
            nodes,
            policies,
            workloads,
            flow_tests,
            flow_findings,
            others,
            not_objects,
        } = other;
        self.namespaces.extend(namespaces);
        self.pods.extend(pods);
        self.nodes.extend(nodes);
        self.policies.extend(policies);
        self.workloads.extend(workloads);
        self.flow_tests.extend(flow_tests);
        self.flow_findings.extend(flow_findings);
        for (kind, count) in others {
            *self.others.entry(kind).or_default() += count;
        }
        self.not_objects += not_objects;
    }

    /// The same objects, in another file that holds the same.
    pub(super) fn in_file(mut self, file: FileId) -> Self {
        fn relocate<T>(objects: &mut [Located<T>], file: FileId) {
            objects.iter_mut().for_each(|object| object.at.file = file);
        }
        let Manifests {
            namespaces,
            pods,
            nodes,
            policies,
            workloads,
            flow_tests,
            flow_findings: _,
            others: _,
            not_objects: _,
        } = &mut self;
        relocate(namespaces, file);
        relocate(pods, file);
        relocate(nodes, file);
        relocate(policies, file);
        relocate(flow_tests, file);
        workloads.iter_mut().for_each(|(_, object)| object.at.file = file);
        self
    }
}
