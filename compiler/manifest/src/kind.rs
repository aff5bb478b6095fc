//! What is done with an object, by its apiVersion and kind.

use chainmail_findings::nearest;
use chainmail_model::WorkloadKind;

use super::flow_test::{FLOW_TEST, OWN_VERSION};

/// Kinds of networking.k8s.io that change no rule.
const OTHERS_OF_NETWORKING: [&str; 4] = ["Ingress", "IngressClass", "IPAddress", "ServiceCIDR"];
/// Kinds of policy.networking.k8s.io: policies of administrators.
const ADMIN_POLICIES: [&str; 3] =
    ["AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"];

/// A kind that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Used {
    Namespace,
    Pod,
    Node,
    NetworkPolicy,
    Workload(WorkloadKind),
    FlowTest,
}

/// What an object is to this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is read.
    Used(Used),
    /// A list; its items may leave apiVersion and kind out where the list's own kind says them.
    List(Option<Item>),
    /// It changes no rule.
    Other,
    /// It says it is this project's, and is not.
    NotOurs,
    /// It changes traffic, and is not understood.
    Unsupported,
    /// A NetworkPolicy in a version that is not read.
    OldNetworkPolicy,
    /// Its group has no such kind; perhaps this one was meant.
    Unknown(Option<&'static str>),
    /// Neither apiVersion nor kind: no Kubernetes object.
    NoObject,
    /// A kind without an apiVersion.
    Unversioned,
    /// An apiVersion without a kind.
    Untyped,
}

/// What the items of a typed list are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) api_version: String,
    pub(super) kind: String,
}

/// Classifies an object.
pub(super) fn classify(api_version: &str, kind: &str) -> Kind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let item = kind.strip_suffix("List").filter(|item| !item.is_empty());
    let calico = group == "projectcalico.org" || group.ends_with(".projectcalico.org");
    match (group, version, kind) {
        ("", "", "") => Kind::NoObject,
        ("", "", _) => Kind::Unversioned,
        (_, _, "") => Kind::Untyped,
        (_, _, "List") => Kind::List(None),
        ("", "v1", "Namespace") => Kind::Used(Used::Namespace),
        ("", "v1", "Pod") => Kind::Used(Used::Pod),
        ("", "v1", "Node") => Kind::Used(Used::Node),
        ("networking.k8s.io", "v1", "NetworkPolicy") => Kind::Used(Used::NetworkPolicy),
        ("apps", "v1", "DaemonSet") => Kind::Used(Used::Workload(WorkloadKind::DaemonSet)),
        ("apps", "v1", "Deployment") => Kind::Used(Used::Workload(WorkloadKind::Deployment)),
        ("apps", "v1", "ReplicaSet") => Kind::Used(Used::Workload(WorkloadKind::ReplicaSet)),
        ("apps", "v1", "StatefulSet") => Kind::Used(Used::Workload(WorkloadKind::StatefulSet)),
        ("batch", "v1", "CronJob") => Kind::Used(Used::Workload(WorkloadKind::CronJob)),
        ("batch", "v1", "Job") => Kind::Used(Used::Workload(WorkloadKind::Job)),
        _ if api_version == OWN_VERSION && kind == FLOW_TEST => Kind::Used(Used::FlowTest),
        ("chainmail", _, _) => Kind::NotOurs,
        _ if calico || group == "cilium.io" => Kind::Unsupported,
        (_, _, "NetworkPolicy") if matches!(group, "" | "networking.k8s.io" | "extensions") => {
            Kind::OldNetworkPolicy
        }
        (_, _, "NetworkPolicy") => Kind::Unsupported,
        (_, _, _) => match (group, item) {
            (_, Some(inner)) if !matches!(classify(api_version, inner), Kind::Other | Kind::Unknown(_)) => {
                Kind::List(Some(Item { api_version: api_version.to_owned(), kind: inner.to_owned() }))
            }
            ("networking.k8s.io", _) => {
                let known = OTHERS_OF_NETWORKING;
                let is_known = known.contains(&kind) || item.is_some_and(|item| known.contains(&item));
                if is_known {
                    Kind::Other
                } else {
                    Kind::Unknown(nearest(kind, ["NetworkPolicy"].into_iter().chain(known)))
                }
            }
            ("policy.networking.k8s.io", _) => {
                let known = ADMIN_POLICIES;
                if known.contains(&kind) { Kind::Unsupported } else { Kind::Unknown(nearest(kind, known)) }
            }
            _ => Kind::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_group() {
        let list = |api_version: &str, kind: &str| {
            Kind::List(Some(Item { api_version: api_version.to_owned(), kind: kind.to_owned() }))
        };
        let rows = [
            ("v1", "Pod", Kind::Used(Used::Pod)),
            ("apps/v1", "Deployment", Kind::Used(Used::Workload(WorkloadKind::Deployment))),
            ("apps/v1", "DeploymentList", list("apps/v1", "Deployment")),
            ("apps/v1beta1", "Deployment", Kind::Other),
            ("batch/v1", "CronJob", Kind::Used(Used::Workload(WorkloadKind::CronJob))),
            ("chainmail/v1", "FlowTest", Kind::Used(Used::FlowTest)),
            ("chainmail/v1", "FlowTests", Kind::NotOurs),
            ("chainmail/v2", "FlowTest", Kind::NotOurs),
            ("v1", "ConfigMap", Kind::Other),
            ("v1", "ConfigMapList", Kind::Other),
            ("v1", "PodList", list("v1", "Pod")),
            ("v1", "List", Kind::List(None)),
            ("networking.k8s.io/v1", "NetworkPolicyList", list("networking.k8s.io/v1", "NetworkPolicy")),
            ("networking.k8s.io/v1", "Ingress", Kind::Other),
            ("networking.k8s.io/v1", "IngressList", Kind::Other),
            ("networking.k8s.io/v1beta1", "ServiceCIDR", Kind::Other),
            ("networking.k8s.io/v1", "Networkpolicy", Kind::Unknown(Some("NetworkPolicy"))),
            ("networking.k8s.io/v1", "Gateway", Kind::Unknown(None)),
            ("networking.k8s.io/v1beta1", "NetworkPolicy", Kind::OldNetworkPolicy),
            ("extensions/v1beta1", "NetworkPolicy", Kind::OldNetworkPolicy),
            ("v1", "NetworkPolicy", Kind::OldNetworkPolicy),
            ("crd.antrea.io/v1beta1", "NetworkPolicy", Kind::Unsupported),
            ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", Kind::Unsupported),
            ("policy.networking.k8s.io/v1alpha1", "AdminPolicy", Kind::Unknown(None)),
            ("crd.projectcalico.org/v1", "IPPool", Kind::Unsupported),
            ("projectcalico.org/v3", "GlobalNetworkPolicy", Kind::Unsupported),
            ("cilium.io/v2", "CiliumNetworkPolicy", Kind::Unsupported),
            ("gateway.networking.k8s.io/v1", "Gateway", Kind::Other),
            ("", "", Kind::NoObject),
            ("", "Pod", Kind::Unversioned),
            ("v1", "", Kind::Untyped),
        ];
        for (api_version, kind, expected) in rows {
            assert_eq!(classify(api_version, kind), expected, "{api_version} {kind}");
        }
    }
}
