//! Findings as a compiler prints them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chainmail_contract::escape;

use super::{Code, Diagnostic, Findings, Severity};

/// How many notes of one code are printed in full. A cluster has thousands of finished pods, and they hide the rest.
const NOTES_OF_A_CODE: usize = 3;

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text only.
    Plain,
    /// With ANSI colours.
    Coloured,
}

/// Prints all findings, each as
///
/// ```text
/// error[port-range-reversed]: endPort 80 is below port 8080
///   --> policies/shop/db.yaml:31:16
///    |  31 |           endPort: 80
///    = help: swap them, or remove endPort
/// ```
///
/// Notes of one code beyond a few are counted at the end; errors and warnings are all printed.
#[must_use]
pub fn render(findings: &Findings, style: Style) -> String {
    let mut out = String::new();
    let mut notes: BTreeMap<Code, usize> = BTreeMap::new();
    for diagnostic in findings.sorted() {
        if diagnostic.severity == Severity::Note {
            let seen = notes.entry(diagnostic.code).or_default();
            *seen += 1;
            if *seen > NOTES_OF_A_CODE {
                continue;
            }
        }
        one(&mut out, diagnostic, style);
    }
    for (code, seen) in notes {
        if let Some(more) = seen.checked_sub(NOTES_OF_A_CODE).filter(|more| *more > 0) {
            let (on, off) = colours(Severity::Note, style);
            writeln!(out, "{on}note{off}: … and {more} more of [{code}]")
                .expect("writing to a String cannot fail");
        }
    }
    out
}

fn colours(severity: Severity, style: Style) -> (&'static str, &'static str) {
    match (style, severity) {
        (Style::Plain, _) => ("", ""),
        (Style::Coloured, Severity::Error) => ("\x1b[1;31m", "\x1b[0m"),
        (Style::Coloured, Severity::Warning) => ("\x1b[1;33m", "\x1b[0m"),
        (Style::Coloured, Severity::Note) => ("\x1b[1;36m", "\x1b[0m"),
    }
}

fn one(out: &mut String, diagnostic: &Diagnostic, style: Style) {
    let Diagnostic { place, severity, code, message, help, subject: _, waived } = diagnostic;
    let (on, off) = colours(*severity, style);
    let message = escape::line(message);
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("{on}{severity}[{code}]{off}: {message}"));
    if let Some(place) = place {
        line(format!("  --> {}:{}:{}", escape::line(&place.file), place.line, place.column));
        if let Some(excerpt) = &place.excerpt {
            line(format!("   | {:>3} | {}", place.line, escape::line(excerpt.trim_end())));
        }
    }
    if let Some(help) = help {
        line(format!("   = help: {}", escape::line(help)));
    }
    if let Some(waived) = waived {
        line(format!("   = waived {}", escape::line(&waived.to_string())));
    }
}
