//! Whose each address is. An address that two would have is an error of the reviewed files; where a live object is one
//! of the two, the address may be passing from one to the other just now, and is nobody's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Scope;
use super::pod::address_path;
use crate::cluster::model::{Cluster, Pod, PodId, PodState};
use crate::diagnostic::{Code, Findings};
use crate::manifest::{FieldPath, Manifests, ObjectRef};
use crate::source::Sources;

/// A node's own address: which node's, and where that node stands.
pub(super) type NodeAddresses = BTreeMap<IpAddr, (String, ObjectRef)>;

/// Finds the owner of each address of the cluster's pods. Those of `unsure` are nobody's from the start.
pub(super) fn settle(
    cluster: &mut Cluster,
    manifests: &Manifests,
    nodes: &NodeAddresses,
    mut unsure: BTreeSet<IpAddr>,
    sources: &Sources,
    findings: &mut Findings,
) {
    let mut is_also = |address: IpAddr, pod: &Pod, other: &str, other_at: ObjectRef| {
        let live = pod.at.is_live(sources) || other_at.is_live(sources);
        let mut scope = Scope { sources, at: pod.at, findings };
        let written = manifests.pods.iter().find(|manifest| manifest.at == pod.at);
        let path = written.map_or_else(FieldPath::root, |manifest| address_path(&manifest.object, address));
        let message = format!("{address} is the address of pod {} and of {other}", pod.pod_ref());
        if live {
            let place = other_at.place(sources, &FieldPath::root());
            let help = format!(
                "no rule names it until one of them has gone; the other is at {}:{}",
                place.file, place.line
            );
            scope.report_with_help(Code::InventoryConflict, &path, message, help);
            unsure.insert(address);
        } else {
            let help = "a finished pod has phase Succeeded or Failed; a pod on its node's network has hostNetwork: true";
            scope.report_with_help(Code::DuplicateAddress, &path, message, help);
        }
    };
    let claims = cluster.pods().flat_map(|(id, pod)| pod.addresses.iter().map(move |address| (address, id)));
    let mut claims: Vec<(IpAddr, PodId)> = claims.collect();
    claims.sort_unstable();
    let mut owners = Vec::with_capacity(claims.len());
    for claims in claims.chunk_by(|(one, _), (other, _)| one == other) {
        let [(address, owner), others @ ..] = claims else { continue };
        owners.push((*address, *owner));
        let owner = cluster.pod(*owner);
        if let Some((node, at)) = nodes.get(address) {
            is_also(*address, owner, &format!("node {node}"), *at);
        }
        for (_, other) in others {
            is_also(*address, cluster.pod(*other), &format!("pod {}", owner.pod_ref()), owner.at);
        }
    }
    cluster.owners = owners.into_iter().collect();
    forget(cluster, &unsure);
}

/// Takes addresses from whoever has them.
fn forget(cluster: &mut Cluster, addresses: &BTreeSet<IpAddr>) {
    if addresses.is_empty() {
        return;
    }
    cluster.owners.retain(|address, _| !addresses.contains(address));
    for pod in &mut cluster.pods {
        for address in pod.addresses.iter().filter(|address| addresses.contains(address)) {
            pod.addresses = pod.addresses.without(address);
            if pod.addresses.is_empty() {
                pod.state = PodState::NoAddress;
            }
        }
    }
}
