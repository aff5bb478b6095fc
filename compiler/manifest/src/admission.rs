//! What the API server would have done with the manifests: refuse what is invalid, fill in what is absent.
//!
//! Rules are those of kubernetes `pkg/apis/networking/validation` and apimachinery; defaults those of
//! `pkg/apis/networking/v1/defaults.go`. Every problem is found in one pass.

mod annotation;
mod cidr;
mod claims;
mod label;
mod name;
mod node;
mod pod;
mod pods;
mod policy;
mod ports;
mod selector;
mod versions;
mod workload;
mod written;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chainmail_findings::{Code, Diagnostic, FieldPath, Findings, ObjectRef, Place, Places};
use chainmail_model::{Cluster, Namespace, NamespaceName, Node};

use crate as manifest;
use crate::Manifests;
use crate::source::Sources;

use claims::NodeAddresses;

/// Builds the cluster. Where there are errors it is incomplete and must not be compiled.
#[must_use]
pub fn admit(manifests: &Manifests, sources: &Sources) -> (Cluster, Findings) {
    let mut findings = Findings::default();
    let mut cluster = Cluster::default();
    admit_namespaces(manifests, sources, &mut cluster, &mut findings);
    let nodes = admit_nodes(manifests, sources, &mut cluster, &mut findings);
    pods::admit_all(manifests, &nodes, sources, &mut cluster, &mut findings);
    admit_policies(manifests, sources, &mut cluster, &mut findings);
    admit_workloads(manifests, sources, &mut cluster, &mut findings);
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
        let place = self.sources.place(self.at, path);
        self.findings.push(Diagnostic::new(code, Some(place), message));
    }

    fn report_with_help(
        &mut self,
        code: Code,
        path: &FieldPath,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let place = self.sources.place(self.at, path);
        self.findings.push(Diagnostic::new(code, Some(place), message).help(help));
    }

    /// As [`Self::report_with_help`], at the key that ends the path.
    fn report_key(
        &mut self,
        code: Code,
        path: &FieldPath,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let place = self.sources.key_place(self.at, path);
        self.findings.push(Diagnostic::new(code, Some(place), message).help(help));
    }
}

/// Objects of one kind by name, each name once.
struct Seen<K>(BTreeMap<K, ObjectRef>);

impl<K: Ord> Seen<K> {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Notes an object; answers where the first of its name is, if this one is not.
    fn first(&mut self, scope: &Scope<'_>, key: K) -> Option<ObjectRef> {
        match self.0.entry(key) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(none) => {
                none.insert(scope.at);
                None
            }
        }
    }
}

fn name_path() -> FieldPath {
    FieldPath::root().key("metadata").key("name")
}

fn report_duplicate(scope: &mut Scope<'_>, first: ObjectRef, what: &str) {
    let first = scope.sources.place(first, &name_path());
    let help = format!("the first one is at {first}; remove one of them");
    scope.report_with_help(Code::DuplicateObject, &name_path(), format!("there are two of {what}"), help);
}

/// A second namespace or node of one name. A live one beside the reviewed one is what a cluster looks like; where they
/// differ, what was reviewed holds.
fn second_of(scope: &mut Scope<'_>, first: ObjectRef, what: &str, is_same: bool) {
    let live = scope.sources.is_live(scope.at);
    if live && is_same {
        return;
    }
    if live && !scope.sources.is_live(first) {
        let first: Place = scope.sources.place(first, &name_path());
        let message = format!("the live {what} is not as reviewed; what was reviewed holds");
        let help = format!("the reviewed one is at {first}");
        scope.report_with_help(Code::InventoryConflict, &name_path(), message, help);
    } else if live {
        let first: Place = scope.sources.place(first, &name_path());
        let message = format!("the live {what} is not the one at {first}, which holds");
        scope.report_with_help(
            Code::InventoryConflict,
            &name_path(),
            message,
            "take an inventory at one moment",
        );
    } else {
        report_duplicate(scope, first, what);
    }
}

fn admit_namespaces(
    manifests: &Manifests,
    sources: &Sources,
    cluster: &mut Cluster,
    findings: &mut Findings,
) {
    let mut seen = Seen::new();
    for manifest in &manifests.namespaces {
        let meta = &manifest.object.metadata;
        let admitted =
            admit_one(manifest.at, manifest::LIVE_NAMESPACE_LEFT_OUT, sources, findings, |scope| {
                let name = name::dns_label(scope, "namespace", meta).map(NamespaceName::admitted);
                let labels = label::labels(scope, meta.labels.as_ref());
                name.map(|name| (name, labels))
            });
        let Some((name, labels)) = admitted else { continue };
        let labels = labels.of_namespace(&name);
        let mut scope = Scope { sources, at: manifest.at, findings };
        match seen.first(&scope, name.clone()) {
            None => {
                cluster.add_namespace(Namespace { name, labels, at: Some(manifest.at) });
            }
            Some(first) => {
                let is_same = cluster.namespace(&name).is_some_and(|other| other.labels == labels);
                second_of(&mut scope, first, &format!("namespace {name}"), is_same);
            }
        }
    }
}

