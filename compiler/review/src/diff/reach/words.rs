//! Groups of pods in the words in which the command line takes ends.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use chainmail_model::{Cluster, NamespaceName, Owner, Pod, PodRef, WorkloadRef};
use roaring::RoaringBitmap;

use super::pods::Pods;
use crate::diff::{Ends, EndsKind, Presence, Side};
use crate::query::Endpoint;

/// Names groups of pods.
pub(super) struct Words<'s, 'a> {
    pods: &'s Pods<'a>,
    clusters: [&'a Cluster; 2],
    /// By presence and namespace.
    known: RefCell<BTreeMap<(Presence, &'a NamespaceName), Rc<Namespace<'a>>>>,
}

/// The pods of a namespace, among those that a flow of some presence may be of.
#[derive(Default)]
struct Namespace<'a> {
    all: RoaringBitmap,
    /// Pods by what made them.
    workloads: BTreeMap<WorkloadRef, RoaringBitmap>,
    /// Pods that have a label wherever they are.
    labels: BTreeMap<(&'a str, &'a str), RoaringBitmap>,
}

impl<'s, 'a> Words<'s, 'a> {
    pub(super) fn new(pods: &'s Pods<'a>, clusters: [&'a Cluster; 2]) -> Self {
        Self { pods, clusters, known: RefCell::default() }
    }

    /// The words for a group. Where the other end of its flow is one pod, that one may be of a namespace all of whose other
    /// pods are in the group.
    pub(super) fn of(&self, group: &RoaringBitmap, other: &RoaringBitmap, presence: Presence) -> Ends {
        let itself = if other.len() == 1 { group | other } else { group.clone() };
        let everyone: RoaringBitmap = self.among(presence).collect();
        let count = usize::try_from(group.len()).expect("pods fit in memory");
        let ends = if everyone.is_subset(&itself) && count > 1 {
            vec!["*".to_owned()]
        } else {
            let mut by_namespace: BTreeMap<&NamespaceName, RoaringBitmap> = BTreeMap::new();
            for pod in group {
                by_namespace.entry(&self.pods.get(pod).latest().namespace).or_default().insert(pod);
            }
            let words =
                by_namespace.into_iter().map(|(name, pods)| self.namespace(name, pods, &itself, presence));
            words.collect::<Vec<_>>().concat()
        };
        Ends { kind: EndsKind::Pods, ends, count }
    }

    /// The pods that a flow of some presence may be of.
    fn among(&self, presence: Presence) -> impl Iterator<Item = u32> + '_ {
        let is = move |own: Presence| match presence {
            Presence::Stay => own == Presence::Stay,
            Presence::Appear => own != Presence::Vanish,
            Presence::Vanish => own != Presence::Appear,
        };
        self.pods.iter().filter(move |(_, pod)| is(pod.presence())).map(|(at, _)| at)
    }

    fn namespace(
        &self,
        name: &'a NamespaceName,
        mut pods: RoaringBitmap,
        itself: &RoaringBitmap,
        presence: Presence,
    ) -> Vec<String> {
        let namespace = self.facts(name, presence);
        if namespace.all.is_subset(itself) && pods.len() > 1 {
            return vec![format!("{name}/*")];
        }
        let mut words = Vec::new();
        for (workload, own) in &namespace.workloads {
            if own.is_subset(itself) && !own.is_disjoint(&pods) {
                words.push(Endpoint::from(workload).to_string());
                pods -= own;
            }
        }
        while pods.len() > 1 {
            let covers =
                |having: &RoaringBitmap| having.is_subset(itself).then(|| having.intersection_len(&pods));
            let labels =
                namespace.labels.iter().filter_map(|(label, having)| Some((covers(having)?, label, having)));
            // Of labels that say as much, the first in order.
            let best = labels.filter(|(size, ..)| *size > 1).max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(a.1)));
            let Some((_, (key, value), having)) = best else { break };
            words.push(format!("{name}/{key}={value}"));
            pods -= having;
        }
        words.extend(pods.iter().map(|pod| self.pods.get(pod).latest().pod_ref().to_string()));
        words
    }

    fn facts(&self, name: &'a NamespaceName, presence: Presence) -> Rc<Namespace<'a>> {
        let key = (presence, name);
        if let Some(known) = self.known.borrow().get(&key) {
            return Rc::clone(known);
        }
        let mut namespace = Namespace::default();
        let mut anywhere: BTreeMap<(&str, &str), RoaringBitmap> = BTreeMap::new();
        for at in self.among(presence) {
            let both = self.pods.get(at);
            if both.latest().namespace != *name {
                continue;
            }
            namespace.all.insert(at);
            let latest = both.head.map_or(self.clusters[0], |_| self.clusters[1]);
            if let Owner::Workload(workload) = latest.workload_of(both.latest()) {
                namespace.workloads.entry(workload).or_default().insert(at);
            }
            let sides = Side::ALL.into_iter().filter(|side| both.on(*side).is_some());
            // A label is a word for a pod if all that objects say of the pod has it.
            let PodRef { namespace: of, name } = both.latest().pod_ref();
            let pods: Vec<&Pod> = sides
                .flat_map(|side| self.clusters[side.index()].pods_named(of.as_str(), name.as_str()))
                .map(|(_, pod)| pod)
                .collect();
            for (key, value) in pods.iter().flat_map(|pod| pod.labels.iter()) {
                let label = (key.as_str(), value);
                anywhere.entry(label).or_default().insert(at);
                if pods.iter().all(|pod| pod.labels.get(key) == Some(value)) {
                    namespace.labels.entry(label).or_default().insert(at);
                }
            }
        }
        // A label that comes or goes would be another word on each side.
        namespace.labels.retain(|label, everywhere| anywhere[label] == *everywhere);
        let namespace = Rc::new(namespace);
        self.known.borrow_mut().insert(key, Rc::clone(&namespace));
        namespace
    }
}
