//! Workloads of apps/v1 and batch/v1: only what their pods will be like.

use chainmail_model::WorkloadKind;
use serde::{Deserialize, Serialize};

use super::kind::{Kind, Used, classify};
use super::object::PodSpec;
use super::text::absent_if_null;
use super::{LabelSelector, ObjectMeta};

/// The kind of an object or an owner reference, if it makes pods from a template.
pub(crate) fn workload_kind(api_version: &str, kind: &str) -> Option<WorkloadKind> {
    match classify(api_version, kind) {
        Kind::Used(Used::Workload(kind)) => Some(kind),
        _ => None,
    }
}

/// An object of any of these kinds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Workload {
    /// Name, namespace, owner.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub metadata: ObjectMeta,
    /// What pods it makes.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub spec: WorkloadSpec,
}

/// `spec` of a workload.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSpec {
    /// Which pods it counts as its own.
    pub selector: Option<LabelSelector>,
    /// Its pods.
    pub template: Option<PodTemplate>,
    /// The jobs of a CronJob.
    pub job_template: Option<JobTemplate>,
}

/// `spec.jobTemplate` of a CronJob.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JobTemplate {
    /// What pods each job makes.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub spec: JobSpec,
}

/// `spec` of a job that a CronJob makes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JobSpec {
    /// Its pods.
    pub template: Option<PodTemplate>,
}

/// A pod template.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PodTemplate {
    /// The labels of its pods.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub metadata: ObjectMeta,
    /// What they listen on.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub spec: PodSpec,
}

impl WorkloadSpec {
    /// The pod template, where this kind has it.
    #[must_use]
    pub fn pod_template(&self, kind: WorkloadKind) -> Option<&PodTemplate> {
        match kind {
            WorkloadKind::CronJob => self.job_template.as_ref()?.spec.template.as_ref(),
            WorkloadKind::DaemonSet
            | WorkloadKind::Deployment
            | WorkloadKind::Job
            | WorkloadKind::ReplicaSet
            | WorkloadKind::StatefulSet => self.template.as_ref(),
        }
    }
}
