//! Texts of `iptables-save` and `ipset save` as records: told apart, with their words, and not judged.
//!
//! A live text has what others wrote, in forms that are not known here. So this reader takes every form. It ends a rule
//! where the tool ended it: a comment may hold newlines, and what stands between quotes is no rule, chain or jump.

mod sets;

use std::borrow::Cow;

pub use sets::{Create, entries, set_texts};

use crate::error::{FileKind, Place};
use crate::parse::Tokens;

/// One record of a text that `iptables-save` prints or `iptables-restore` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record<'t> {
    /// `*filter`: a table begins.
    Table(&'t str),
    /// `:NAME POLICY [0:0]`: a chain is declared. A chain that is not built in has the policy `-`.
    Chain {
        /// The chain.
        name: &'t str,
        /// The rest of the line.
        policy: &'t str,
    },
    /// `-A CHAIN …`: a rule.
    Rule {
        /// The chain that it is appended to.
        chain: &'t str,
        /// The rule from `-A` on, without counters.
        text: &'t str,
        /// Matches and target: what follows `-A CHAIN` and a blank.
        body: &'t str,
    },
    /// `COMMIT`: the table ends.
    Commit,
    /// `# …`, or nothing.
    Remark(&'t str),
    /// A line that `iptables-save` does not print.
    Other(&'t str),
}

impl<'t> Record<'t> {
    /// Tells what a record is.
    #[must_use]
    pub fn of(record: &'t str) -> Self {
        if let Some(table) = record.strip_prefix('*') {
            return Record::Table(table.trim_end());
        }
        if let Some(chain) = record.strip_prefix(':') {
            let (name, policy) = split_word(chain);
            return Record::Chain { name, policy };
        }
        if record == "COMMIT" {
            return Record::Commit;
        }
        if record.is_empty() || record.starts_with('#') {
            return Record::Remark(record);
        }
        // "[packets:bytes] " before a rule, of iptables-save -c.
        let text = match record.strip_prefix('[').and_then(|counted| counted.split_once("] ")) {
            Some((_, rule)) => rule,
            None => record,
        };
        match text.strip_prefix("-A ").map(split_word) {
            // A quoted or missing name would be a rule of ours that passes for another's.
            Some((chain, body)) if !chain.is_empty() && !chain.contains('"') => {
                Record::Rule { chain, text, body }
            }
            _ => Record::Other(record),
        }
    }
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_once([' ', '\t']).unwrap_or((text, ""))
}

/// A record and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line<'t> {
    /// The line that it begins on, from 1.
    pub number: u32,
    /// All of it, without the newline that ends it.
    pub text: &'t str,
    /// What it is.
    pub record: Record<'t>,
}

/// The records of a text.
#[must_use]
pub fn records(text: &str) -> Records<'_> {
    Records { rest: text, line: 1 }
}

/// The iterator of [`records`].
#[derive(Debug, Clone)]
pub struct Records<'t> {
    rest: &'t str,
    line: u32,
}

impl<'t> Iterator for Records<'t> {
    type Item = Line<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        // Only a rule has quotes; a quote in a remark or in a chain's name is a letter.
        let is_rule = self.rest.starts_with(['-', '[']);
        let end = if is_rule { end_of_rule(self.rest) } else { self.rest.find('\n') };
        let (text, rest) = match end.and_then(|end| self.rest.split_at_checked(end)) {
            Some((text, rest)) => (text, rest.strip_prefix('\n').unwrap_or(rest)),
            None => (self.rest, ""),
        };
        let number = self.line;
        self.line = number.saturating_add(newlines(text)).saturating_add(1);
        self.rest = rest;
        Some(Line { number, text, record: Record::of(text) })
    }
}

/// How many newlines a record has in itself.
pub(crate) fn newlines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

/// Where a rule ends: at the first newline outside quotes. iptables-save puts the whole value of a long option between
/// quotes, with a backslash before each quote in it (`xtables_save_string`). Another quote, or one that is never closed, was
/// not printed so, and is a letter: names are printed as they are.
fn end_of_rule(text: &str) -> Option<usize> {
    let first = text.find('\n')?;
    // Nearly all rules have no quote, and there are thousands.
    if !text.get(..first)?.contains('"') {
        return Some(first);
    }
    let (mut is_quoted, mut is_escaped) = (false, false);
    let mut word = Word { dashes: 0, length: 0, follows_option: false };
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' if is_quoted => is_quoted = false,
            _ if is_quoted => {}
            b'\n' => return Some(at),
            b'"' if word.length == 0 && word.follows_option => is_quoted = true,
            _ => {}
        }
        if !is_quoted {
            word = word.then(byte);
        }
    }
    Some(first)
}

