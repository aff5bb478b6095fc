//! Namespace, Pod and Node: only the fields that decide what rules a node gets.

use serde::{Deserialize, Serialize};

use super::text::{Text, TextMap, absent_if_null};

/// `metadata`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMeta {
    /// The name.
    pub name: Option<Text>,
    /// What the API server would make a name from.
    pub generate_name: Option<Text>,
    /// The namespace; `default` if absent.
    pub namespace: Option<Text>,
    /// The labels.
    pub labels: Option<TextMap>,
    /// What made it.
    pub owner_references: Option<Vec<OwnerReference>>,
    /// When its deletion was asked for; a live object alone has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Text>,
}

/// One entry of `ownerReferences`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReference {
    /// The owner's apiVersion.
    pub api_version: Option<Text>,
    /// Its kind.
    pub kind: Option<Text>,
    /// Its name, in the same namespace.
    pub name: Option<Text>,
    /// Whether it is the one that manages the object; at most one is.
    pub controller: Option<bool>,
}

/// v1 Namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Namespace {
    /// Name and labels.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub metadata: ObjectMeta,
}

/// v1 Pod.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pod {
    /// Name, namespace, labels.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub metadata: ObjectMeta,
    /// Where it runs and what it listens on.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub spec: PodSpec,
    /// Its phase and addresses.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub status: PodStatus,
}

/// `spec` of a Pod.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// The node that runs it.
    pub node_name: Option<Text>,
    /// Whether it has the node's own network.
    pub host_network: Option<bool>,
    /// Its containers.
    pub containers: Option<Vec<Container>>,
    /// Its init containers, sidecars among them.
    pub init_containers: Option<Vec<Container>>,
}

/// A container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// `Always` makes an init container a sidecar.
    pub restart_policy: Option<Text>,
    /// The ports it says it listens on.
    pub ports: Option<Vec<ContainerPort>>,
}

/// A container's port.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    /// Its name.
    pub name: Option<Text>,
    /// Its number.
    pub container_port: Option<i32>,
    /// Its protocol; TCP if absent.
    pub protocol: Option<Text>,
}

/// `status` of a Pod.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PodStatus {
    /// `Succeeded` and `Failed` are the finished ones.
    pub phase: Option<Text>,
    /// The first address.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<Text>,
    /// All addresses, at most one a family.
    #[serde(rename = "podIPs")]
    pub pod_ips: Option<Vec<PodIp>>,
}

/// One of a pod's addresses.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PodIp {
    /// The address.
    pub ip: Option<Text>,
}

/// v1 Node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    /// Name and labels.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub metadata: ObjectMeta,
    /// Its pods' networks.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub spec: NodeSpec,
    /// Its addresses.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub status: NodeStatus,
}

/// `spec` of a Node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NodeSpec {
    /// The first network of its pods.
    #[serde(rename = "podCIDR")]
    pub pod_cidr: Option<Text>,
    /// All networks of its pods, at most one a family.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Option<Vec<Text>>,
}

/// `status` of a Node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Addresses and names.
    pub addresses: Option<Vec<NodeAddress>>,
}

/// One entry of a node's addresses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname`, …
    #[serde(rename = "type")]
    pub kind: Option<Text>,
    /// The address or name.
    pub address: Option<Text>,
}
