//! What the API server would have done with the manifests: refuse what is invalid, fill in what is absent.
//!
//! Rules are those of kubernetes `pkg/apis/networking/validation` and apimachinery; defaults those of
//! `pkg/apis/networking/v1/defaults.go`. Every problem is found in one pass.

mod cidr;
mod label;
mod name;
mod node;
mod pod;
mod policy;
mod selector;

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::labels::Labels;
use super::model::{Cluster, Namespace, Node, Os, PodId};
use super::{LabelKey, NamespaceName, NodeSettings};
use crate::diagnostic::{Code, Diagnostic, Findings, Place};
use crate::manifest::{FieldPath, Manifests, ObjectRef};
use crate::source::Sources;

/// The label that the API server sets on every namespace, whatever the manifest says.
const METADATA_NAME: &str = "kubernetes.io/metadata.name";

/// Builds the cluster. Where there are errors it is incomplete and must not be compiled.
#[must_use]
pub fn admit(manifests: &Manifests, sources: &Sources) -> (Cluster, Findings) {
    let mut findings = Findings::default();
    let mut cluster = Cluster::default();
    admit_namespaces(manifests, sources, &mut cluster, &mut findings);
    admit_nodes(manifests, sources, &mut cluster, &mut findings);
    admit_pods(manifests, sources, &mut cluster, &mut findings);
    admit_policies(manifests, sources, &mut cluster, &mut findings);
    (cluster, findings)
}

/// One object under admission: where it stands, and where its findings go.
struct Scope<'a> {
    sources: &'a Sources,
    at: ObjectRef,
    findings: &'a mut Findings,
}

impl Scope<'_> {
    fn report(&mut self, code: Code, path: &FieldPath, message: impl Into<String>) {
        let place = self.at.place(self.sources, path);
        self.findings.push(Diagnostic::new(code, Some(place), message));
    }

    fn report_with_help(
        &mut self,
        code: Code,
        path: &FieldPath,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let place = self.at.place(self.sources, path);
        self.findings.push(Diagnostic::new(code, Some(place), message).help(help));
    }
}

/// Objects of one kind by name, each name once.
struct Seen<K>(BTreeMap<K, ObjectRef>);

impl<K: Ord> Seen<K> {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether this is the first object of its name; a second one is an error that names the first one's place.
    fn is_first(&mut self, scope: &mut Scope<'_>, key: K, what: impl FnOnce() -> String) -> bool {
        let path = FieldPath::root().key("metadata").key("name");
        if let Some(first) = self.0.get(&key) {
            let first: Place = first.place(scope.sources, &path);
            let help = format!("the first one is at {first}; remove one of them");
            scope.report_with_help(
                Code::DuplicateObject,
                &path,
                format!("there are two of {}", what()),
                help,
            );
            return false;
        }
        self.0.insert(key, scope.at);
        true
    }
}

fn namespace_labels(name: &NamespaceName, labels: Labels) -> Labels {
    let mut all: BTreeMap<LabelKey, String> = labels.iter().map(|(k, v)| (k.clone(), v.to_owned())).collect();
    all.insert(LabelKey::admitted(METADATA_NAME), name.to_string());
    Labels::new(all)
}

fn admit_namespaces(
    manifests: &Manifests,
    sources: &Sources,
    cluster: &mut Cluster,
    findings: &mut Findings,
) {
    let mut seen = Seen::new();
    for manifest in &manifests.namespaces {
        let mut scope = Scope { sources, at: manifest.at, findings };
        let meta = &manifest.object.metadata;
        let name = name::dns_label(&mut scope, "namespace", meta).map(NamespaceName::admitted);
        let labels = label::labels(&mut scope, meta.labels.as_ref());
        let Some(name) = name else { continue };
        if seen.is_first(&mut scope, name.clone(), || format!("namespace {name}")) {
            let labels = namespace_labels(&name, labels);
            cluster.namespaces.insert(name.clone(), Namespace { name, labels });
        }
    }
}

