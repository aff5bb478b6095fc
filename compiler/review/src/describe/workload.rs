//! A workload: its pods, the policies that isolate them, and the rules that mean them.

use chainmail_contract::Transport;
use chainmail_contract::escape::lines;
use chainmail_findings::{FieldPath, Places};
use chainmail_model::{
    Cluster, ContainerPort, Direction, Peers, Pod, PodState, Policy, PolicyAt, RuleAt, semantics,
};
use serde::Serialize;

use super::Fold;
use super::resolve::why_not;
use crate::query::{Endpoint, EndpointError};

/// A workload, and what policies say of its pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkloadDescription {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// `file:line`, where a manifest has it.
    pub place: Option<String>,
    /// Its pods; of one that has none yet, what is assumed.
    pub pods: Vec<PodFacts>,
    /// The policies that isolate its pods for ingress.
    pub ingress: Vec<Isolating>,
    /// The policies that isolate its pods for egress.
    pub egress: Vec<Isolating>,
    /// The rules whose `from` or `to` means its pods, other than by meaning everybody.
    pub peer_of: Vec<RuleAt>,
}

/// A pod of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PodFacts {
    /// Its name.
    pub pod: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Whether the pod and its addresses are assumed.
    pub assumed: bool,
    /// Why no policy sees it, if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<&'static str>,
    /// Its labels, `key=value`.
    pub labels: Vec<String>,
    /// Its containers' ports, like `http 8080/TCP`.
    pub ports: Vec<String>,
}

/// A policy that isolates pods of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Isolating {
    /// The policy.
    #[serde(flatten)]
    pub policy: PolicyAt,
    /// How many of the workload's pods it selects.
    pub pods: usize,
}

/// Describes a workload of a cluster, which has assumed pods where some are missing.
///
/// # Errors
/// When it has no pod there: it is unknown.
pub fn describe_workload(
    cluster: &Cluster,
    places: &dyn Places,
    endpoint: &Endpoint,
) -> Result<WorkloadDescription, EndpointError> {
    let (workload, pods) = endpoint.workload(cluster)?;
    let known = cluster.workload(&workload).map(|known| places.place(known.at, &FieldPath::root()));
    let isolating = |direction| {
        let of = cluster.policies().iter().filter(|policy| policy.rules(direction).is_some());
        let selected = of.map(|policy| (policy, pods.iter().filter(|pod| selects(policy, pod)).count()));
        selected
            .filter(|(_, pods)| *pods > 0)
            .map(|(policy, pods)| Isolating { policy: PolicyAt::new(places, policy), pods })
            .collect()
    };
    Ok(WorkloadDescription {
        namespace: workload.namespace.to_string(),
        name: workload.name.to_string(),
        kind: workload.kind.as_str(),
        place: known.map(|place| format!("{}:{}", place.file, place.line)),
        ingress: isolating(Direction::Ingress),
        egress: isolating(Direction::Egress),
        peer_of: peer_of(cluster, places, &pods),
        pods: pods.iter().map(|pod| facts(pod)).collect(),
    })
}

fn selects(policy: &Policy, pod: &Pod) -> bool {
    pod.is_endpoint() && policy.namespace == pod.namespace && semantics::selects(&policy.subject, &pod.labels)
}

fn peer_of(cluster: &Cluster, places: &dyn Places, pods: &[&Pod]) -> Vec<RuleAt> {
    let mut rules = Vec::new();
    for policy in cluster.policies() {
        for direction in Direction::ALL {
            for (index, rule) in policy.rules(direction).into_iter().flatten().enumerate() {
                let means = |pod: &&Pod| {
                    let allows = |address| semantics::peers_allow(cluster, policy, &rule.peers, address);
                    pod.addresses.iter().any(allows)
                };
                if matches!(rule.peers, Peers::OneOf(_)) && pods.iter().any(means) {
                    rules.push(RuleAt::new(places, policy, direction, index));
                }
            }
        }
    }
    rules
}

fn facts(pod: &Pod) -> PodFacts {
    let port = |port: &ContainerPort| {
        let protocol = match port.protocol {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
            Transport::Sctp => "SCTP",
        };
        match &port.name {
            Some(name) => format!("{name} {}/{protocol}", port.number),
            None => format!("{}/{protocol}", port.number),
        }
    };
    PodFacts {
        pod: pod.pod_ref().to_string(),
        addresses: pod.addresses.iter().map(|address| address.to_string()).collect(),
        assumed: pod.state == PodState::Assumed,
        unseen: why_not(pod.state),
        labels: pod.labels.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        ports: pod.ports.iter().map(port).collect(),
    }
}

/// Prints a description.
#[must_use]
pub fn workload_text(description: &WorkloadDescription, fold: Fold) -> String {
    let WorkloadDescription { namespace, name, kind, place, pods, ingress, egress, peer_of } = description;
    let place = place.as_deref().unwrap_or("in no manifest; known by its pods");
    let mut text =
        format!("Name:       {name}\nNamespace:  {namespace}\nKind:       {kind}\nPlace:      {place}\n");
    let shown = if fold == Fold::Long { pods.len().min(FEW) } else { pods.len() };
    text.push_str("Pods:\n");
    for pod in &pods[..shown] {
        let PodFacts { pod, addresses, assumed, unseen, labels, ports } = pod;
        let addresses = addresses.join(", ");
        text.push_str(&match (unseen, assumed) {
            (Some(why), _) => format!("  {pod}: {why}, so that no policy sees it\n"),
            (None, true) => format!("  none yet; as if there were one ({addresses}, address assumed)\n"),
            (None, false) => format!("  {pod} ({addresses})\n"),
        });
        for (head, list) in [("Labels", labels), ("Ports", ports)] {
            let list = if list.is_empty() { "<none>".to_owned() } else { list.join(", ") };
            text.push_str(&format!("    {:8}{list}\n", format!("{head}:")));
        }
    }
    if shown < pods.len() {
        text.push_str(&format!("  and {} more\n", pods.len() - shown));
    }
    for (direction, policies) in [(Direction::Ingress, ingress), (Direction::Egress, egress)] {
        if policies.is_empty() {
            text.push_str(&format!("Isolated for {direction} by no policy: everything is allowed\n"));
            continue;
        }
        text.push_str(&format!("Isolated for {direction} by:\n"));
        for Isolating { policy, pods: selected } in policies {
            let some = if *selected < pods.len() {
                format!(" ({selected} of {} pods)", pods.len())
            } else {
                String::new()
            };
            text.push_str(&format!("  {} {}{some}\n", policy.place, policy.policy));
        }
    }
    if peer_of.is_empty() {
        text.push_str("Meant by no rule as a peer\n");
    } else {
        text.push_str("Meant as a peer by:\n");
        peer_of.iter().for_each(|rule| text.push_str(&format!("  {} {}\n", rule.place, rule.rule)));
    }
    lines(&text)
}

/// How many pods are shown where the list is folded.
const FEW: usize = 3;
