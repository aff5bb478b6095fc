//! All pods: what objects say of each name put together, and the nodes and namespaces that only they speak of.

use chainmail_findings::{Code, FieldPath, Findings};
use chainmail_model::{Cluster, Node, NodeSettings, Os, Pod, PodState};

use super::claims::{self, NodeAddresses};
use super::versions::{Lifecycle, Says, Version, put_together};
use super::{Scope, admit_one, pod};
use crate as manifest;
use crate::Manifests;
use crate::source::Sources;

/// Admits the pods, and makes the nodes that only they speak of.
pub(super) fn admit_all(
    manifests: &Manifests,
    nodes: &NodeAddresses,
    sources: &Sources,
    cluster: &mut Cluster,
    findings: &mut Findings,
) {
    let mut pods: Vec<Version> = Vec::with_capacity(manifests.pods.len());
    let mut every_node_is_known = true;
    for manifest in &manifests.pods {
        let admit = |scope: &mut Scope<'_>| pod::admit(scope, &manifest.object);
        let Some(mut pod) = admit_one(manifest.at, manifest::LIVE_POD_LEFT_OUT, sources, findings, admit)
        else {
            continue;
        };
        // A name that many pods have is kept once, which makes it cheap to compare and to drop.
        pod.namespace = cluster.imply_namespace(pod.namespace);
        if let Some(node) = &mut pod.node {
            match cluster.node(node) {
                Some(known) => *node = known.name.clone(),
                None => every_node_is_known = false,
            }
        }
        let says = if pod::says_an_address(&manifest.object) { Says::Address } else { Says::Nothing };
        pods.push(Version { pod, lifecycle: Lifecycle::of(manifest, sources), says });
    }
    let name = |version: &Version| (version.pod.namespace.clone(), version.pod.name.clone());
    let by_name = |one: &Version, other: &Version| {
        (&one.pod.namespace, &one.pod.name).cmp(&(&other.pod.namespace, &other.pod.name))
    };
    // Lists of a hundred thousand are mostly in that order already. A stable sort: the reviewed pod of a name stays first.
    pods.sort_by(by_name);
    let mut versions: Vec<Version> = Vec::with_capacity(pods.len());
    let mut several = Vec::new();
    let mut pods = pods.into_iter().peekable();
    while let Some(first) = pods.next() {
        let is_second = |next: &Version| by_name(&first, next).is_eq();
        if !pods.peek().is_some_and(is_second) {
            versions.push(first);
            continue;
        }
        let name = name(&first);
        let others = std::iter::from_fn(|| {
            pods.next_if(|next| (&next.pod.namespace, &next.pod.name) == (&name.0, &name.1))
        });
        let start = versions.len();
        versions.extend(put_together(first, others, sources, findings));
        if versions.len() > start + 1 {
            several.push(start..versions.len());
        }
    }
    for Version { pod, says, .. } in &versions {
        if pod.state == PodState::NoAddress && *says == Says::Nothing {
            let message = format!("pod {} has no status.podIP; no rule can name it", pod.pod_ref());
            let mut scope = Scope { sources, at: pod.at, findings };
            scope.report(Code::NoAddress, &FieldPath::root().key("status"), message);
        }
    }
    if !every_node_is_known {
        for Version { pod, .. } in &versions {
            imply_node(&mut Scope { sources, at: pod.at, findings }, cluster, pod);
        }
    }
    claims::settle(cluster, versions, &several, manifests, nodes, sources, findings);
}

/// A node that only its pods speak of runs them all the same.
fn imply_node(scope: &mut Scope<'_>, cluster: &mut Cluster, pod: &Pod) {
    let Some(name) = pod.node.as_ref().filter(|name| cluster.node(name).is_none()) else { return };
    let path = FieldPath::root().key("spec").key("nodeName");
    let message =
        format!("no Node manifest describes {name}; it gets a snapshot, its own address is unknown");
    scope.report(Code::UnknownNode, &path, message);
    let implied = Node {
        name: name.clone(),
        addresses: Vec::new(),
        pod_cidrs: Vec::new(),
        os: Os::Linux,
        settings: NodeSettings::default(),
    };
    cluster.add_node(implied);
}
