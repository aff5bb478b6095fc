//! Which pods are of which workload.

use super::model::{Cluster, Pod};
use super::workload::{Controller, Owner, Workload, WorkloadRef};
use super::{WorkloadKind, WorkloadName};

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
