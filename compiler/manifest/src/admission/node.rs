//! Nodes.

use std::net::IpAddr;

use chainmail_contract::NodeName;
use chainmail_findings::{Code, FieldPath};
use chainmail_model::{LabelKey, Node, NodeSettings, Os};
use ipnet::IpNet;

use super::{Scope, cidr, label, name};
use crate as manifest;

/// The label by which a kubelet says what its node runs.
const OS: &str = "kubernetes.io/os";

/// The node, if its name is one.
pub(super) fn admit(scope: &mut Scope<'_>, node: &manifest::Node) -> Option<Node> {
    let name = name::dns_subdomain(scope, "node", &node.metadata)?;
    let labels = label::labels(scope, node.metadata.labels.as_ref());
    let os = match labels.get(&LabelKey::admitted(OS)) {
        Some("windows") => Os::Windows,
        _ => Os::Linux,
    };
    if os == Os::Windows {
        let path = FieldPath::root().key("metadata").key("labels").key(OS);
        let message =
            format!("node {name} runs Windows and gets no snapshot; its pods are peers all the same");
        scope.report(Code::WindowsNode, &path, message);
    }
    let addresses = addresses(scope, node);
    let pod_cidrs = pod_cidrs(scope, node);
    match name.parse::<NodeName>() {
        Ok(name) => Some(Node { name, addresses, pod_cidrs, os, settings: NodeSettings::default() }),
        Err(error) => {
            scope.report(Code::BadName, &FieldPath::root().key("metadata").key("name"), error.to_string());
            None
        }
    }
}

fn addresses(scope: &mut Scope<'_>, node: &manifest::Node) -> Vec<IpAddr> {
    let list = FieldPath::root().key("status").key("addresses");
    let mut addresses = Vec::new();
    for (index, entry) in node.status.addresses.iter().flatten().enumerate() {
        let kind = entry.kind.as_ref().map_or("", |text| text.0.as_str());
        let text = entry.address.as_ref().map_or("", |text| text.0.as_str());
        // The other types are names.
        if matches!(kind, "InternalIP" | "ExternalIP") {
            addresses.extend(cidr::address(scope, &list.index(index).key("address"), text));
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn pod_cidrs(scope: &mut Scope<'_>, node: &manifest::Node) -> Vec<IpNet> {
    let spec = FieldPath::root().key("spec");
    let mut nets = Vec::new();
    for (index, text) in node.spec.pod_cidrs.iter().flatten().enumerate() {
        nets.extend(cidr::network(scope, &spec.key("podCIDRs").index(index), &text.0));
    }
    if nets.is_empty()
        && let Some(text) = &node.spec.pod_cidr
    {
        nets.extend(cidr::network(scope, &spec.key("podCIDR"), &text.0));
    }
    // Every address would be a pod's, and neither a set nor iptables-save has a way to write it.
    nets.retain(|net| {
        if net.prefix_len() == 0 {
            scope.report(Code::BadCidr, &spec, format!("{net} cannot be the network of a node's pods"));
        }
        net.prefix_len() > 0
    });
    nets.sort_unstable();
    nets.dedup();
    nets
}
