//! Findings as GitHub's workflow commands, which the runner shows at their lines.

use std::fmt::Write as _;

use super::{Diagnostic, Findings, Severity};

/// How many annotations of one kind GitHub shows of a step; it drops the others without a word.
const SHOWN: usize = 10;

/// All findings as `::error`, `::warning` and `::notice` commands, the worst first, and a last line that counts them.
/// Files are named by their paths below `folder`, which is relative to the repository's root.
#[must_use]
pub fn github(findings: &Findings, folder: &str) -> String {
    let mut out = String::new();
    let sorted = findings.sorted();
    let mut counts = Vec::new();
    for severity in [Severity::Error, Severity::Warning, Severity::Note] {
        let these: Vec<&Diagnostic> =
            sorted.iter().copied().filter(|finding| finding.severity == severity).collect();
        for finding in these.iter().take(SHOWN) {
            command(&mut out, finding, folder);
        }
        if these.len() > SHOWN {
            writeln!(out, "{severity}s beyond {SHOWN}, which GitHub would not show at their lines:")
                .expect("writing to a String cannot fail");
            for finding in &these[SHOWN..] {
                let place =
                    finding.place.as_ref().map_or(String::new(), |place| format!(" ({folder}{place})"));
                let line = format!("{severity}[{}]: {}{place}", finding.code, finding.message);
                writeln!(out, "  {}", inert(&line)).expect("writing to a String cannot fail");
            }
        }
        counts.push(format!("{} {severity}{}", these.len(), if these.len() == 1 { "" } else { "s" }));
    }
    writeln!(out, "{}", counts.join(", ")).expect("writing to a String cannot fail");
    out
}

fn command(out: &mut String, finding: &Diagnostic, folder: &str) {
    let command = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut properties = Vec::new();
    if let Some(place) = &finding.place {
        properties.push(format!("file={}", property(&format!("{folder}{}", place.file))));
        properties.push(format!("line={}", place.line));
        properties.push(format!("col={}", place.column));
    }
    properties.push(format!("title={}", property(finding.code.as_str())));
    let mut message = finding.message.clone();
    if let Some(help) = &finding.help {
        message = format!("{message}\n{help}");
    }
    writeln!(out, "::{command} {}::{}", properties.join(","), data(&message))
        .expect("writing to a String cannot fail");
}

/// A command's message, escaped as `actions/toolkit` does it: a line break would end the command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A command's property, in which `:` and `,` are signs too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Text of a line that is no command, given that it does not begin the line: commands of old begin anywhere, with `##[`.
fn inert(text: &str) -> String {
    super::render::printable(text).replace("##[", "##\u{200b}[")
}
