//! A review as people read it, within 100 columns.

use std::fmt::Write as _;

use super::summary::tally;
use super::{Change, Line, Review};
use crate::diagnostic::Style;

/// How much of a review is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// The last line only.
    Summary,
    /// Long lists are cut, and say by how much.
    Short,
    /// All of it.
    Full,
}

/// Prints a review.
#[must_use]
pub fn text(review: &Review, detail: Detail, style: Style) -> String {
    let mut out = Printer { text: String::new(), style };
    if detail > Detail::Summary {
        rules(review, &mut out);
    }
    out.line(None, &last_line(review));
    out.text
}

fn rules(review: &Review, out: &mut Printer) {
    for shape in &review.rules.shapes {
        out.line(None, &format!("nodes {}{}", shape.nodes.join(" "), suffix(shape.change)));
        for chain in &shape.chains {
            let was = chain.was.as_ref().map(|was| format!(", was {was}")).unwrap_or_default();
            out.line(None, &format!("  {} {}{}{was}", chain.family, chain.chain, suffix(chain.change)));
            out.lines(chain.lines.iter().map(|rule| &rule.line), "    ");
        }
        if !shape.sets.is_empty() {
            out.line(None, &format!("  sets: {}", shape.sets.join(" ")));
        }
    }
    for set in &review.rules.sets {
        let was = set.was.as_ref().map(|was| format!(", was {was}")).unwrap_or_default();
        out.line(None, &format!("set {} {}{}{was}", set.set, set.kind, suffix(set.change)));
        out.lines(set.members.iter(), "    ");
    }
}

fn suffix(change: Change) -> &'static str {
    match change {
        Change::Added => " (new)",
        Change::Removed => " (gone)",
        Change::Changed => "",
    }
}

fn last_line(review: &Review) -> String {
    let summary = &review.summary;
    let (added, removed) = tally(review.rules.sets.iter().flat_map(|set| &set.members));
    if summary.nodes == 0 && summary.sets == 0 {
        return "no change: rules and sets are the same on every node".to_owned();
    }
    format!(
        "{}: rules +{} -{}; {}: members +{added} -{removed}",
        changing(summary.nodes, "node"),
        summary.rules_added,
        summary.rules_removed,
        changing(summary.sets, "set")
    )
}

fn changing(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what} changes") } else { format!("{count} {what}s change") }
}

struct Printer {
    text: String,
    style: Style,
}

impl Printer {
    fn lines<'l>(&mut self, lines: impl Iterator<Item = &'l Line>, indent: &str) {
        for line in lines {
            match line {
                Line::Added(text) => self.line(Some("\x1b[32m"), &format!("{indent}+ {text}")),
                Line::Removed(text) => self.line(Some("\x1b[31m"), &format!("{indent}- {text}")),
            }
        }
    }

    fn line(&mut self, colour: Option<&str>, text: &str) {
        match (self.style, colour) {
            (Style::Coloured, Some(colour)) => writeln!(self.text, "{colour}{text}\x1b[0m"),
            _ => writeln!(self.text, "{text}"),
        }
        .expect("writing to a String cannot fail");
    }
}