/// A namespace that only its pods and policies speak of exists all the same, with the one label that all have.
fn imply_namespace(cluster: &mut Cluster, name: &NamespaceName) {
    if !cluster.namespaces.contains_key(name) {
        let labels = namespace_labels(name, Labels::default());
        cluster.namespaces.insert(name.clone(), Namespace { name: name.clone(), labels });
    }
}

fn admit_nodes(manifests: &Manifests, sources: &Sources, cluster: &mut Cluster, findings: &mut Findings) {
    let mut seen = Seen::new();
    let mut owners: BTreeMap<IpAddr, String> = BTreeMap::new();
    for manifest in &manifests.nodes {
        let mut scope = Scope { sources, at: manifest.at, findings };
        let Some(node) = node::admit(&mut scope, &manifest.object) else { continue };
        if !seen.is_first(&mut scope, node.name.clone(), || format!("node {}", node.name)) {
            continue;
        }
        for address in &node.addresses {
            if let Some(other) = owners.insert(*address, format!("node {}", node.name)) {
                let path = FieldPath::root().key("status").key("addresses");
                let message = format!("{address} is the address of node {} and of {other}", node.name);
                scope.report(Code::DuplicateAddress, &path, message);
            }
        }
        cluster.nodes.insert(node.name.clone(), node);
    }
}

fn admit_pods(manifests: &Manifests, sources: &Sources, cluster: &mut Cluster, findings: &mut Findings) {
    let mut seen = Seen::new();
    for manifest in &manifests.pods {
        let mut scope = Scope { sources, at: manifest.at, findings };
        let Some(pod) = pod::admit(&mut scope, &manifest.object) else { continue };
        if !seen.is_first(&mut scope, pod.pod_ref(), || format!("pod {}", pod.pod_ref())) {
            continue;
        }
        imply_namespace(cluster, &pod.namespace);
        if let Some(node) = &pod.node
            && !cluster.nodes.contains_key(node)
        {
            let path = FieldPath::root().key("spec").key("nodeName");
            let message =
                format!("no Node manifest describes {node}; it gets a snapshot, its own address is unknown");
            scope.report(Code::UnknownNode, &path, message);
            let implied = Node {
                name: node.clone(),
                addresses: Vec::new(),
                pod_cidrs: Vec::new(),
                os: Os::Linux,
                settings: NodeSettings::default(),
            };
            cluster.nodes.insert(node.clone(), implied);
        }
        cluster.pods.push(pod);
    }
    cluster.pods.sort_by_cached_key(super::Pod::pod_ref);
    let node_addresses: BTreeMap<IpAddr, &Node> =
        cluster.nodes.values().flat_map(|node| node.addresses.iter().map(move |a| (*a, node))).collect();
    for (index, pod) in (0u32..).zip(&cluster.pods) {
        for address in pod.addresses.iter() {
            let other = match cluster.owners.insert(address, PodId(index)) {
                Some(other) => format!("pod {}", cluster.pods[other.0 as usize].pod_ref()),
                None => match node_addresses.get(&address) {
                    Some(node) => format!("node {}", node.name),
                    None => continue,
                },
            };
            let mut scope = Scope { sources, at: pod.at, findings };
            let path = FieldPath::root().key("status").key("podIP");
            let message = format!("{address} is the address of pod {} and of {other}", pod.pod_ref());
            let help = "a finished pod has phase Succeeded or Failed; a pod on its node's network has hostNetwork: true";
            scope.report_with_help(Code::DuplicateAddress, &path, message, help);
        }
    }
}

fn admit_policies(manifests: &Manifests, sources: &Sources, cluster: &mut Cluster, findings: &mut Findings) {
    let mut seen = Seen::new();
    for manifest in &manifests.policies {
        let mut scope = Scope { sources, at: manifest.at, findings };
        let Some(policy) = policy::admit(&mut scope, &manifest.object) else { continue };
        if seen.is_first(&mut scope, policy.policy_ref(), || format!("policy {}", policy.policy_ref())) {
            imply_namespace(cluster, &policy.namespace);
            cluster.policies.push(policy);
        }
    }
    cluster.policies.sort_by_cached_key(super::Policy::policy_ref);
}
