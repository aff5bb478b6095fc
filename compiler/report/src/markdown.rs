//! A review as one comment of a pull request, in the Markdown of GitHub and GitLab.
//!
//! A comment has a limit, and one that is over it is lost. What does not fit is left out from the end of this list: what
//! happens in numbers, the rows of what packets meet, their details, rules, members of sets. Each cut says what it left
//! out; numbers are always those of the whole review.

use std::fmt::Write as _;

use chainmail_findings::Agreed;
use chainmail_review::diff::{ChainDiff, Change, Flow, Isolation, Line, Mixed, Review, SetDiff, Shape};

use super::links::{LinkBase, Links};
use super::words::{
    agreed, change_word, counted, ends, headline, outcome_note, reasons, services, short_commit, side,
};
use crate::escape::{FENCE, code, fenced, html, short};

/// What a comment may come to, in bytes. GitHub refuses more than 65,536 characters, and a title or a link may be added.
pub const BUDGET: usize = 60_000;
/// Finds the comment that is to be replaced: there is one to a pull request.
pub const MARKER: &str = "<!-- chainmail review -->";
/// What a line comes to at most that says what was left out.
const NOTE: usize = 200;
/// How many such lines there may be: rows, mixed flows, rules and sets may each be cut in their midst and at their end.
const NOTES: usize = 8;
const ELSEWHERE: &str = "`chainmail diff -v` prints all, `-o json` has all";

/// Prints a review within [`BUDGET`]; with a base the places of causes are links.
#[must_use]
pub fn markdown(review: &Review, base: Option<&LinkBase>) -> String {
    within(review, base, BUDGET)
}

fn within(review: &Review, base: Option<&LinkBase>, budget: usize) -> String {
    let links = Links::new(review, base);
    let head = head(review);
    let foot = foot(review);
    let mut page =
        Page { text: String::new(), left: budget.saturating_sub(head.len() + foot.len() + NOTES * NOTE) };
    if let Some(reachability) = &review.reachability {
        let flows = reachability.flows.iter().map(|flow| flow_row(flow, links));
        let isolation = reachability.isolation.iter().map(|row| isolation_row(row, links));
        page.table(&flows.chain(isolation).collect::<Vec<_>>());
        page.list(&reachability.mixed.iter().map(mixed_line).collect::<Vec<_>>());
    }
    page.shapes(&review.rules.shapes);
    page.sets(&review.rules.sets);
    format!("{head}{}{foot}", page.text)
}

fn head(review: &Review) -> String {
    let mut text = format!("{MARKER}\n### {}\n\n", headline(review));
    let (base, head) = (side(&review.base), side(&review.head));
    writeln!(text, "{base} → {head}{}\n", super::words::sources(&review.summary.sources)).expect(INFALLIBLE);
    if let Some(note) = outcome_note(review) {
        writeln!(text, "{note}\n").expect(INFALLIBLE);
    }
    text
}

const INFALLIBLE: &str = "writing to a String cannot fail";

fn foot(review: &Review) -> String {
    let digest = |digest: &str| code(&short(digest, 16));
    // Only of commits: the name of a folder or branch is somebody's text, and a command is copied into a shell.
    let again = match (&review.base.commit, &review.head.commit) {
        (Some(base), Some(head)) => {
            format!("; the same by `chainmail diff {}..{}`", short_commit(base), short_commit(head))
        }
        _ => String::new(),
    };
    format!(
        "<sub>rules of {}, digest {} → {}{again}</sub>\n",
        counted(review.head.nodes, "node", "nodes"),
        digest(&review.base.digest),
        digest(&review.head.digest)
    )
}

/// A row with all its details, and with the fewest.
struct Row {
    full: String,
    brief: String,
}

fn row(cells: impl Fn(usize) -> [String; 5]) -> Row {
    let line = |most| format!("| {} |\n", cells(most).join(" | "));
    Row { full: line(3), brief: line(1) }
}

