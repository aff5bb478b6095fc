//! The formats of findings, for the commands whose result they are.

use chainmail_findings::{Findings, Style, render};
use chainmail_report::findings::{github, json, sarif};
use chainmail_report::inert;
use clap::ValueEnum;

/// A format of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// As compilers print it.
    Text,
    /// One object a line: code, severity, message, and where there are some file, line, column, help, object and field.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// GitHub's workflow commands, which its runner shows at their lines.
    Github,
}

impl Format {
    /// Findings in this format. `folder` is where files are in the repository.
    pub(super) fn render(self, findings: &Findings, folder: &str, style: Style) -> String {
        match self {
            Format::Text => inert(&render(findings, style)),
            Format::Json => json(findings),
            Format::Sarif => sarif(findings, folder),
            Format::Github => github(findings, folder),
        }
    }
}
