//! A report as people read it: what fails and why, and what it comes to.

use std::collections::BTreeSet;

use chainmail_contract::escape;
use chainmail_findings::Style;
use chainmail_model::semantics::Verdict;

use super::judge::{Contrary, Outcome, Report};
use crate::explain::decisions;

/// How many further pairs of a failure are named.
const ALSO: usize = 3;

/// Prints the failures, and the sum as the last line.
#[must_use]
pub fn text(report: &Report<'_>, style: Style) -> String {
    let mut text = String::new();
    for test in &report.tests {
        for outcome in test.outcomes.iter().filter(|outcome| !outcome.contrary.is_empty()) {
            let (on, off) = match style {
                Style::Plain => ("", ""),
                Style::Coloured => ("\x1b[1;31m", "\x1b[0m"),
            };
            text.push_str(&format!("{on}FAIL{off} {}: {}\n", escape::line(test.name), headline(outcome)));
            text.push_str(&body(outcome));
            text.push('\n');
        }
    }
    let (all, failures) = (report.outcomes().count(), report.failures());
    let counted = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    text.push_str(&format!(
        "{} of {}: {} hold, {failures} fail\n",
        counted(all, "expectation"),
        counted(report.tests.len(), "flow test"),
        all - failures
    ));
    text
}

/// `want deny, got allow: shop/web -> shop/db tcp/5432`.
pub(super) fn headline(outcome: &Outcome<'_>) -> String {
    let (want, got) = match outcome.expectation.want {
        Verdict::Allow => ("allow", "deny"),
        Verdict::Deny => ("deny", "allow"),
    };
    let pair = outcome.contrary.first().map(pair).unwrap_or_default();
    format!("want {want}, got {got}: {pair}")
}

fn pair(contrary: &Contrary) -> String {
    format!("{} -> {} {}", contrary.from.who, contrary.to.who, contrary.services)
}

/// Where it was expected, a packet that shows it, what decides on that, and who else.
pub(super) fn body(outcome: &Outcome<'_>) -> String {
    let place = &outcome.expectation.place;
    let mut text = format!("  --> {}\n", escape::line(&place.to_string()));
    if let Some(excerpt) = &place.excerpt {
        text.push_str(&format!("   | {:>3} | {}\n", place.line, escape::line(excerpt.trim_end())));
    }
    if let Some(why) = &outcome.case.why {
        text.push_str(&format!("   = why: {}\n", escape::line(why.trim_end())));
    }
    let mut lines: Vec<(String, String)> = Vec::new();
    if let Some(explanation) = outcome.contrary.first().and_then(|first| first.explanation.as_ref()) {
        lines.push(("witness".to_owned(), explanation.packet()));
        lines.extend(decisions(explanation));
    }
    let shown: BTreeSet<String> = outcome.contrary.first().map(pair).into_iter().collect();
    let others: BTreeSet<String> = outcome.contrary.iter().map(pair).collect();
    let others: Vec<&String> = others.difference(&shown).collect();
    lines.extend(others.iter().take(ALSO).map(|other| ("also".to_owned(), (*other).clone())));
    if others.len() > ALSO {
        lines.push(("also".to_owned(), format!("{} more", others.len() - ALSO)));
    }
    let width = lines.iter().map(|(head, _)| head.len()).max().unwrap_or(0);
    for (head, line) in lines {
        text.push_str(&format!("  {head:width$}  {}\n", escape::line(&line)));
    }
    text
}