fn flow_row(flow: &Flow, links: Links<'_>) -> Row {
    row(|most| {
        let mut why = reasons(&flow.causes, most, links);
        if most > 1 {
            let packet = format!("{} {} {}", flow.witness.from, flow.witness.to, flow.witness.service);
            write!(why, "; {}", code(&short(&format!("explain {packet}"), 160))).expect(INFALLIBLE);
        }
        why.push_str(&waived(flow.waived.as_ref()));
        [change_word(flow), ends(&flow.from, most), ends(&flow.to, most), services(flow), why]
    })
}

/// Stands behind the causes of what is waived.
fn waived(by: Option<&Agreed>) -> String {
    by.map_or_else(String::new, |by| format!("; **{}**", agreed(by)))
}

fn isolation_row(isolation: &Isolation, links: Links<'_>) -> Row {
    row(|most| {
        let [word, from, to] = super::words::isolation(isolation, most);
        let why = reasons(&isolation.causes, most, links) + &waived(isolation.waived.as_ref());
        [word, from, to, String::new(), why]
    })
}

fn mixed_line(mixed: &Mixed) -> String {
    let services = code(&short(&mixed.services.to_string(), 80));
    format!("- {} → {} {services}\n", ends(&mixed.from, 1), ends(&mixed.to, 1))
}

/// What still may be written.
struct Page {
    text: String,
    left: usize,
}

impl Page {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.left = self.left.saturating_sub(text.len());
    }

    /// Says what is left out; room for that is kept from the beginning.
    fn note(&mut self, text: &str) {
        debug_assert!(text.len() <= NOTE, "{text}");
        self.text.push_str(text);
    }

    /// How many of these fit, from the first one on, with room for what has to follow.
    fn fitting(&self, costs: impl Iterator<Item = usize>, reserved: usize) -> usize {
        let mut left = self.left.saturating_sub(reserved);
        let fits = |cost: &usize| {
            let fits = *cost <= left;
            left = left.saturating_sub(*cost);
            fits
        };
        costs.take_while(fits).count()
    }

    fn table(&mut self, rows: &[Row]) {
        const HEAD: &str = "| | from | to | services | why |\n|---|---|---|---|---|\n";
        if rows.is_empty() {
            return;
        }
        self.push(HEAD);
        let shown = self.fitting(rows.iter().map(|row| row.brief.len()), 1);
        let brief: usize = rows[..shown].iter().map(|row| row.brief.len()).sum();
        let details = rows[..shown].iter().map(|row| row.full.len() - row.brief.len().min(row.full.len()));
        let detailed = self.fitting(details, brief);
        for row in &rows[..detailed] {
            self.push(&row.full);
        }
        for row in &rows[detailed..shown] {
            self.push(&row.brief);
        }
        self.push("\n");
        if shown < rows.len() {
            let more = counted(rows.len() - shown, "more change is", "more changes are");
            self.note(&format!("**{more} not shown here**: {ELSEWHERE}.\n\n"));
        } else if detailed < shown {
            self.note(&format!("The last {} are in short: {ELSEWHERE}.\n\n", shown - detailed));
        }
    }

    fn list(&mut self, lines: &[String]) {
        const OPEN: &str = "<details><summary>Open only while nodes load different revisions</summary>\n\n";
        const CLOSE: &str = "\n</details>\n\n";
        if self.block(OPEN, lines, CLOSE, "- ") == Fit::Nothing {
            let flows = counted(lines.len(), "flow that is", "flows that are");
            self.note(&format!("{flows} open only while nodes differ: {ELSEWHERE}.\n\n"));
        }
    }

    fn shapes(&mut self, shapes: &[Shape]) {
        let mut cut = false;
        for (index, shape) in shapes.iter().enumerate() {
            let open = format!("<details><summary>{}</summary>\n\n{FENCE}diff\n", shape_title(shape));
            let close = format!("{FENCE}\n</details>\n\n");
            // What is small enough to stand behind a cut would look like the end of it.
            let fit = if cut { Fit::Nothing } else { self.block(&open, &shape_lines(shape), &close, "# ") };
            if fit == Fit::Nothing {
                let nodes: usize = shapes[index..].iter().map(|shape| shape.nodes.len()).sum();
                let nodes = counted(nodes, "more node is", "more nodes are");
                self.note(&format!("The rules of {nodes} not shown here: {ELSEWHERE}.\n\n"));
                return;
            }
            cut = fit == Fit::Some;
        }
    }

    fn sets(&mut self, sets: &[SetDiff]) {
        let lines: Vec<String> = sets.iter().flat_map(set_lines).collect();
        let summary = counted(sets.len(), "set", "sets");
        let open = format!("<details><summary>{summary}</summary>\n\n{FENCE}diff\n");
        let close = format!("{FENCE}\n</details>\n\n");
        if self.block(&open, &lines, &close, "# ") == Fit::Nothing {
            self.note(&format!("The members of {summary} are not shown here: {ELSEWHERE}.\n\n"));
        }
    }

    /// Writes lines between two others, as many as fit. A line that says how many do not begins with `sign`.
    fn block(&mut self, open: &str, lines: &[String], close: &str, sign: &str) -> Fit {
        let shown = self.fitting(lines.iter().map(String::len), open.len() + close.len());
        let fit = match shown {
            _ if shown == lines.len() => Fit::All,
            0 => return Fit::Nothing,
            _ => Fit::Some,
        };
        if lines.is_empty() {
            return fit;
        }
        self.push(open);
        for line in &lines[..shown] {
            self.push(line);
        }
        if fit == Fit::Some {
            let more = counted(lines.len() - shown, "more line is", "more lines are");
            self.note(&format!("{sign}{more} not shown here\n"));
        }
        self.push(close);
        fit
    }
}

