//! A report for programs; `docs/flow-tests.md` has its shape.

use chainmail_model::semantics::Verdict;
use serde::Serialize;

use super::judge::{Contrary, Outcome, Report};
use crate::explain::Explanation;
use crate::query::Allowed;

const SCHEMA: &str = "chainmail.test/v1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    expectations: usize,
    failures: usize,
    tests: Vec<TestView<'a>>,
}

#[derive(Serialize)]
struct TestView<'a> {
    name: &'a str,
    expectations: Vec<OutcomeView<'a>>,
}

#[derive(Serialize)]
struct OutcomeView<'a> {
    from: Vec<String>,
    to: Vec<String>,
    want: &'static str,
    services: &'a Allowed,
    file: &'a str,
    line: u32,
    column: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    pairs: usize,
    holds: bool,
    contrary: Vec<ContraryView<'a>>,
}

#[derive(Serialize)]
struct ContraryView<'a> {
    from: String,
    to: String,
    family: String,
    services: &'a Allowed,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'a Explanation>,
}

/// The report as one JSON document.
#[must_use]
pub fn json(report: &Report<'_>) -> String {
    let expectations = report.outcomes().count();
    let tests = report
        .tests
        .iter()
        .map(|test| TestView { name: test.name, expectations: test.outcomes.iter().map(outcome).collect() });
    let document =
        Document { schema: SCHEMA, expectations, failures: report.failures(), tests: tests.collect() };
    chainmail_contract::escape::json(
        &serde_json::to_string_pretty(&document).expect("a report has only string keys"),
    ) + "\n"
}

fn outcome<'a>(outcome: &'a Outcome<'_>) -> OutcomeView<'a> {
    let Outcome { case, expectation, pairs, contrary } = outcome;
    let ends = |side: &super::Side| side.ends.iter().map(|(end, _)| end.to_string()).collect();
    OutcomeView {
        from: ends(&case.from),
        to: ends(&case.to),
        want: match expectation.want {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
        },
        services: &expectation.services,
        file: &expectation.place.file,
        line: expectation.place.line,
        column: expectation.place.column,
        why: case.why.as_deref(),
        pairs: *pairs,
        holds: contrary.is_empty(),
        contrary: contrary.iter().map(view).collect(),
    }
}

fn view(contrary: &Contrary) -> ContraryView<'_> {
    ContraryView {
        from: contrary.from.who.to_string(),
        to: contrary.to.who.to_string(),
        family: contrary.family.to_string(),
        services: &contrary.services,
        explanation: contrary.explanation.as_ref(),
    }
}
