//! What every lint asks: which pods selectors mean, and where findings go.

use std::cell::Cell;
use std::collections::BTreeMap;

use chainmail_findings::{Code, Diagnostic, FieldPath, Findings, Places};
use chainmail_model::{
    Cluster, Direction, LabelSelector, Namespace, NamespaceName, NamespaceScope, Peer, Peers, Pod, PodState,
    Policy, Rule,
};

use super::Unjudged;

/// The most words that are looked through for "did you mean", in all findings of a run together. What is found does not
/// depend on it, only what is advised.
const ADVICE_MAX: usize = 1_000_000;

/// A cluster under lint.
pub(super) struct Context<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) places: &'a dyn Places,
    pub(super) findings: Findings,
    pub(super) unjudged: Unjudged,
    /// How many more words may be looked through for advice.
    advice: Cell<usize>,
    pods: BTreeMap<&'a NamespaceName, Vec<&'a Pod>>,
}

/// Pods that a peer means, as far as the manifests can tell.
pub(super) struct PeerPods<'a> {
    /// Those that there are.
    pub(super) pods: Vec<&'a Pod>,
    /// Whether there are no others.
    pub(super) complete: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(cluster: &'a Cluster, places: &'a dyn Places) -> Self {
        let mut pods: BTreeMap<&NamespaceName, Vec<&Pod>> = BTreeMap::new();
        // A pod without an address will have one; a pod that has finished is gone.
        for (_, pod) in cluster.pods().filter(|(_, pod)| pod.state != PodState::Finished) {
            pods.entry(&pod.namespace).or_default().push(pod);
        }
        Self {
            cluster,
            places,
            findings: Findings::default(),
            unjudged: Unjudged::default(),
            advice: Cell::new(ADVICE_MAX),
            pods,
        }
    }

    /// Whether so many words may be looked through for advice; if so, they are counted.
    pub(super) fn may_advise(&self, words: usize) -> bool {
        let left = self.advice.get().checked_sub(words);
        self.advice.set(left.unwrap_or_default());
        left.is_some()
    }

    /// The pods of a namespace, those on their node's network too.
    pub(super) fn pods_of(&self, namespace: &NamespaceName) -> &[&'a Pod] {
        self.pods.get(namespace).map_or(&[], Vec::as_slice)
    }

    /// Whether the manifests hold the pods of a namespace: where they hold none, there may be any.
    pub(super) fn knows(&self, namespace: &NamespaceName) -> bool {
        self.pods.contains_key(namespace)
    }

    /// The pods of a namespace that a selector means.
    pub(super) fn select(&self, namespace: &NamespaceName, selector: &LabelSelector) -> Vec<&'a Pod> {
        let pods = self.pods_of(namespace).iter().copied();
        pods.filter(|pod| is_selectable(pod) && selector.matches(&pod.labels)).collect()
    }

    /// The namespaces that a scope means.
    pub(super) fn namespaces(&self, own: &NamespaceName, scope: &NamespaceScope) -> Vec<&'a Namespace> {
        match scope {
            NamespaceScope::Own => self.cluster.namespace(own).into_iter().collect(),
            NamespaceScope::Matching(selector) => {
                self.cluster.namespaces().filter(|namespace| selector.matches(&namespace.labels)).collect()
            }
        }
    }

    /// The pods that selectors of a peer mean.
    pub(super) fn peer_pods(
        &self,
        own: &NamespaceName,
        scope: &NamespaceScope,
        selector: &LabelSelector,
    ) -> PeerPods<'a> {
        let namespaces = self.namespaces(own, scope);
        let pods = namespaces.iter().flat_map(|namespace| self.select(&namespace.name, selector)).collect();
        PeerPods { pods, complete: namespaces.iter().all(|namespace| self.knows(&namespace.name)) }
    }

    /// Counts what is not judged since the manifests hold no pod of these namespaces.
    pub(super) fn pass_over(&mut self, namespaces: impl IntoIterator<Item = NamespaceName>) {
        self.unjudged.count += 1;
        self.unjudged.namespaces.extend(namespaces);
    }

    /// A finding about a field of a policy.
    pub(super) fn report(
        &mut self,
        code: Code,
        policy: &Policy,
        path: &FieldPath,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let place = self.places.key_place(policy.at, path);
        let object = format!("NetworkPolicy {}", policy.policy_ref());
        let finding = Diagnostic::new(code, Some(place), message).help(help);
        self.findings.push(finding.about(object, path.to_string()));
    }
}

/// Whether selectors can mean a pod: not one on its node's network.
pub(super) fn is_selectable(pod: &Pod) -> bool {
    matches!(pod.state, PodState::Endpoint | PodState::Assumed | PodState::NoAddress)
}

/// The path of a policy's `spec`.
pub(super) fn spec() -> FieldPath {
    FieldPath::root().key("spec")
}

/// The rules of a policy with their paths.
pub(super) fn rules(policy: &Policy) -> impl Iterator<Item = (Direction, FieldPath, &Rule)> {
    Direction::ALL.into_iter().flat_map(move |direction| {
        let rules = policy.rules(direction).unwrap_or_default().iter().enumerate();
        rules.map(move |(index, rule)| (direction, rule_path(direction, index), rule))
    })
}

/// The path of a rule.
pub(super) fn rule_path(direction: Direction, index: usize) -> FieldPath {
    spec().key(direction.to_string()).index(index)
}

/// The entries of a rule's `from` or `to` with their paths.
pub(super) fn peers<'r>(
    direction: Direction,
    path: &FieldPath,
    rule: &'r Rule,
) -> Vec<(FieldPath, &'r Peer)> {
    let Peers::OneOf(peers) = &rule.peers else { return Vec::new() };
    let list = path.key(match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    });
    peers.iter().enumerate().map(|(index, peer)| (list.index(index), peer)).collect()
}
