//! Findings as annotations of GitHub.

use chainmail_findings::{Diagnostic, Findings, Severity};

use crate::annotation::{Annotation, At, Level, commands};

/// All findings as `::error`, `::warning` and `::notice` commands, the worst first, and a last line that counts them.
/// Files are named by their paths below `folder`, which is relative to the repository's root.
#[must_use]
pub fn github(findings: &Findings, folder: &str) -> String {
    let all: Vec<Annotation> =
        findings.sorted().into_iter().map(|finding| annotation(finding, folder)).collect();
    let counts = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| {
        let count = findings.count(severity);
        format!("{count} {severity}{}", if count == 1 { "" } else { "s" })
    });
    format!("{}{}\n", commands(&all), counts.join(", "))
}

fn annotation(finding: &Diagnostic, folder: &str) -> Annotation {
    let level = match (finding.severity, &finding.waived) {
        (Severity::Note, _) | (_, Some(_)) => Level::Notice,
        (Severity::Error, None) => Level::Error,
        (Severity::Warning, None) => Level::Warning,
    };
    let waived = finding.waived.as_ref().map(|waived| format!("waived {waived}"));
    let message =
        [Some(finding.message.clone()), finding.help.clone(), waived].into_iter().flatten().collect();
    let at = finding.place.as_ref().map(|place| At {
        file: format!("{folder}{}", place.file),
        line: place.line,
        column: Some(place.column),
    });
    Annotation { level, title: finding.code.as_str().to_owned(), message, at }
}