/// Admits the nodes; answers whose their own addresses are.
fn admit_nodes(
    manifests: &Manifests,
    sources: &Sources,
    cluster: &mut Cluster,
    findings: &mut Findings,
) -> NodeAddresses {
    let mut seen = Seen::new();
    let mut owners = NodeAddresses::new();
    for manifest in &manifests.nodes {
        let admit = |scope: &mut Scope<'_>| node::admit(scope, &manifest.object);
        let Some(node) = admit_one(manifest.at, manifest::LIVE_NODE_LEFT_OUT, sources, findings, admit)
        else {
            continue;
        };
        let mut scope = Scope { sources, at: manifest.at, findings };
        if let Some(first) = seen.first(&scope, node.name.clone()) {
            let facts = |node: &Node| (node.addresses.clone(), node.pod_cidrs.clone(), node.os);
            let is_same = cluster.node(&node.name).map(facts) == Some(facts(&node));
            second_of(&mut scope, first, &format!("node {}", node.name), is_same);
            continue;
        }
        for address in &node.addresses {
            let owner = (node.name.to_string(), manifest.at);
            if let Some((other, at)) = owners.insert(*address, owner) {
                let path = FieldPath::root().key("status").key("addresses");
                let message = format!("{address} is the address of node {} and of node {other}", node.name);
                let live = sources.is_live(manifest.at) || sources.is_live(at);
                let code = if live { Code::InventoryConflict } else { Code::DuplicateAddress };
                scope.report(code, &path, message);
            }
        }
        cluster.add_node(node);
    }
    owners
}

/// Admits an object. A live one that the API server would not have admitted is unknown; a reviewed one is an error.
fn admit_one<T>(
    at: ObjectRef,
    consequence: &str,
    sources: &Sources,
    findings: &mut Findings,
    admit: impl FnOnce(&mut Scope<'_>) -> Option<T>,
) -> Option<T> {
    if !sources.is_live(at) {
        return admit(&mut Scope { sources, at, findings });
    }
    let mut own = Findings::default();
    let admitted = admit(&mut Scope { sources, at, findings: &mut own });
    let is_valid = !own.has_errors();
    findings.extend(own.leaving_out(consequence));
    admitted.filter(|_| is_valid)
}

fn admit_policies(manifests: &Manifests, sources: &Sources, cluster: &mut Cluster, findings: &mut Findings) {
    let mut seen = Seen::new();
    let mut policies = Vec::new();
    for manifest in &manifests.policies {
        let mut scope = Scope { sources, at: manifest.at, findings };
        let Some(policy) = policy::admit(&mut scope, &manifest.object) else { continue };
        match seen.first(&scope, policy.policy_ref()) {
            None => {
                cluster.imply_namespace(policy.namespace.clone());
                policies.push(policy);
            }
            Some(first) => report_duplicate(&mut scope, first, &format!("policy {}", policy.policy_ref())),
        }
    }
    cluster.set_policies(policies);
}

/// Admits the workloads. They change no rule, so that what is wrong with one is a warning, and it takes no part. A live
/// one beside the reviewed one is what a cluster looks like.
fn admit_workloads(manifests: &Manifests, sources: &Sources, cluster: &mut Cluster, findings: &mut Findings) {
    let mut seen = Seen::new();
    for (kind, manifest) in &manifests.workloads {
        let mut own = Findings::default();
        let mut scope = Scope { sources, at: manifest.at, findings: &mut own };
        let workload = workload::admit(&mut scope, *kind, &manifest.object);
        if let Some(workload) = workload {
            let name = workload.workload.clone();
            match seen.first(&scope, name.clone()) {
                None if !scope.findings.has_errors() => cluster.add_workload(workload),
                Some(first) if !sources.is_live(scope.at) => {
                    report_duplicate(
                        &mut scope,
                        first,
                        &format!("{} {}/{}", name.kind, name.namespace, name.name),
                    );
                }
                Some(_) | None => {}
            }
        }
        findings.extend(own.leaving_out(manifest::WORKLOAD_LEFT_OUT));
    }
}
