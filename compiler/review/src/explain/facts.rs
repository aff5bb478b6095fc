//! Who the ends of a packet are.

use std::net::IpAddr;

use chainmail_model::{Cluster, PodState, UnknownPods, Whose};
use serde::Serialize;

use crate::query::{End, Who};

/// One end of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndFacts {
    /// The name by which it was asked for.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Whose address that is.
    #[serde(flatten)]
    pub kind: EndKind,
}

/// Whose an end's address is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EndKind {
    /// A pod's.
    Pod {
        /// The pod.
        pod: String,
        /// Its node, where it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// Assumed, for a workload that has no pods.
    Workload {
        /// The workload.
        workload: String,
    },
    /// Claimed by several: only what all of them allow is allowed.
    Contested {
        /// The pods, and the nodes.
        claimed_by: String,
    },
    /// A node's, and that of its pods that have its network.
    Node {
        /// The node.
        node: String,
        /// The pod that was asked for, where it was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        pod: Option<String>,
    },
    /// Nobody's that the manifests know, in a node's network for pods.
    UnknownPod {
        /// The node.
        node: String,
        /// What it does with such addresses: `unknown_pods` of `chainmail.toml`.
        unknown_pods: &'static str,
    },
    /// Nobody's that the manifests know.
    Outside,
}

impl EndFacts {
    pub(super) fn new(cluster: &Cluster, end: &End, address: IpAddr) -> Self {
        let kind = match cluster.whose(address) {
            Whose::Pod(_, pod) if pod.state == PodState::Assumed => {
                EndKind::Workload { workload: pod.pod_ref().to_string() }
            }
            Whose::Pod(_, pod) => {
                let node = pod.node.as_ref().map(ToString::to_string);
                EndKind::Pod { pod: pod.pod_ref().to_string(), node }
            }
            Whose::Contested(contested) => {
                EndKind::Contested { claimed_by: cluster.claimants_text(contested) }
            }
            Whose::Node(node) => {
                let pod = match &end.who {
                    Who::Pod(pod) => Some(pod.to_string()),
                    Who::Assumed(_) | Who::Address(_) | Who::Outside(_) => None,
                };
                EndKind::Node { node: node.name.to_string(), pod }
            }
            Whose::Unknown => {
                let mut nodes = cluster.nodes();
                match nodes.find(|node| node.pod_cidrs.iter().any(|net| net.contains(&address))) {
                    None => EndKind::Outside,
                    Some(node) => EndKind::UnknownPod {
                        node: node.name.to_string(),
                        unknown_pods: match node.settings.unknown_pods {
                            UnknownPods::Pass => "pass",
                            UnknownPods::Drop => "drop",
                        },
                    },
                }
            }
        };
        Self { name: end.who.to_string(), address, kind }
    }

    /// What a sentence calls it.
    pub(super) fn subject(&self) -> String {
        match &self.kind {
            EndKind::Pod { pod, .. } | EndKind::Node { pod: Some(pod), .. } => pod.clone(),
            EndKind::Workload { workload } => workload.clone(),
            EndKind::Node { node, pod: None } => format!("node {node}"),
            EndKind::Contested { .. } | EndKind::UnknownPod { .. } | EndKind::Outside => {
                self.address.to_string()
            }
        }
    }

    /// What is to be known of it before its policies, if anything.
    pub(super) fn remark(&self) -> Option<String> {
        let Self { name, address, kind } = self;
        match kind {
            EndKind::Pod { pod, .. } if pod == name => None,
            EndKind::Pod { pod, .. } => Some(format!("{name} is {pod}")),
            EndKind::Workload { workload } => {
                Some(format!("{workload} has no pod yet: this is as if one ran, on a node of its own"))
            }
            EndKind::Contested { claimed_by } => Some(format!(
                "{address} is claimed by {claimed_by}: it is isolated if any of them is, and only what all of them allow is allowed"
            )),
            EndKind::Node { node, pod: Some(pod) } => Some(format!("{pod} is on the network of node {node}")),
            EndKind::Node { node, pod: None } => Some(format!("{address} is node {node}")),
            EndKind::UnknownPod { node, unknown_pods } => Some(format!(
                "{address} is in the pod network of {node} and no manifest explains it; unknown_pods = \
                 \"{unknown_pods}\" {}",
                match *unknown_pods {
                    "drop" => "drops what comes from it and goes to it",
                    _ => "takes it for an address outside",
                }
            )),
            EndKind::Outside if *name == address.to_string() => None,
            EndKind::Outside => {
                Some(format!("{address} stands for {name}: nobody's, and in no network that a policy names"))
            }
        }
    }
}