/// The word that is being read.
struct Word {
    /// How many dashes it begins with.
    dashes: usize,
    length: usize,
    /// Whether the word before it is a long option.
    follows_option: bool,
}

impl Word {
    fn then(self, byte: u8) -> Self {
        match byte {
            b' ' | b'\t' if self.length == 0 => self,
            b' ' | b'\t' => Self { dashes: 0, length: 0, follows_option: self.dashes >= 2 },
            _ => {
                let dashes = self.dashes + usize::from(byte == b'-' && self.dashes == self.length);
                Self { dashes, length: self.length + 1, ..self }
            }
        }
    }
}

/// The words of a rule, split as `iptables-restore` splits them; `None` when a quote is left open.
#[must_use]
pub fn words(body: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut tokens = Tokens::new(Place { file: FileKind::Sets, line: 0 }, body);
    let mut words = Vec::new();
    while let Some(word) = tokens.next().ok()? {
        words.push(word);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart() {
        let rule = |chain, text, body| Record::Rule { chain, text, body };
        let rows = [
            ("*filter", Record::Table("filter")),
            (":CM-FORWARD - [0:0]", Record::Chain { name: "CM-FORWARD", policy: "- [0:0]" }),
            (
                "-A CM-A -s 10.0.0.1/32 -j DROP",
                rule("CM-A", "-A CM-A -s 10.0.0.1/32 -j DROP", "-s 10.0.0.1/32 -j DROP"),
            ),
            ("[1:60] -A CM-A -j DROP", rule("CM-A", "-A CM-A -j DROP", "-j DROP")),
            ("-A CM-A", rule("CM-A", "-A CM-A", "")),
            ("-A \"CM-A\" -j DROP", Record::Other("-A \"CM-A\" -j DROP")),
            ("COMMIT", Record::Commit),
            ("# Completed", Record::Remark("# Completed")),
            ("-I FORWARD 1 -j X", Record::Other("-I FORWARD 1 -j X")),
        ];
        for (text, record) in rows {
            assert_eq!(Record::of(text), record, "{text}");
        }
    }

    #[test]
    fn a_rule_ends_with_the_first_newline_outside_quotes() {
        let comment = |text: &str| format!("-A A -m comment --comment \"{text}\" -j ACCEPT");
        for text in ["a\n:CM-BAD - [0:0]", "a\n-A FORWARD -j CM-FORWARD", "\\\"\nCOMMIT", "a\\\\"] {
            let rule = comment(text);
            let whole = format!("# \"\n*filter\n:A\"B - [0:0]\n{rule}\n-A B\nCOMMIT\n");
            let found: Vec<Line<'_>> = records(&whole).collect();
            let of = |number, text| Line { number, text, record: Record::of(text) };
            assert_eq!(found[3], of(4, &*rule));
            assert!(matches!(found[3].record, Record::Rule { chain: "A", .. }), "{found:?}");
            assert_eq!(
                found[4..],
                [of(5 + newlines(text), "-A B"), of(6 + newlines(text), "COMMIT")],
                "{text}"
            );
        }
        for odd in ["-A A -j \"x", "-A A --name a\"b --set", "-A A --name \"a"] {
            let whole = format!("{odd}\n-A B\n");
            let found: Vec<Record<'_>> = records(&whole).map(|line| line.record).collect();
            assert_eq!(found, [Record::of(odd), Record::of("-A B")]);
        }
        // Only the first is a value of a long option.
        for (text, rules) in
            [("-A A --comment \"a\n-A B --comment b\"\n", 1), ("-A A -j \"a\n-A B -j b\"\n", 2)]
        {
            assert_eq!(records(text).count(), rules, "{text}");
        }
    }

    #[test]
    fn words_are_those_of_iptables_restore() {
        assert_eq!(words("-s \"10.0.0.1\"-j  X").unwrap(), ["-s", "10.0.0.1", "-j", "X"]);
        assert_eq!(words("--comment \"open"), None);
    }
}
