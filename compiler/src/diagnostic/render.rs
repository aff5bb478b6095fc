//! Findings as a compiler prints them.

use std::fmt::Write as _;

use super::{Diagnostic, Findings, Severity};

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
#[must_use]
pub fn render(findings: &Findings, style: Style) -> String {
    let mut out = String::new();
    for diagnostic in findings.sorted() {
        one(&mut out, diagnostic, style);
    }
    out
}

fn one(out: &mut String, diagnostic: &Diagnostic, style: Style) {
    let Diagnostic { place, severity, code, message, help } = diagnostic;
    let (on, off) = match (style, severity) {
        (Style::Plain, _) => ("", ""),
        (Style::Coloured, Severity::Error) => ("\x1b[1;31m", "\x1b[0m"),
        (Style::Coloured, Severity::Warning) => ("\x1b[1;33m", "\x1b[0m"),
        (Style::Coloured, Severity::Note) => ("\x1b[1;36m", "\x1b[0m"),
    };
    let message = printable(message);
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("{on}{severity}[{code}]{off}: {message}"));
    if let Some(place) = place {
        line(format!("  --> {}:{}:{}", printable(&place.file), place.line, place.column));
        if let Some(excerpt) = &place.excerpt {
            line(format!("   | {:>3} | {}", place.line, printable(excerpt.trim_end())));
        }
    }
    if let Some(help) = help {
        line(format!("   = help: {}", printable(help)));
    }
}

/// Text from a repository as it may reach a terminal: control characters and bidirectional overrides are spelled out,
/// so that no manifest can move the cursor or hide a line.
#[must_use]
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let reorders =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c == '\t' {
            out.push(' ');
        } else if c.is_control() || reorders {
            write!(out, "{}", c.escape_default()).expect("writing to a String cannot fail");
        } else {
            out.push(c);
        }
    }
    out
}
