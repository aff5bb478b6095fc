//! Workloads, and which pods are whose.

use std::fmt;

use chainmail_findings::ObjectRef;

use super::model::{ContainerPort, PodState};
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
