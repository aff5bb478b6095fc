//! All pods: each name once, and the nodes and namespaces that only they speak of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::owners::{self, NodeAddresses};
use super::{Scope, admit_one, imply_namespace, name_path, pod, report_duplicate};
use crate::cluster::NodeSettings;
use crate::cluster::model::{Cluster, Node, Os, Pod};
use crate::diagnostic::{Code, Findings};
use crate::manifest::{self, FieldPath, Manifests};
use crate::source::Sources;

/// Admits the pods, each name once, and makes the nodes that only they speak of.
pub(super) fn admit_all(
    manifests: &Manifests,
    nodes: &NodeAddresses,
    sources: &Sources,
    cluster: &mut Cluster,
    findings: &mut Findings,
) {
    let mut pods: Vec<Pod> = Vec::with_capacity(manifests.pods.len());
    let mut on_unknown_nodes = Vec::new();
    for manifest in &manifests.pods {
        let admit = |scope: &mut Scope<'_>| pod::admit(scope, &manifest.object);
        let Some(mut pod) = admit_one(manifest.at, manifest::LIVE_POD_LEFT_OUT, sources, findings, admit)
        else {
            continue;
        };
        // A name that many pods have is kept once, which makes it cheap to compare and to drop.
        pod.namespace = imply_namespace(cluster, pod.namespace);
        if let Some(node) = &mut pod.node {
            match cluster.nodes.get_key_value(node) {
                Some((known, _)) => *node = known.clone(),
                None => on_unknown_nodes.push(pods.len()),
            }
        }
        pods.push(pod);
    }
    let ByName { order, first_of } = ByName::of(&pods);
    let mut unsure = BTreeSet::new();
    for (second, first) in &first_of {
        let mut scope = Scope { sources, at: pods[*second].at, findings };
        unsure.extend(second_pod(&mut scope, &pods[*first], &pods[*second]));
    }
    for index in on_unknown_nodes.into_iter().filter(|index| !first_of.contains_key(index)) {
        let mut scope = Scope { sources, at: pods[index].at, findings };
        imply_node(&mut scope, cluster, &pods[index]);
    }
    let mut pods: Vec<Option<Pod>> = pods.into_iter().map(Some).collect();
    cluster.pods = order.into_iter().filter_map(|index| pods[index].take()).collect();
    owners::settle(cluster, manifests, nodes, unsure, sources, findings);
}

/// A node that only its pods speak of runs them all the same.
fn imply_node(scope: &mut Scope<'_>, cluster: &mut Cluster, pod: &Pod) {
    let Some(name) = pod.node.as_ref().filter(|name| !cluster.nodes.contains_key(*name)) else { return };
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
    cluster.nodes.insert(name.clone(), implied);
}

/// Pods by namespace and name: lists of a hundred thousand, mostly in that order already, are cheaper to sort than to look
/// up one by one.
struct ByName {
    /// The first pod of each name, in order of names.
    order: Vec<usize>,
    /// The other ones, and which is the first of their name.
    first_of: BTreeMap<usize, usize>,
}

impl ByName {
    fn of(pods: &[Pod]) -> Self {
        let name = |index: usize| (&pods[index].namespace, &pods[index].name);
        let mut order: Vec<usize> = (0..pods.len()).collect();
        // A stable sort: of one name, the first stays first.
        order.sort_by(|a, b| name(*a).cmp(&name(*b)));
        let mut first_of = BTreeMap::new();
        order.dedup_by(|second, first| {
            let is_second = name(*second) == name(*first);
            is_second.then(|| first_of.insert(*second, *first));
            is_second
        });
        Self { order, first_of }
    }
}

/// A second pod of one name; answers the addresses that are unsure for it.
fn second_pod(scope: &mut Scope<'_>, first: &Pod, second: &Pod) -> Vec<IpAddr> {
    let what = format!("pod {}", second.pod_ref());
    if !scope.at.is_live(scope.sources) {
        report_duplicate(scope, first.at, &what);
        return Vec::new();
    }
    let facts = |pod: &Pod| {
        let Pod { labels, node, addresses, ports, state, .. } = pod.clone();
        (labels, node, addresses, ports, state)
    };
    if facts(first) == facts(second) {
        return Vec::new();
    }
    let place = first.at.place(scope.sources, &name_path());
    let message = format!("the live {what} is not the one at {place}; no rule names the address of either");
    let help = "take the pod out of the repository, or correct it there";
    scope.report_with_help(Code::InventoryConflict, &name_path(), message, help);
    first.addresses.iter().chain(second.addresses.iter()).collect()
}
