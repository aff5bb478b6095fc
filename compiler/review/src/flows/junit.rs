//! A report as JUnit XML: a flow test is a suite, an expectation a test case. The elements and attributes are those of
//! `jenkins-junit.xsd`; there is no time in it, as for equal policies it is to be equal.

use chainmail_contract::escape;
use chainmail_model::semantics::Verdict;

use super::judge::{Outcome, Report};
use super::text::{body, headline};

/// The report as one XML document.
#[must_use]
pub fn junit(report: &Report<'_>) -> String {
    let all = report.outcomes().count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"chainmail test\" tests=\"{all}\" failures=\"{}\">\n",
        report.failures()
    );
    for test in &report.tests {
        let failures = test.outcomes.iter().filter(|outcome| !outcome.contrary.is_empty()).count();
        let name = attribute(test.name);
        xml.push_str(&format!(
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\">\n",
            test.outcomes.len()
        ));
        for outcome in &test.outcomes {
            let title = attribute(&title(outcome));
            xml.push_str(&format!("    <testcase classname=\"{name}\" name=\"{title}\""));
            if outcome.contrary.is_empty() {
                xml.push_str("/>\n");
                continue;
            }
            let (message, body) = (attribute(&headline(outcome)), escaped(&body(outcome)));
            xml.push_str(&format!(
                ">\n      <failure type=\"flow\" message=\"{message}\">{body}</failure>\n    </testcase>\n"
            ));
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// `shop/web -> shop/db: allow tcp/5432`.
fn title(outcome: &Outcome<'_>) -> String {
    let want = match outcome.expectation.want {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    };
    format!("{} -> {}: {want} {}", outcome.case.from, outcome.case.to, outcome.expectation.services)
}

/// Text that may stand in an element. What XML 1.0 has no character for (§2.2) is spelled out,
/// among all else that does not belong into text.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in escape::lines(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('\n'),
            '\u{fffe}' | '\u{ffff}' => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    // A runner of CI takes commands from its log: behind `::` at the beginning of a line, behind `##[` anywhere.
    let line = |line: &str| match line.trim_start().strip_prefix("::") {
        Some(rest) => format!("&#58;:{rest}"),
        None => line.to_owned(),
    };
    out.replace("##[", "##&#91;").split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Text between double quotes: all on one line.
fn attribute(text: &str) -> String {
    escaped(text).replace('\n', "&#10;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_place() {
        let text = "a\"><failure/>&amp;\u{1b}[31m\u{0}\u{fffe}\n::error::##[error]";
        let expected =
            "a&quot;&gt;&lt;failure/&gt;&amp;amp;\\u{1b}[31m\\u{0}\\u{fffe}\n&#58;:error::##&#91;error]";
        assert_eq!(escaped(text), expected);
        assert_eq!(attribute("a\n ::b"), "a&#10;&#58;:b");
    }
}
