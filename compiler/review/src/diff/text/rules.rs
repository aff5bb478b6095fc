//! Rules that come and go, nodes that are alike together, and members of sets.

use chainmail_contract::OriginText;

use super::Detail;
use super::page::{Page, Tone, WIDTH, cut};
use crate::diff::{ChainDiff, Change, Line, RuleChanges, RuleLine, SetDiff, Shape};

/// Into how many lines rules are cut, and sets.
const RULES: usize = 6;
const SETS: usize = 2;

/// A line of what changes on nodes.
struct Row {
    tone: Tone,
    indent: usize,
    text: String,
}

pub(super) fn print(rules: &RuleChanges, detail: Detail, page: &mut Page) {
    let budget = |lines| if detail == Detail::Full { usize::MAX } else { lines };
    let rows: Vec<Row> = rules.shapes.iter().flat_map(shape_rows).collect();
    let rules_left = page.rows(&rows, budget(RULES), |row, page| page.line(row.tone, row.indent, &row.text));
    let sets_left = page.rows(&rules.sets, budget(SETS), |set, page| print_set(set, detail, page));
    let mut more = Vec::new();
    more.extend((rules_left > 0).then(|| format!("{rules_left} more lines of rules")));
    more.extend((sets_left > 0).then(|| format!("{sets_left} more sets")));
    if !more.is_empty() {
        page.line(Tone::Plain, 2, &format!("and {}, which -v shows", more.join(" and ")));
    }
}

fn shape_rows(shape: &Shape) -> Vec<Row> {
    let Some((first, rest)) = shape.nodes.split_first() else { return Vec::new() };
    let alike = match rest {
        [] => String::new(),
        [other] => format!(" and {other}"),
        _ => format!(" and {} alike", rest.len()),
    };
    let chains: Vec<&ChainDiff> =
        shape.chains.iter().chain(shape.own.first().into_iter().flat_map(|own| &own.chains)).collect();
    let only = if chains.is_empty() { ": only members of sets" } else { "" };
    let text = format!("rules of {first}{alike}{}{only}", suffix(shape.change));
    let mut rows = vec![Row { tone: Tone::Plain, indent: 0, text }];
    for chain in chains {
        rows.push(Row { tone: Tone::Plain, indent: 2, text: chain_text(chain) });
        let mut from: &[OriginText] = &[];
        for rule in &chain.lines {
            let (tone, text) = rule_text(rule, from == rule.from);
            rows.push(Row { tone, indent: 4, text });
            from = &rule.from;
        }
    }
    rows
}

fn chain_text(chain: &ChainDiff) -> String {
    let was = chain.was.as_ref().map(|was| format!(", was {was}")).unwrap_or_default();
    format!("IP{} {}{}{was}", chain.family, chain.chain, suffix(chain.change))
}

/// A rule without its comment: where it comes from is said behind it, once for rules that come from the same.
fn rule_text(rule: &RuleLine, same_as_before: bool) -> (Tone, String) {
    let (tone, sign, text) = match &rule.line {
        Line::Added(text) => (Tone::Opens, '+', text),
        Line::Removed(text) => (Tone::Closes, '-', text),
    };
    let mut words = text.clone();
    if !rule.from.is_empty()
        && let Some((before, after)) = text.split_once("-m comment --comment \"")
        && let Some((_, after)) = after.split_once("\" ")
    {
        words = format!("{before}{after}");
    }
    let from = match &rule.from[..] {
        [first, rest @ ..] if !same_as_before => {
            let more = if rest.is_empty() { String::new() } else { format!(" +{}", rest.len()) };
            format!("  # {} {} {}{more}", first.place, first.policy, first.rule)
        }
        _ => String::new(),
    };
    (tone, format!("{sign} {words}{from}"))
}

fn print_set(set: &SetDiff, detail: Detail, page: &mut Page) {
    let members: Vec<String> = set
        .members
        .iter()
        .map(|member| match member {
            Line::Added(text) => format!("+{text}"),
            Line::Removed(text) => format!("-{text}"),
        })
        .collect();
    let head = format!("set {} {}{}: ", set.set, set.kind, suffix(set.change));
    let listed = match detail {
        Detail::Full => members.join(" "),
        Detail::Short | Detail::Summary => cut(members.iter().map(String::as_str), " ", WIDTH - head.len()),
    };
    page.line(Tone::Plain, 0, &format!("{head}{listed}"));
}

fn suffix(change: Change) -> &'static str {
    match change {
        Change::Added => " (new)",
        Change::Removed => " (gone)",
        Change::Changed => "",
    }
}
