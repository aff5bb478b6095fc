//! Findings for programs.

use chainmail_findings::{Agreed, Findings};
use serde::Serialize;

#[derive(Serialize)]
struct Line<'a> {
    code: &'static str,
    severity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waived: Option<&'a Agreed>,
}

/// All findings as JSON lines, in order of places: `code`, `severity`, `message`, and where there are some `file`,
/// `line`, `column`, `help`, `object`, `field` and `waived`. None is folded away.
#[must_use]
pub fn json(findings: &Findings) -> String {
    let mut out = String::new();
    for diagnostic in findings.sorted() {
        let place = diagnostic.place.as_ref();
        let subject = diagnostic.subject.as_ref();
        let line = Line {
            code: diagnostic.code.as_str(),
            severity: diagnostic.severity.to_string(),
            file: place.map(|place| place.file.as_str()),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            message: &diagnostic.message,
            help: diagnostic.help.as_deref(),
            object: subject.map(|subject| subject.object.as_str()),
            field: subject.map(|subject| subject.field.as_str()).filter(|field| !field.is_empty()),
            waived: diagnostic.waived.as_ref(),
        };
        let line = serde_json::to_string(&line).expect("strings and numbers are always JSON");
        out.push_str(&chainmail_contract::escape::json(&line));
        out.push('\n');
    }
    out
}
