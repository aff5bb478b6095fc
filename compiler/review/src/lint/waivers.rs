//! Waivers: what they cover is told and fails nothing; those that are over or of no use are themselves found.

use chainmail_contract::Date;
use chainmail_findings::{Code, Diagnostic, Findings};
use chainmail_model::{Covered, LintSettings, Waiver};

pub(super) fn apply(findings: &mut Findings, waivers: &[Waiver], settings: &LintSettings, today: Date) {
    let mut about_waivers = Findings::default();
    for waiver in waivers {
        let mut find = |code, message, help: &str| {
            let finding = Diagnostic::new(code, Some(waiver.place.clone()), message).help(help);
            about_waivers.push(finding.about(format!("waiver of {}", waiver.covers), ""));
        };
        if !waiver.holds(today) {
            let message = format!("the waiver of {} ended on {}", waiver.covers, waiver.agreed.expires);
            let help = format!(
                "repair what it was for and remove it, or let {} agree on another day",
                waiver.agreed.owner
            );
            find(Code::ExpiredWaiver, message, &help);
            continue;
        }
        let mut is_used = false;
        findings.retain_mut(|finding| {
            if covers(waiver, finding) {
                is_used = true;
                finding.waived.get_or_insert_with(|| waiver.agreed.clone());
            }
            true
        });
        if waiver.is_of_lint() && !is_used {
            let message = format!("the waiver of {} covers nothing", waiver.covers);
            find(Code::UnusedWaiver, message, "remove it, or correct `lint` or `object`");
        }
    }
    super::apply(settings, &mut about_waivers);
    findings.extend(about_waivers);
}

fn covers(waiver: &Waiver, finding: &Diagnostic) -> bool {
    match (&waiver.covers, &finding.subject) {
        (Covered::Findings { lint, object }, Some(subject)) => {
            finding.code == *lint && object.is_match(&subject.object)
        }
        (Covered::Findings { .. }, None) | (Covered::Row(_) | Covered::Flows { .. }, _) => false,
    }
}
