//! Findings as SARIF 2.1.0 (OASIS), for code scanning.

use std::collections::BTreeMap;

use chainmail_contract::Sha256Hex;
use chainmail_findings::{Agreed, Code, Diagnostic, Findings, Severity};
use serde::Serialize;
use serde_json::{Value, json};

use crate::escape::uri;

/// GitHub refuses a run with more results.
const MOST: usize = 25_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult<'f> {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Value,
    locations: Vec<Value>,
    partial_fingerprints: BTreeMap<&'static str, &'f str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppressions: Vec<Value>,
}

/// All findings as one SARIF run, the worst first where there are more than a run may have. Files are named by their
/// paths below `folder`, which is relative to the repository's root; what has no place is shown at `chainmail.toml`.
#[must_use]
pub fn sarif(findings: &Findings, folder: &str) -> String {
    let mut sorted = findings.sorted();
    if sorted.len() > MOST {
        sorted.sort_by_key(|finding| finding.severity);
        sorted.truncate(MOST);
    }
    let mut codes: Vec<Code> = sorted.iter().map(|finding| finding.code).collect();
    codes.sort();
    codes.dedup();
    let fingerprints = fingerprints(&sorted);
    let results: Vec<SarifResult<'_>> = sorted
        .iter()
        .zip(&fingerprints)
        .map(|(finding, fingerprint)| result(finding, fingerprint, &codes, folder))
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "chainmail",
                "rules": codes.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    chainmail_contract::escape::json(&serde_json::to_string_pretty(&log).expect("a log has only string keys"))
        + "\n"
}

fn rule(code: Code) -> Value {
    let page = if Code::LINTS.contains(&code) { "lints" } else { "diagnostics" };
    json!({
        "id": code.as_str(),
        "shortDescription": {"text": code.as_str().replace('-', " ")},
        "help": {"text": format!("See docs/{page}.md of Chainmail.")},
        "defaultConfiguration": {"level": level(code.severity())},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn result<'f>(finding: &Diagnostic, fingerprint: &'f str, codes: &[Code], folder: &str) -> SarifResult<'f> {
    let mut text = finding.message.clone();
    if let Some(help) = &finding.help {
        text = format!("{text}; {help}");
    }
    let (file, line, column) = match &finding.place {
        Some(place) => (place.file.as_str(), place.line, place.column),
        None => (chainmail_model::CONFIG_PATH, 1, 1),
    };
    let location = json!({"physicalLocation": {
        "artifactLocation": {"uri": uri(&format!("{folder}{file}"))},
        "region": {"startLine": line, "startColumn": column},
    }});
    SarifResult {
        rule_id: finding.code.as_str(),
        rule_index: codes.binary_search(&finding.code).expect("the codes are those of the findings"),
        level: level(finding.severity),
        message: json!({"text": text}),
        locations: vec![location],
        partial_fingerprints: BTreeMap::from([("chainmail/v1", fingerprint)]),
        suppressions: finding.waived.iter().map(suppression).collect(),
    }
}

/// §3.27.23: what a waiver covers is suppressed, and that was accepted.
fn suppression(agreed: &Agreed) -> Value {
    json!({"kind": "external", "status": "accepted", "justification": agreed.to_string()})
}

/// Of each finding what stays the same when lines move; of several that are the same the later ones are counted.
fn fingerprints(findings: &[&Diagnostic]) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    findings
        .iter()
        .map(|finding| {
            let id = finding.id();
            let count = seen.entry(id.clone()).or_default();
            *count += 1;
            Sha256Hex::of(format!("{id} {count}")).short(32).to_owned()
        })
        .collect()
}
