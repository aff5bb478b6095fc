//! Workloads whose selector does not mean their own pods: the API server refuses them, so that what runs is another
//! template than the one that was reviewed.

use chainmail_findings::{Code, Diagnostic, FieldPath};
use chainmail_model::Workload;

use super::context::Context;

pub(super) fn check(context: &mut Context<'_>) {
    for workload in context.cluster.workloads() {
        let Workload { workload: own, selector: Some(selector), labels, at, .. } = workload else { continue };
        if selector.matches(labels) {
            continue;
        }
        let path = FieldPath::root().key("spec").key("selector");
        let message =
            format!("the selector of {own} is {selector}, which the labels of its own template do not meet");
        let help = "the API server refuses it; give the template these labels, or correct the selector";
        let finding = Diagnostic::new(
            Code::SelectorMissesTemplate,
            Some(context.places.key_place(*at, &path)),
            message,
        );
        let object = format!("{} {}/{}", own.kind, own.namespace, own.name);
        context.findings.push(finding.help(help).about(object, path.to_string()));
    }
}
