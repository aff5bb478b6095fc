//! Pods.

use std::net::IpAddr;

use chainmail_contract::NodeName;
use chainmail_findings::{Code, FieldPath};
use chainmail_model::{Addresses, Pod, PodName, PodState};

use super::ports::ports;
use super::{Scope, cidr, label, name, workload};
use crate as manifest;

/// The pod, if its names are some.
pub(super) fn admit(scope: &mut Scope<'_>, pod: &manifest::Pod) -> Option<Pod> {
    let name = name::dns_subdomain(scope, "pod", &pod.metadata);
    let namespace = name::namespace(scope, &pod.metadata);
    let called = || match (&namespace, &name) {
        (Some(namespace), Some(name)) => format!("pod {namespace}/{name}"),
        _ => "the pod".to_owned(),
    };
    let labels = label::labels(scope, pod.metadata.labels.as_ref());
    let node = node_name(scope, pod);
    let ports = ports(scope, &FieldPath::root().key("spec"), &pod.spec);
    let phase = pod.status.phase.as_ref().map_or("", |text| text.0.as_str());
    let (state, addresses) = if pod.spec.host_network == Some(true) {
        (PodState::HostNetwork, Addresses::default())
    } else if matches!(phase, "Succeeded" | "Failed") {
        // Its address is free, and perhaps another pod's by now. A pod that is being deleted still counts.
        let message = format!("{} has finished; no rule names its address", called());
        scope.report(Code::FinishedPod, &FieldPath::root().key("status").key("phase"), message);
        (PodState::Finished, Addresses::default())
    } else {
        let addresses = addresses(scope, pod);
        let state = if addresses.is_empty() { PodState::NoAddress } else { PodState::Endpoint };
        (state, addresses)
    };
    let (namespace, name) = (namespace?, PodName::admitted(name?));
    let controller = workload::controller(&pod.metadata);
    Some(Pod { namespace, name, labels, node, addresses, ports, state, controller, at: scope.at })
}

/// Whether an address is written, also one that cannot be read.
pub(super) fn says_an_address(pod: &manifest::Pod) -> bool {
    let written = |text: &Option<manifest::Text>| text.as_ref().is_some_and(|text| !text.0.is_empty());
    written(&pod.status.pod_ip) || pod.status.pod_ips.iter().flatten().any(|entry| written(&entry.ip))
}

/// Where a pod says that it has an address.
pub(super) fn address_path(pod: &manifest::Pod, address: IpAddr) -> FieldPath {
    let status = FieldPath::root().key("status");
    let is_it =
        |entry: &manifest::PodIp| entry.ip.as_ref().and_then(|text| text.0.parse().ok()) == Some(address);
    match pod.status.pod_ips.iter().flatten().position(is_it) {
        Some(index) => status.key("podIPs").index(index).key("ip"),
        None => status.key("podIP"),
    }
}

fn node_name(scope: &mut Scope<'_>, pod: &manifest::Pod) -> Option<NodeName> {
    let text = pod.spec.node_name.as_ref().filter(|text| !text.0.is_empty())?;
    match text.0.parse() {
        Ok(name) => Some(name),
        Err(_) => {
            let path = FieldPath::root().key("spec").key("nodeName");
            scope.report(Code::BadName, &path, format!("{:?} cannot be the name of a node", text.0));
            None
        }
    }
}

/// All of `podIPs`, or `podIP` where that list is empty.
fn addresses(scope: &mut Scope<'_>, pod: &manifest::Pod) -> Addresses {
    let status = FieldPath::root().key("status");
    let list = status.key("podIPs");
    let mut found: Vec<(FieldPath, IpAddr)> = Vec::new();
    for (index, entry) in pod.status.pod_ips.iter().flatten().enumerate() {
        let path = list.index(index).key("ip");
        let text = entry.ip.as_ref().map_or("", |text| text.0.as_str());
        found.extend(cidr::address(scope, &path, text).map(|address| (path, address)));
    }
    if let Some(text) = pod.status.pod_ip.as_ref().filter(|text| !text.0.is_empty()) {
        let path = status.key("podIP");
        let address = cidr::address(scope, &path, &text.0);
        match address {
            Some(address) if found.is_empty() => found.push((path, address)),
            // The API server keeps podIP equal to the first of podIPs: an address that only one of them has would be
            // nobody's.
            Some(address) if found.iter().all(|(_, known)| *known != address) => {
                scope.report(Code::BadAddress, &path, format!("podIP {address} is not among podIPs"));
            }
            Some(_) | None => {}
        }
    }
    let mut addresses = Addresses::default();
    for (path, address) in found {
        let taken = match address {
            IpAddr::V4(v4) => addresses.v4.replace(v4).is_some(),
            IpAddr::V6(v6) => addresses.v6.replace(v6).is_some(),
        };
        if taken {
            scope.report(Code::BadAddress, &path, "a pod has at most one address of each family");
        }
    }
    addresses
}
