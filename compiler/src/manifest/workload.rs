//! Workloads of apps/v1 and batch/v1: only what their pods will be like.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::kind::{Kind, Used, classify};
use super::object::PodSpec;
use super::text::absent_if_null;
use super::{LabelSelector, ObjectMeta};
use crate::diagnostic::FieldPath;

/// A kind that makes pods from a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// batch/v1 CronJob.
    CronJob,
    /// apps/v1 DaemonSet.
    DaemonSet,
    /// apps/v1 Deployment.
    Deployment,
    /// batch/v1 Job.
    Job,
    /// apps/v1 ReplicaSet.
    ReplicaSet,
    /// apps/v1 StatefulSet.
    StatefulSet,
}

impl WorkloadKind {
    /// Every kind.
    pub const ALL: [WorkloadKind; 6] = [
        WorkloadKind::CronJob,
        WorkloadKind::DaemonSet,
        WorkloadKind::Deployment,
        WorkloadKind::Job,
        WorkloadKind::ReplicaSet,
        WorkloadKind::StatefulSet,
    ];

    /// The kind of an object or an owner reference, if it is one of these.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        match classify(api_version, kind) {
            Kind::Used(Used::Workload(kind)) => Some(kind),
            _ => None,
        }
    }

    /// The kind as the API writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            WorkloadKind::CronJob => "CronJob",
            WorkloadKind::DaemonSet => "DaemonSet",
            WorkloadKind::Deployment => "Deployment",
            WorkloadKind::Job => "Job",
            WorkloadKind::ReplicaSet => "ReplicaSet",
            WorkloadKind::StatefulSet => "StatefulSet",
        }
    }

    /// Where the kind has its pod template.
    #[must_use]
    pub fn template_path(self) -> FieldPath {
        let spec = FieldPath::root().key("spec");
        match self {
            WorkloadKind::CronJob => spec.key("jobTemplate").key("spec").key("template"),
            WorkloadKind::DaemonSet
            | WorkloadKind::Deployment
            | WorkloadKind::Job
            | WorkloadKind::ReplicaSet
            | WorkloadKind::StatefulSet => spec.key("template"),
        }
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
