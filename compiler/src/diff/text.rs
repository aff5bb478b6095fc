//! The difference as people read it.

use std::fmt::Write as _;

use super::{Change, Diff, Line};

use crate::diagnostic::Style;

/// Prints a difference: nodes with their chains' lines, then sets with their members, then a summary.
#[must_use]
pub fn render(diff: &Diff, style: Style) -> String {
    let mut out = Printer { text: String::new(), style };
    for node in &diff.nodes {
        out.line(None, &format!("node {}{}", node.node, suffix(node.change)));
        for chain in &node.chains {
            let was = chain.was.as_ref().map(|was| format!(", was {was}")).unwrap_or_default();
            out.line(None, &format!("  {} {}{}{was}", chain.family, chain.chain, suffix(chain.change)));
            out.lines(&chain.lines, "    ");
        }
        if !node.sets.is_empty() {
            out.line(None, &format!("  sets: {}", node.sets.join(" ")));
        }
    }
    for set in &diff.sets {
        let was = set.was.as_ref().map(|was| format!(", was {was}")).unwrap_or_default();
        out.line(None, &format!("set {} {}{}{was}", set.set, set.kind, suffix(set.change)));
        out.lines(&set.members, "    ");
    }
    out.line(None, &summary(diff));
    out.text
}

fn suffix(change: Change) -> &'static str {
    match change {
        Change::Added => " (new)",
        Change::Removed => " (gone)",
        Change::Changed => "",
    }
}

fn summary(diff: &Diff) -> String {
    if diff.is_empty() {
        return "no change: rules and sets are the same on every node".to_owned();
    }
    let count = |lines: &mut dyn Iterator<Item = &Line>| {
        let (mut added, mut removed) = (0, 0);
        for line in lines {
            match line {
                Line::Added(_) => added += 1,
                Line::Removed(_) => removed += 1,
            }
        }
        (added, removed)
    };
    let (rules_added, rules_removed) =
        count(&mut diff.nodes.iter().flat_map(|node| &node.chains).flat_map(|chain| &chain.lines));
    let (members_added, members_removed) = count(&mut diff.sets.iter().flat_map(|set| &set.members));
    format!(
        "{}: rules +{rules_added} -{rules_removed}; {}: members +{members_added} -{members_removed}",
        changing(diff.nodes.len(), "node"),
        changing(diff.sets.len(), "set")
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
    fn lines(&mut self, lines: &[Line], indent: &str) {
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
