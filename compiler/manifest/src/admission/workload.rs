//! Workloads, and what made a pod.

use chainmail_findings::{Code, FieldPath};
use chainmail_model::{Controller, Labels, PodState, Workload, WorkloadKind, WorkloadName, WorkloadRef};

use super::name::{self, is_dns_subdomain};
use super::{Scope, label, ports, selector};
use crate as manifest;
use crate::ObjectMeta;

/// The workload, if its names are some and it has a template.
pub(super) fn admit(
    scope: &mut Scope<'_>,
    kind: WorkloadKind,
    workload: &manifest::Workload,
) -> Option<Workload> {
    let name = name::dns_subdomain(scope, kind.as_str(), &workload.metadata);
    let namespace = name::namespace(scope, &workload.metadata);
    let path = kind.template_path();
    let Some(template) = workload.spec.pod_template(kind) else {
        scope.report(Code::Required, &path, format!("the {kind} has no pod template"));
        return None;
    };
    let labels = label::map(scope, &path.key("metadata").key("labels"), template.metadata.labels.as_ref());
    let ports = ports::ports(scope, &path.key("spec"), &template.spec);
    let own = FieldPath::root().key("spec").key("selector");
    let selector = workload.spec.selector.as_ref().map(|text| selector::selector(scope, &own, text));
    let state =
        if template.spec.host_network == Some(true) { PodState::HostNetwork } else { PodState::Assumed };
    Some(Workload {
        workload: WorkloadRef { namespace: namespace?, name: WorkloadName::admitted(name?), kind },
        selector,
        labels: Labels::new(labels),
        ports,
        state,
        controller: controller(&workload.metadata),
        at: scope.at,
    })
}

/// The owner that manages an object.
pub(super) fn controller(meta: &ObjectMeta) -> Option<Controller> {
    let word = |text: &Option<manifest::Text>| text.as_ref().map_or("", |text| text.0.as_str()).to_owned();
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    let name = word(&owner.name);
    Some(match manifest::workload_kind(&word(&owner.api_version), &word(&owner.kind)) {
        Some(kind) if is_dns_subdomain(&name) => Controller::Workload(kind, WorkloadName::admitted(name)),
        Some(_) | None => Controller::Other,
    })
}
