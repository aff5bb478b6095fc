//! Nodes: two that run Linux, and a third that may be special.

use serde_json::{Value, json};

use crate::seeded::Seeded;

/// What a node is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SiteKind {
    /// Linux, both families.
    Dual,
    /// Linux with IPv4 only.
    V4Only,
    /// Only its pods speak of it.
    Implied,
    /// It gets no rules.
    Windows,
}

/// A node and its number, from which its networks are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site {
    pub(super) number: usize,
    pub(super) kind: SiteKind,
}

pub(super) fn sites(rng: &mut Seeded) -> Vec<Site> {
    let third = *rng.pick(&[SiteKind::Dual, SiteKind::V4Only, SiteKind::Implied, SiteKind::Windows]);
    let kinds = [SiteKind::Dual, SiteKind::Dual, third];
    kinds.into_iter().enumerate().map(|(number, kind)| Site { number, kind }).collect()
}

/// Leaves a node less networks than its pods have addresses of. Pods beyond them are pods still.
pub(super) fn narrow(object: &mut Value) {
    let narrower = |net: &Value| {
        let net = net.as_str().expect("networks are texts");
        json!(net.replace(".0/24", ".0/29").replace("/64", "/125"))
    };
    if object["kind"] == "Node" {
        let spec = &mut object["spec"];
        spec["podCIDR"] = narrower(&spec["podCIDR"]);
        let nets = spec["podCIDRs"].as_array().expect("nodes have networks");
        spec["podCIDRs"] = nets.iter().map(narrower).collect();
    }
}

impl Site {
    pub(super) fn name(&self) -> String {
        format!("node-{}", self.number)
    }

    /// The node's own addresses, IPv4 first.
    pub(super) fn addresses(&self) -> [String; 2] {
        [format!("192.168.7.{}", 10 + self.number), format!("fd00:c0::{}", 10 + self.number)]
    }

    /// Addresses of the node's pod of a number.
    pub(super) fn pod_addresses(&self, pod: usize) -> [String; 2] {
        [format!("10.1.{}.{}", self.number, 2 + pod), format!("fd00:10:1:{}::{:x}", self.number, 2 + pod)]
    }

    pub(super) fn manifest(&self) -> Option<Value> {
        let [v4, v6] = self.addresses();
        let nets = [format!("10.1.{}.0/24", self.number), format!("fd00:10:1:{}::/64", self.number)];
        let families = if self.kind == SiteKind::V4Only { 1 } else { 2 };
        let mut addresses = vec![json!({"type": "Hostname", "address": self.name()})];
        addresses.extend([v4, v6][..families].iter().map(|a| json!({"type": "InternalIP", "address": a})));
        let external = format!("198.51.100.{}", 1 + self.number);
        addresses.push(json!({"type": "ExternalIP", "address": external}));
        let os = if self.kind == SiteKind::Windows { "windows" } else { "linux" };
        (self.kind != SiteKind::Implied).then(|| {
            json!({
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": self.name(), "labels": {"kubernetes.io/os": os}},
                "spec": {"podCIDR": nets[0], "podCIDRs": nets[..families]},
                "status": {"addresses": addresses},
            })
        })
    }
}
