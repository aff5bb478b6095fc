//! The words of a review in Markdown and annotations. What others wrote stands in code spans.

use chainmail_findings::Agreed;
use chainmail_review::diff::{
    Cause, Ends, EndsKind, Flow, FlowChange, Isolation, IsolationChange, Outcome, Presence, Review,
    SideFacts, SourceCounts,
};

use super::links::Links;
use crate::escape::{code, short};

/// So many of a thing.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// What a review comes to, in one line without anything that others wrote.
pub(super) fn headline(review: &Review) -> String {
    let summary = &review.summary;
    let nodes = format!("{} of {}", summary.nodes, counted(review.head.nodes, "node", "nodes"));
    match summary.outcome {
        Outcome::Same => {
            let nodes = counted(review.head.nodes, "node", "nodes");
            format!("✅ No change: rules and sets are the same on all of {nodes}")
        }
        Outcome::SameTraffic => format!("✅ Other rules, same traffic — {nodes}"),
        Outcome::OtherRules => format!("❔ Other rules — {nodes}; what packets meet is not known"),
        Outcome::OtherTraffic => {
            let flows = &summary.flows;
            let freed = summary.no_longer_isolated + summary.addresses_freed;
            let opens = flows.opened + flows.widened + flows.altered + freed;
            let mut parts: Vec<String> = Vec::new();
            let mut part = |count: usize, text: String| {
                if count > 0 {
                    parts.push(text);
                }
            };
            let flow = |count, what| format!("{} {what}", counted(count, "flow", "flows"));
            part(flows.opened, flow(flows.opened, "opened"));
            part(summary.world, format!("{} to the world", summary.world));
            part(flows.widened, format!("{} widened", flows.widened));
            part(flows.altered, format!("{} altered", flows.altered));
            let pods = |count| counted(count, "pod", "pods");
            part(
                summary.no_longer_isolated,
                format!("{} no longer isolated", pods(summary.no_longer_isolated)),
            );
            let addresses = counted(summary.addresses_freed, "address", "addresses");
            part(summary.addresses_freed, format!("{addresses} no longer isolated"));
            part(flows.closed, format!("{} closed", flows.closed));
            part(flows.narrowed, format!("{} narrowed", flows.narrowed));
            part(summary.newly_isolated, format!("{} newly isolated", pods(summary.newly_isolated)));
            part(summary.appear, format!("{} with new pods", summary.appear));
            part(summary.vanish, format!("{} with pods that are gone", summary.vanish));
            part(summary.waived, format!("{} waived", summary.waived));
            let sign = if opens + summary.world > 0 { "⚠️ " } else { "" };
            format!("{sign}{} — {nodes}", parts.join(", "))
        }
    }
}

/// How an outcome is known, where that is not plain from the rows.
pub(super) fn outcome_note(review: &Review) -> Option<String> {
    let known = format!("{} compiled on both sides", counted(review.head.nodes, "node was", "nodes were"));
    match review.summary.outcome {
        Outcome::Same if review.complete => Some(format!("{known}; digests are equal.")),
        Outcome::Same => Some("Snapshots were compared as they are; digests are equal.".to_owned()),
        Outcome::SameTraffic => {
            Some(format!("{known}; for every packet the new rules decide as the old ones do."))
        }
        Outcome::OtherRules => {
            Some("Snapshots hold rules and no policies: **whether anything opens is not known**.".to_owned())
        }
        Outcome::OtherTraffic => None,
    }
}

/// A side by its name, and its commit where it has one.
pub(super) fn side(side: &SideFacts) -> String {
    let name = code(&short(&side.name, 80));
    match &side.commit {
        Some(commit) => format!("{name} ({})", short_commit(commit)),
        None => name,
    }
}

pub(super) fn short_commit(commit: &str) -> String {
    commit.chars().filter(char::is_ascii_hexdigit).take(10).collect()
}

