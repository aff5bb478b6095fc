//! The lines of an `iptables-save` text, told apart but not evaluated.

use std::borrow::Cow;

/// One line of a text that `iptables-save` prints or `iptables-restore` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// `*filter`: a table begins.
    Table(&'a str),
    /// `:NAME POLICY [0:0]`: a chain is declared. A chain that is not built in has the policy `-`.
    Chain {
        /// The chain.
        name: &'a str,
        /// The rest of the line.
        policy: &'a str,
    },
    /// `-A CHAIN …`: a rule.
    Rule {
        /// The chain that it is appended to.
        chain: &'a str,
        /// Matches and target, as printed.
        body: &'a str,
    },
    /// `COMMIT`: the table ends.
    Commit,
    /// `# …`, or nothing.
    Remark(&'a str),
    /// A line that `iptables-save` does not print.
    Other(&'a str),
}

impl<'a> Line<'a> {
    /// Tells what a line is.
    #[must_use]
    pub fn of(line: &'a str) -> Self {
        if let Some(table) = line.strip_prefix('*') {
            Line::Table(table)
        } else if let Some(chain) = line.strip_prefix(':') {
            let (name, policy) = chain.split_once(' ').unwrap_or((chain, ""));
            Line::Chain { name, policy }
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let (chain, body) = rule.split_once(' ').unwrap_or((rule, ""));
            Line::Rule { chain, body }
        } else if line == "COMMIT" {
            Line::Commit
        } else if line.is_empty() || line.starts_with('#') {
            Line::Remark(line)
        } else {
            Line::Other(line)
        }
    }
}

/// Splits a rule into words as `iptables-restore` does: at blanks, but not between double quotes, where a backslash
/// takes the next byte as it is. `None` when a quote is left open.
#[must_use]
pub fn words(body: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut words = Vec::new();
    let mut rest = body.trim_start_matches(BLANKS);
    while !rest.is_empty() {
        let (word, behind) = first_word(rest)?;
        words.push(word);
        rest = behind.trim_start_matches(BLANKS);
    }
    Some(words)
}

const BLANKS: [char; 2] = [' ', '\t'];

/// The first word of a text that begins with one, and what is behind it.
fn first_word(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let plain = text.find([' ', '\t', '"']).unwrap_or(text.len());
    let (begin, rest) = text.split_at(plain);
    if !rest.starts_with('"') {
        return Some((Cow::Borrowed(begin), rest));
    }
    let mut word = begin.to_owned();
    let mut quoted = false;
    let mut chars = rest.chars();
    loop {
        let behind = chars.as_str();
        let Some(c) = chars.next() else { break };
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => word.push(chars.next()?),
            c if !quoted && BLANKS.contains(&c) => return Some((Cow::Owned(word), behind)),
            c => word.push(c),
        }
    }
    (!quoted).then_some((Cow::Owned(word), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let rows = [
            ("*filter", Line::Table("filter")),
            (":CM-FORWARD - [0:0]", Line::Chain { name: "CM-FORWARD", policy: "- [0:0]" }),
            ("-A CM-A -s 10.0.0.1/32 -j DROP", Line::Rule { chain: "CM-A", body: "-s 10.0.0.1/32 -j DROP" }),
            ("-A CM-A", Line::Rule { chain: "CM-A", body: "" }),
            ("COMMIT", Line::Commit),
            ("# Completed", Line::Remark("# Completed")),
            ("-I FORWARD 1 -j X", Line::Other("-I FORWARD 1 -j X")),
        ];
        for (text, line) in rows {
            assert_eq!(Line::of(text), line, "{text}");
        }
    }

    #[test]
    fn words_keep_quoted_blanks() {
        let rows: &[(&str, Option<&[&str]>)] = &[
            (
                "-m comment --comment \"a b\" -j DROP",
                Some(&["-m", "comment", "--comment", "a b", "-j", "DROP"]),
            ),
            (r#"--comment "say \"x\"" -j X"#, Some(&["--comment", "say \"x\"", "-j", "X"])),
            ("--comment \"\"", Some(&["--comment", ""])),
            ("--comment \"open", None),
            ("  -s  10.0.0.1 ", Some(&["-s", "10.0.0.1"])),
        ];
        for (text, expected) in rows {
            let expected =
                expected.map(|words| words.iter().map(|&word| Cow::Borrowed(word)).collect::<Vec<_>>());
            assert_eq!(words(text), expected, "{text}");
        }
    }
}
