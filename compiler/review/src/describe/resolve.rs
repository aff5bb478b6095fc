//! Whom the lines of a policy mean now.

use std::collections::BTreeMap;

use chainmail_contract::Transport;
use chainmail_model::{
    Cluster, NamespaceScope, Peer, Peers, Pod, PodState, Policy, PortName, Whose, semantics,
};
use serde::Serialize;

/// Pods that a line means.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Pods {
    /// Those that policies see.
    pub pods: Vec<String>,
    /// Those that have the labels and yet are not meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_meant: Vec<NotMeant>,
}

/// A pod with the labels that are asked for, which no policy sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotMeant {
    /// The pod.
    pub pod: String,
    /// Why.
    pub why: &'static str,
}

/// What a named port is on some pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortOn {
    /// Its number; none on pods that have no port of that name and protocol, where the rule matches nothing.
    pub number: Option<u16>,
    /// The pods.
    pub pods: Vec<String>,
}

pub(super) struct Resolver<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) policy: &'a Policy,
}

impl<'a> Resolver<'a> {
    fn endpoints(&self) -> impl Iterator<Item = &'a Pod> {
        self.cluster.pods().map(|(_, pod)| pod).filter(|pod| pod.is_endpoint())
    }

    fn is_subject(&self, pod: &Pod) -> bool {
        pod.namespace == self.policy.namespace && semantics::selects(&self.policy.subject, &pod.labels)
    }

    /// The pods that the policy isolates.
    pub(super) fn subjects(&self) -> Vec<&'a Pod> {
        self.endpoints().filter(|pod| self.is_subject(pod)).collect()
    }

    pub(super) fn selected(&self) -> Pods {
        Pods { pods: names(self.subjects()), not_meant: self.not_meant(|_| true, |pod| self.is_subject(pod)) }
    }

    /// The pods that some peers mean, by one of their addresses at least.
    pub(super) fn peers(&self, peers: &Peers) -> Vec<&'a Pod> {
        let allows = |address| semantics::peers_allow(self.cluster, self.policy, peers, address);
        self.endpoints().filter(|pod| pod.addresses.iter().any(allows)).collect()
    }

    /// The pods that one entry means.
    pub(super) fn peer(&self, item: &Peer) -> Pods {
        let peers = Peers::OneOf(vec![item.clone()]);
        let is_meant = |pod: &Pod| {
            pod.addresses.iter().any(|at| semantics::peers_allow(self.cluster, self.policy, &peers, at))
        };
        let not_meant = match item {
            Peer::Block(_) => Vec::new(),
            Peer::Pods { namespaces, pods } => self.not_meant(is_meant, |pod| {
                let in_namespace = match namespaces {
                    NamespaceScope::Own => pod.namespace == self.policy.namespace,
                    NamespaceScope::Matching(selector) => self
                        .cluster
                        .namespace(&pod.namespace)
                        .is_some_and(|namespace| semantics::selects(selector, &namespace.labels)),
                };
                in_namespace && semantics::selects(pods, &pod.labels)
            }),
        };
        Pods { pods: names(self.peers(&peers)), not_meant }
    }

    /// The nodes that one entry means.
    pub(super) fn nodes(&self, item: &Peer) -> Vec<String> {
        let peers = Peers::OneOf(vec![item.clone()]);
        let allows = |address| semantics::peers_allow(self.cluster, self.policy, &peers, address);
        let nodes = self.cluster.nodes().filter(|node| node.addresses.iter().copied().any(allows));
        nodes.map(|node| node.name.to_string()).collect()
    }

    fn not_meant(&self, is_meant: impl Fn(&Pod) -> bool, has_labels: impl Fn(&Pod) -> bool) -> Vec<NotMeant> {
        let contested =
            |pod: &Pod| pod.addresses.iter().any(|at| matches!(self.cluster.whose(at), Whose::Contested(_)));
        let pods = self.cluster.pods().map(|(_, pod)| pod).filter(|pod| has_labels(pod));
        let mut found: Vec<NotMeant> = pods
            .filter_map(|pod| {
                let others_claim_it = pod.is_endpoint() && contested(pod) && !is_meant(pod);
                let why =
                    why_not(pod.state).or_else(|| others_claim_it.then_some("others claim its address"))?;
                Some(NotMeant { pod: pod.pod_ref().to_string(), why })
            })
            .collect();
        // Of one pod several objects may say something.
        found.dedup();
        found
    }
}

/// Why no policy sees a pod, if none does.
pub(super) fn why_not(state: PodState) -> Option<&'static str> {
    match state {
        PodState::Endpoint | PodState::Assumed => None,
        PodState::HostNetwork => Some("on its node's network"),
        PodState::Finished => Some("finished"),
        PodState::NoAddress => Some("without an address"),
    }
}

fn names(pods: Vec<&Pod>) -> Vec<String> {
    let mut names: Vec<String> = pods.iter().map(|pod| pod.pod_ref().to_string()).collect();
    // Of one pod several objects may say something.
    names.dedup();
    names
}

/// What a name is on each of some pods, by number; those that do not have it come last.
pub(super) fn named(cluster: &Cluster, pods: &[&Pod], protocol: Transport, name: &PortName) -> Vec<PortOn> {
    let mut by_number: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    let mut without = Vec::new();
    for pod in pods {
        // At an address that others claim too, what all of them mean by it.
        let is_meant = |number: &u16| {
            pod.addresses.iter().any(|address| {
                let pods = semantics::pods_at(cluster, address);
                pods.iter().all(|pod| pod.named_ports(protocol, name).any(|named| named == *number))
            })
        };
        let mut numbers = pod.named_ports(protocol, name).filter(is_meant).peekable();
        if numbers.peek().is_none() {
            without.push(pod.pod_ref().to_string());
        }
        for number in numbers {
            by_number.entry(number).or_default().push(pod.pod_ref().to_string());
        }
    }
    let on = |(number, pods)| PortOn { number: Some(number), pods };
    let mut ports: Vec<PortOn> = by_number.into_iter().map(on).collect();
    if !without.is_empty() {
        ports.push(PortOn { number: None, pods: without });
    }
    ports
}