/// What manifests say otherwise; begins with a colon where there is something.
pub(super) fn sources(counts: &SourceCounts) -> String {
    let SourceCounts { files, policies, namespaces, pods, workloads, nodes } = *counts;
    let parts: Vec<String> = [
        (files, "file", "files"),
        (policies, "NetworkPolicy", "NetworkPolicies"),
        (namespaces, "Namespace", "Namespaces"),
        (pods, "Pod", "Pods"),
        (workloads, "workload", "workloads"),
        (nodes, "Node", "Nodes"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, one, many)| counted(count, one, many))
    .collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}

/// A flow's change with its sign.
pub(super) fn change_word(flow: &Flow) -> String {
    let (sign, word) = match flow.change {
        FlowChange::Opened => ("+", "opened"),
        FlowChange::Widened => ("+", "widened"),
        FlowChange::Altered => ("±", "altered"),
        FlowChange::Closed => ("−", "closed"),
        FlowChange::Narrowed => ("−", "narrowed"),
    };
    let pods = match flow.pods {
        Presence::Stay => "",
        Presence::Appear => ", new pods",
        Presence::Vanish => ", pods gone",
    };
    if flow.world {
        format!("⚠️ **{sign} {word} to the world**{pods}")
    } else {
        format!("{sign} {word}{pods}")
    }
}

/// The first of some ends, and how many others.
pub(super) fn ends(ends: &Ends, most: usize) -> String {
    let shown: Vec<String> = ends.ends.iter().take(most).map(|end| code(&short(end, 80))).collect();
    let more = ends.ends.len() - shown.len();
    let names = shown.join(", ");
    let names = if more > 0 { format!("{names} and {more} more") } else { names };
    match ends.kind {
        EndsKind::Any => "anyone".to_owned(),
        EndsKind::Outside => format!("outside {names}"),
        EndsKind::Pods if ends.count > ends.ends.len() => format!("{names} ({} pods)", ends.count),
        EndsKind::Pods => names,
    }
}

/// What is allowed before and after.
pub(super) fn services(flow: &Flow) -> String {
    let text = |allowed: &chainmail_review::query::Allowed| code(&short(&allowed.to_string(), 80));
    match flow.change {
        FlowChange::Opened => text(&flow.after),
        FlowChange::Closed => text(&flow.before),
        FlowChange::Widened | FlowChange::Altered | FlowChange::Narrowed => {
            format!("{} → {}", text(&flow.before), text(&flow.after))
        }
    }
}

/// Where the first causes stand, and how many others there are.
pub(super) fn reasons(causes: &[Cause], most: usize, links: Links<'_>) -> String {
    let reason = |cause: &Cause| {
        let object = if cause.field.is_empty() {
            cause.object.clone()
        } else {
            format!("{} {}", cause.object, cause.field)
        };
        let place = format!("{}:{}", short(&cause.file, 80), cause.line);
        let place = match links.to(cause) {
            Some(link) => format!("[{}]({link})", code(&place)),
            None => code(&place),
        };
        format!("{} {place}", code(&short(&object, 100)))
    };
    let shown: Vec<String> = causes.iter().take(most).map(reason).collect();
    let more = causes.len() - shown.len();
    let shown = shown.join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// By whom something was agreed on, why and until when.
pub(super) fn agreed(agreed: &Agreed) -> String {
    let Agreed { owner, reason, expires } = agreed;
    format!("waived by {} until {expires}: {}", code(&short(owner, 40)), code(&short(reason, 100)))
}

/// A change of isolation as word, source and destination, with so many names of pods and addresses that it is of.
pub(super) fn isolation(isolation: &Isolation, most: usize) -> [String; 3] {
    let pods = ends(&isolation.pods, most);
    let pods = if isolation.addresses.is_empty() {
        pods
    } else {
        let shown: Vec<String> =
            isolation.addresses.iter().take(most).map(|address| code(&address.to_string())).collect();
        let more = isolation.addresses.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more} (was {pods})", shown.join(", "))
    };
    let word = match isolation.change {
        IsolationChange::NoLongerIsolated => "+ no longer isolated",
        IsolationChange::NewlyIsolated => "− newly isolated",
    };
    let word = format!("{word} ({})", isolation.direction);
    match isolation.direction {
        chainmail_model::Direction::Ingress => [word, String::new(), pods],
        chainmail_model::Direction::Egress => [word, pods, String::new()],
    }
}
