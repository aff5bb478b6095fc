//! The index that answers selectors.

use std::collections::BTreeMap;

use chainmail_model::{
    Cluster, Contested, Doubt, LabelKey, LabelSelector, NamespaceName, NamespaceScope, PodId, Requirement,
};
use roaring::RoaringBitmap;

use super::pod_sets::{PodSetId, PodSets};

/// The pods that have a label, and those that have it with each value.
#[derive(Default)]
struct Postings<'a> {
    with_key: RoaringBitmap,
    by_value: BTreeMap<&'a str, RoaringBitmap>,
}

/// The pods of each label.
type ByLabel<'a> = BTreeMap<&'a LabelKey, Postings<'a>>;

/// Answers selectors over the cluster's endpoints; pods that are none are never selected.
pub(super) struct Index<'a> {
    cluster: &'a Cluster,
    /// By the pods' own labels.
    labels: ByLabel<'a>,
    /// By the labels of the pods' namespaces: selectors of namespaces are answered as those of pods are.
    namespace_labels: ByLabel<'a>,
    everywhere: RoaringBitmap,
    by_namespace: BTreeMap<&'a NamespaceName, RoaringBitmap>,
    namespaces: BTreeMap<LabelSelector, RoaringBitmap>,
    answers: BTreeMap<(Option<NamespaceName>, NamespaceScope, LabelSelector), PodSetId>,
}

impl<'a> Index<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        let (mut labels, mut namespace_labels) = (ByLabel::new(), ByLabel::new());
        let mut everywhere = RoaringBitmap::new();
        let mut by_namespace: BTreeMap<&NamespaceName, RoaringBitmap> = BTreeMap::new();
        for (PodId(id), pod) in cluster.pods().filter(|(_, pod)| pod.is_endpoint()) {
            by_namespace.entry(&pod.namespace).or_default().insert(id);
            for (key, value) in pod.labels.iter() {
                let postings = labels.entry(key).or_default();
                postings.with_key.insert(id);
                postings.by_value.entry(value).or_default().insert(id);
            }
        }
        for namespace in cluster.namespaces() {
            let Some(pods) = by_namespace.get(&namespace.name) else { continue };
            everywhere |= pods;
            for (key, value) in namespace.labels.iter() {
                let postings = namespace_labels.entry(key).or_default();
                postings.with_key |= pods;
                *postings.by_value.entry(value).or_default() |= pods;
            }
        }
        let (namespaces, answers) = (BTreeMap::new(), BTreeMap::new());
        Self { cluster, labels, namespace_labels, everywhere, by_namespace, namespaces, answers }
    }

    /// The holders that `pods` selects in the namespaces of `scope`, as a policy of `own` sees it.
    pub(super) fn select(
        &mut self,
        sets: &mut PodSets,
        own: &NamespaceName,
        scope: &NamespaceScope,
        pods: &LabelSelector,
    ) -> PodSetId {
        let own_matters = (*scope == NamespaceScope::Own).then(|| own.clone());
        let key = (own_matters, scope.clone(), pods.clone());
        if let Some(answer) = self.answers.get(&key) {
            return *answer;
        }
        let within = match scope {
            NamespaceScope::Own => self.by_namespace.get(own).cloned().unwrap_or_default(),
            NamespaceScope::Matching(selector) => self.in_namespaces(selector),
        };
        let mut selected = narrow(&self.labels, within, pods);
        self.add_contested(&mut selected);
        let answer = sets.intern(selected);
        self.answers.insert(key, answer);
        answer
    }

    /// Adds the contested addresses of which every claimant is among the selected pods.
    fn add_contested(&self, selected: &mut RoaringBitmap) {
        let is_meant = |contested: &Contested| {
            contested.doubt == Doubt::Pods && contested.claimants().iter().all(|pod| selected.contains(pod.0))
        };
        let contested = self.cluster.contested_holders().filter(|(_, contested)| is_meant(contested));
        let meant: Vec<u32> = contested.map(|(id, _)| id.0).collect();
        selected.extend(meant);
    }

    fn in_namespaces(&mut self, selector: &LabelSelector) -> RoaringBitmap {
        if let Some(pods) = self.namespaces.get(selector) {
            return pods.clone();
        }
        let pods = narrow(&self.namespace_labels, self.everywhere.clone(), selector);
        self.namespaces.insert(selector.clone(), pods.clone());
        pods
    }
}

/// Those of some pods that a selector means.
fn narrow(labels: &ByLabel<'_>, mut pods: RoaringBitmap, selector: &LabelSelector) -> RoaringBitmap {
    for requirement in selector.requirements() {
        match requirement {
            Requirement::In(key, values) => pods &= with_value(labels, key, values.iter()),
            Requirement::NotIn(key, values) => pods -= with_value(labels, key, values.iter()),
            Requirement::Exists(key) => match labels.get(key) {
                Some(postings) => pods &= &postings.with_key,
                None => pods.clear(),
            },
            Requirement::DoesNotExist(key) => {
                if let Some(postings) = labels.get(key) {
                    pods -= &postings.with_key;
                }
            }
        }
    }
    pods
}

fn with_value<'v>(
    labels: &ByLabel<'_>,
    key: &LabelKey,
    values: impl Iterator<Item = &'v String>,
) -> RoaringBitmap {
    let mut pods = RoaringBitmap::new();
    if let Some(postings) = labels.get(key) {
        for with_value in values.filter_map(|value| postings.by_value.get(value.as_str())) {
            pods |= with_value;
        }
    }
    pods
}
