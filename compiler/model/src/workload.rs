//! Workloads, and which pods are whose.

use std::fmt;

use chainmail_findings::ObjectRef;

use super::model::{Cluster, ContainerPort, Pod, PodState};
use super::{LabelSelector, Labels, NamespaceName, PodRef, WorkloadKind, WorkloadName};

/// A workload by namespace, name and kind; prints as `namespace/name (Kind)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadRef {
    /// Its namespace.
    pub namespace: NamespaceName,
    /// Its name.
    pub name: WorkloadName,
    /// Its kind.
    pub kind: WorkloadKind,
}

impl fmt::Display for WorkloadRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} ({})", self.namespace, self.name, self.kind)
    }
}

/// What makes pods from a template.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Its name.
    pub workload: WorkloadRef,
    /// Which pods it counts as its own; a Job and a CronJob say none.
    pub selector: Option<LabelSelector>,
    /// The labels of its pods.
    pub labels: Labels,
    /// The ports of its pods' containers.
    pub ports: Vec<ContainerPort>,
    /// What a pod of it would be: [`PodState::Assumed`], or [`PodState::HostNetwork`].
    pub state: PodState,
    /// What made it.
    pub controller: Option<Controller>,
    /// Where it stands.
    pub at: ObjectRef,
}

/// What made a pod or a workload, and manages it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// A workload of the same namespace.
    Workload(WorkloadKind, WorkloadName),
    /// An object of a kind that is not read.
    Other,
}

/// Whose a pod is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// Its own: nothing that is known made it.
    Itself(PodRef),
    /// A workload's.
    Workload(WorkloadRef),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Itself(pod) => write!(f, "{pod}"),
            Owner::Workload(workload) => write!(f, "{workload}"),
        }
    }
}

/// The label by which the pods of a Deployment's ReplicaSets are told apart; it also ends the ReplicaSet's name.
const TEMPLATE_HASH: &str = "pod-template-hash";

impl Cluster {
    /// The workloads of the manifests, in order of namespace, name and kind; those that others made are among them.
    pub fn workloads(&self) -> impl Iterator<Item = &Workload> {
        self.workloads.values()
    }

    /// A workload of the manifests.
    #[must_use]
    pub fn workload(&self, workload: &WorkloadRef) -> Option<&Workload> {
        self.workloads.get(workload)
    }

    /// Whose a pod is: of the workload that made it, or that made what made it.
    #[must_use]
    pub fn workload_of(&self, pod: &Pod) -> Owner {
        let Some(Controller::Workload(kind, name)) = &pod.controller else {
            return Owner::Itself(pod.pod_ref());
        };
        let in_namespace = |kind, name| WorkloadRef { namespace: pod.namespace.clone(), name, kind };
        let direct = in_namespace(*kind, name.clone());
        if let Some(known) = self.workloads.get(&direct) {
            return Owner::Workload(match &known.controller {
                Some(Controller::Workload(kind, name)) => in_namespace(*kind, name.clone()),
                Some(Controller::Other) | None => direct,
            });
        }
        let above = match kind {
            WorkloadKind::ReplicaSet => deployment(pod, name).map(|name| (WorkloadKind::Deployment, name)),
            WorkloadKind::Job => cron_job(name).map(|name| (WorkloadKind::CronJob, name)),
            WorkloadKind::CronJob
            | WorkloadKind::DaemonSet
            | WorkloadKind::Deployment
            | WorkloadKind::StatefulSet => None,
        };
        let above = above.map(|(kind, name)| in_namespace(kind, name));
        // Only the label proves a Deployment; a Job may be called like a CronJob's by chance.
        let is_sure = |above: &WorkloadRef| {
            above.kind == WorkloadKind::Deployment || self.workloads.contains_key(above)
        };
        Owner::Workload(above.filter(is_sure).unwrap_or(direct))
    }
}

/// The Deployment of a ReplicaSet: it is called as that one, `-`, and the hash of the template that its pods carry.
fn deployment(pod: &Pod, replica_set: &WorkloadName) -> Option<WorkloadName> {
    let (_, hash) = pod.labels.iter().find(|(key, _)| key.as_str() == TEMPLATE_HASH)?;
    let name = replica_set.as_str().strip_suffix(hash)?.strip_suffix('-')?;
    Some(WorkloadName::admitted(name))
}

/// The CronJob of a Job, if one made it: it is called as that one, `-`, and the minute that it was due, counted from
/// 1970: eight digits until 2160.
fn cron_job(job: &WorkloadName) -> Option<WorkloadName> {
    let (name, minute) = job.as_str().rsplit_once('-')?;
    let is_minute = minute.len() == 8 && minute.bytes().all(|b| b.is_ascii_digit());
    is_minute.then(|| WorkloadName::admitted(name))
}
