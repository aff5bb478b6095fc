//! A review as people read it, within 100 columns: a sign and a word first, so that no colour is needed.

mod flows;
mod page;
mod rules;

use chainmail_findings::Style;

use super::{Outcome, Review, SideFacts, Summary};

use page::Page;

/// How much of a review is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// What it comes to.
    Summary,
    /// Long lists are cut, and say by how much.
    Short,
    /// All of it, with packets to ask `explain` for.
    Full,
}

/// Prints a review.
#[must_use]
pub fn text(review: &Review, detail: Detail, style: Style) -> String {
    let mut page = Page::new(style);
    if detail > Detail::Summary && review.summary.outcome != Outcome::Same {
        page.list(&format!("{} -> {}", side(&review.base), side(&review.head)), "   ", &header(review));
        if let Some(reachability) = &review.reachability {
            flows::print(reachability, detail, &mut page);
        }
        rules::print(&review.rules, detail, &mut page);
    }
    let (first, rest) = outcome(review);
    page.list(&first, "; ", &rest);
    page.text()
}

fn side(side: &SideFacts) -> String {
    match &side.commit {
        Some(commit) if !commit.starts_with(&side.name) => {
            format!("{} {}", side.name, commit.get(..7).unwrap_or(commit))
        }
        Some(_) | None => side.name.clone(),
    }
}

/// What manifests say otherwise, and how many nodes that is about.
fn header(review: &Review) -> Vec<String> {
    let Summary { sources, nodes, shapes, .. } = &review.summary;
    let kinds = [
        (sources.policies, "NetworkPolicy", "NetworkPolicies"),
        (sources.namespaces, "Namespace", "Namespaces"),
        (sources.pods, "Pod", "Pods"),
        (sources.workloads, "workload", "workloads"),
        (sources.nodes, "Node", "Nodes"),
    ];
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| counted(*count, one, many))
        .collect();
    let mut parts = Vec::new();
    if sources.files > 0 {
        let of = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
        parts.push(counted(sources.files, "file", "files") + &of);
    }
    let all = review.head.nodes.max(review.base.nodes);
    let alike = if *shapes > 1 { format!(" in {shapes} ways") } else { String::new() };
    let change = if *nodes == 1 { "changes" } else { "change" };
    parts.push(format!("{nodes} of {} {change}{alike}", counted(all, "node", "nodes")));
    parts
}

/// What it comes to: what is said first, and the rest of it.
fn outcome(review: &Review) -> (String, Vec<String>) {
    let summary = &review.summary;
    let mut rest = Vec::new();
    if summary.outcome == Outcome::Same {
        let nodes = counted(review.head.nodes, "node", "nodes");
        let digest = review.head.digest.get(..12).unwrap_or(&review.head.digest);
        rest.push(format!(
            "the rules and sets of {nodes} are compared, and their digests are equal ({digest})"
        ));
        return ("no change: ".to_owned(), rest);
    }
    let first = match summary.outcome {
        Outcome::Same | Outcome::OtherTraffic => String::new(),
        Outcome::SameTraffic => "same traffic, different rules: ".to_owned(),
        Outcome::OtherRules => "what packets meet is not known of snapshots: ".to_owned(),
    };
    let counts = &summary.flows;
    let world = if summary.world > 0 { format!(" ({} by the world)", summary.world) } else { String::new() };
    let flows = [
        (counts.opened, "opened"),
        (counts.widened, "widened"),
        (counts.altered, "altered"),
        (counts.closed, "closed"),
        (counts.narrowed, "narrowed"),
        (summary.appear, "with new pods"),
        (summary.vanish, "with pods that go"),
    ];
    let flows: Vec<String> = flows
        .iter()
        .filter(|(count, _)| *count > 0)
        .enumerate()
        .map(|(place, (count, word))| format!("{count} {word}{}", if place == 0 { &*world } else { "" }))
        .collect();
    rest.extend(Some(flows.join(", ")).filter(|flows| !flows.is_empty()));
    let isolated = [
        (summary.newly_isolated, ["pod", "pods"], "newly isolated"),
        (summary.no_longer_isolated, ["pod", "pods"], "no longer isolated"),
        (summary.addresses_freed, ["address", "addresses"], "no longer isolated"),
    ];
    rest.extend(
        isolated
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, [one, many], word)| format!("{} {word}", counted(*count, one, many))),
    );
    if summary.waived > 0 {
        rest.push(format!("{} waived", summary.waived));
    }
    if summary.mixed > 0 {
        rest.push(format!("{} open while nodes differ", summary.mixed));
    }
    rest.push(format!(
        "rules +{} -{} on {}",
        summary.rules_added,
        summary.rules_removed,
        counted(summary.nodes, "node", "nodes")
    ));
    if summary.sets > 0 {
        let sets = counted(summary.sets, "set", "sets");
        rest.push(format!("members +{} -{} of {sets}", summary.members_added, summary.members_removed));
    }
    (first, rest)
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