/// How much of something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    All,
    Some,
    Nothing,
}

fn shape_title(shape: &Shape) -> String {
    let name = |name: &String| html(&short(name, 63));
    let first = shape.nodes.first().map(name).unwrap_or_default();
    let nodes = match shape.nodes.len() {
        0 | 1 => format!("node {first}"),
        count => format!("{count} nodes: {first} and {} alike", count - 1),
    };
    format!("Rules of {nodes}{}", change_note(shape.change))
}

fn change_note(change: Change) -> &'static str {
    match change {
        Change::Added => " (new)",
        Change::Removed => " (gone)",
        Change::Changed => "",
    }
}

fn shape_lines(shape: &Shape) -> Vec<String> {
    let mut lines: Vec<String> = shape.chains.iter().flat_map(chain_lines).collect();
    if let [first, others @ ..] = &shape.own[..] {
        if !others.is_empty() {
            let nodes = counted(others.len(), "other node changes", "other nodes change");
            lines
                .push(fenced_line("# ", &format!("for its own pods, node {}; {nodes} likewise", first.node)));
        }
        lines.extend(first.chains.iter().flat_map(chain_lines));
    }
    // Where only members change, or a node without pods comes or goes.
    if lines.is_empty() {
        lines.push(fenced_line("# ", "no rule of a policy changes"));
    }
    lines
}

fn chain_lines(chain: &ChainDiff) -> Vec<String> {
    let was = chain.was.as_ref().map(|was| format!(", was {was}")).unwrap_or_default();
    let title = format!("{} {}{was}{}", chain.family, chain.chain, change_note(chain.change));
    let rules = chain.lines.iter().map(|rule| diff_line(&rule.line));
    std::iter::once(fenced_line("@@ ", &title)).chain(rules).collect()
}

fn set_lines(set: &SetDiff) -> Vec<String> {
    let was = set.was.as_ref().map(|was| format!(", was {was}")).unwrap_or_default();
    let title = fenced_line("@@ ", &format!("{} {}{was}{}", set.set, set.kind, change_note(set.change)));
    std::iter::once(title).chain(set.members.iter().map(diff_line)).collect()
}

fn diff_line(line: &Line) -> String {
    match line {
        Line::Added(text) => fenced_line("+ ", text),
        Line::Removed(text) => fenced_line("- ", text),
    }
}

fn fenced_line(sign: &str, text: &str) -> String {
    format!("{sign}{}\n", fenced(&short(text, 400)))
}

#[cfg(test)]
mod tests;
