//! NetworkPolicy of networking.k8s.io/v1, as written. Every list and selector is optional, and `null` is absence.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::text::{Annotations, Text, TextMap, absent_if_null};
use super::{IntOrString, ObjectMeta};

/// The object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicy {
    /// `networking.k8s.io/v1`; an item of a NetworkPolicyList may leave it out.
    pub api_version: Option<Text>,
    /// `NetworkPolicy`.
    pub kind: Option<Text>,
    /// Name, namespace, labels.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub metadata: StrictMeta,
    /// What it says; absent, it is an empty one.
    pub spec: Option<NetworkPolicySpec>,
    #[serde(default, rename = "status", skip_serializing)]
    _status: Option<IgnoredAny>,
}

/// ObjectMeta with all of its fields named, so that any other is a mistake.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StrictMeta {
    name: Option<Text>,
    generate_name: Option<Text>,
    namespace: Option<Text>,
    labels: Option<TextMap>,
    annotations: Option<Annotations>,
    #[serde(rename = "creationTimestamp", skip_serializing)]
    _creation_timestamp: Option<IgnoredAny>,
    #[serde(rename = "deletionGracePeriodSeconds", skip_serializing)]
    _deletion_grace_period_seconds: Option<IgnoredAny>,
    #[serde(rename = "deletionTimestamp", skip_serializing)]
    _deletion_timestamp: Option<IgnoredAny>,
    #[serde(rename = "finalizers", skip_serializing)]
    _finalizers: Option<IgnoredAny>,
    #[serde(rename = "generation", skip_serializing)]
    _generation: Option<IgnoredAny>,
    #[serde(rename = "managedFields", skip_serializing)]
    _managed_fields: Option<IgnoredAny>,
    #[serde(rename = "ownerReferences", skip_serializing)]
    _owner_references: Option<IgnoredAny>,
    #[serde(rename = "resourceVersion", skip_serializing)]
    _resource_version: Option<IgnoredAny>,
    #[serde(rename = "selfLink", skip_serializing)]
    _self_link: Option<IgnoredAny>,
    #[serde(rename = "uid", skip_serializing)]
    _uid: Option<IgnoredAny>,
}

impl StrictMeta {
    /// The fields that matter.
    #[must_use]
    pub fn object_meta(&self) -> ObjectMeta {
        ObjectMeta {
            name: self.name.clone(),
            generate_name: self.generate_name.clone(),
            namespace: self.namespace.clone(),
            labels: self.labels.clone(),
            owner_references: None,
            deletion_timestamp: None,
        }
    }

    /// The annotations, which say nothing of traffic and may keep the API server from taking the policy.
    #[must_use]
    pub fn annotations(&self) -> Option<&Annotations> {
        self.annotations.as_ref()
    }
}

/// `spec`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicySpec {
    /// Which pods of the policy's namespace it is about.
    pub pod_selector: Option<LabelSelector>,
    /// What may come in.
    pub ingress: Option<Vec<Option<NetworkPolicyRule>>>,
    /// What may go out.
    pub egress: Option<Vec<Option<NetworkPolicyRule>>>,
    /// `Ingress`, `Egress` or both.
    pub policy_types: Option<Vec<Text>>,
}

/// One entry of `ingress` or `egress`. Which of `from` and `to` may be there depends on the list it stands in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicyRule {
    /// Sources, of an ingress rule.
    pub from: Option<Vec<Option<NetworkPolicyPeer>>>,
    /// Destinations, of an egress rule.
    pub to: Option<Vec<Option<NetworkPolicyPeer>>>,
    /// Ports of the destination.
    pub ports: Option<Vec<Option<NetworkPolicyPort>>>,
}

/// One entry of `from` or `to`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicyPeer {
    /// Which pods.
    pub pod_selector: Option<LabelSelector>,
    /// In which namespaces.
    pub namespace_selector: Option<LabelSelector>,
    /// Or which addresses.
    pub ip_block: Option<IpBlock>,
}

/// `ipBlock`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IpBlock {
    /// The block.
    pub cidr: Option<Text>,
    /// What is not meant.
    pub except: Option<Vec<Text>>,
}

/// One entry of `ports`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicyPort {
    /// `TCP`, `UDP` or `SCTP`; TCP if absent.
    pub protocol: Option<Text>,
    /// Number or name; all ports if absent.
    pub port: Option<IntOrString>,
    /// The end of a range that begins at `port`.
    pub end_port: Option<i32>,
}

/// LabelSelector of meta/v1.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels that must be there with these values.
    pub match_labels: Option<TextMap>,
    /// Further requirements.
    pub match_expressions: Option<Vec<Requirement>>,
}

/// One entry of `matchExpressions`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// The label's key.
    pub key: Option<Text>,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: Option<Text>,
    /// The values of `In` and `NotIn`.
    pub values: Option<Vec<Text>>,
}
