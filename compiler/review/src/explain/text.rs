//! An explanation as people read it.

use chainmail_model::semantics::Verdict;
use chainmail_model::{CLAIMANTS_MAX, PolicyAt};

use super::{EndFacts, EndKind, Exemption, Explanation, Miss, NearMiss, NodeDecision, Side};

/// What policies and settings decide, each line headed by who does.
pub(super) fn decisions(explanation: &Explanation) -> Vec<(String, String)> {
    let Explanation { source, destination, .. } = explanation;
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut say = |head: &str, line: String| lines.push((head.to_owned(), line));
    for (head, end) in [("source", source), ("destination", destination)] {
        end.remark().into_iter().for_each(|remark| say(head, remark));
    }
    side("egress", &explanation.egress, source, &mut say);
    side("ingress", &explanation.ingress, destination, &mut say);
    for guard in &explanation.guards {
        say(&guard.node, format!("drops it: {}", guard.refuses));
    }
    lines
}

/// Who asks whom for what.
pub(super) fn packet(explanation: &Explanation) -> String {
    let Explanation { source, destination, service, .. } = explanation;
    format!("{} -> {} {service}", end_text(source), end_text(destination))
}

/// The verdict, then a line a decision, and at last what nodes do.
pub(super) fn explanation(explanation: &Explanation) -> String {
    let verdict = match explanation.verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    };
    let mut lines = decisions(explanation);
    let mut say = |head: &str, line: String| lines.push((head.to_owned(), line));
    if explanation.nodes.is_empty() {
        say("nodes", "no node forwards it, so that no rule is asked".to_owned());
    }
    for node in &explanation.nodes {
        node_lines(node, &mut say);
    }
    let width = lines.iter().map(|(head, _)| head.len()).max().unwrap_or(0);
    let mut text = format!("{verdict}  {}\n", packet(explanation));
    for (head, line) in lines {
        text.push_str(&format!("  {head:width$}  {}\n", chainmail_contract::escape::line(&line)));
    }
    text
}

fn end_text(end: &EndFacts) -> String {
    let address = end.address.to_string();
    match end.kind {
        EndKind::Workload { .. } => format!("{} ({address}, address assumed)", end.name),
        _ if end.name == address => address,
        _ => format!("{} ({address})", end.name),
    }
}

fn side(head: &str, side: &Side, end: &EndFacts, say: &mut impl FnMut(&str, String)) {
    let subject = end.subject();
    match side {
        Side::Exempt { why } => say(head, exemption(why, &subject, &end.kind)),
        Side::NotIsolated => say(head, format!("{subject} is isolated by no policy")),
        Side::Allowed { isolated_by, allowed_by } => {
            say(head, isolated(&subject, isolated_by));
            let mut word = "allowed by";
            for rule in allowed_by {
                say(head, format!("{word} {} {}", rule.place, rule.rule));
                word = "also by";
            }
        }
        Side::Refused { isolated_by, .. } if isolated_by.is_empty() => {
            say(head, format!("more than {CLAIMANTS_MAX} pods claim {subject}: nothing is allowed"));
        }
        Side::Refused { isolated_by, nearest, other_rules } => {
            say(head, isolated(&subject, isolated_by));
            match nearest {
                None => say(head, format!("none of these policies has an {head} rule")),
                Some(nearest) => say(head, near_miss(nearest, *other_rules)),
            }
        }
    }
}

fn exemption(why: &Exemption, subject: &str, kind: &EndKind) -> String {
    match why {
        Exemption::NoPod => match kind {
            EndKind::Node { pod: Some(_), .. } => {
                format!("{subject} has its node's address: no policy selects it")
            }
            _ => format!("{subject} is no pod: no policy selects it"),
        },
        Exemption::NoNode => {
            format!("{subject} runs on no node of the manifests: nobody enforces its policies")
        }
        Exemption::Windows { node } => {
            format!("{subject} runs on {node}, a Windows node: its policies are not enforced here")
        }
        Exemption::Itself => format!("{subject} always reaches itself"),
        Exemption::OwnNode { node } => {
            format!("between {subject} and its own node {node} everything is allowed")
        }
    }
}

fn isolated(subject: &str, by: &[PolicyAt]) -> String {
    let policies: Vec<String> = by.iter().map(|at| format!("{} {}", at.place, at.policy)).collect();
    format!("{subject} is isolated by {}", policies.join(", "))
}

fn near_miss(nearest: &NearMiss, other_rules: usize) -> String {
    let miss = |miss: &Miss| {
        let item = miss.item.as_ref().map(|item| format!("{item} ")).unwrap_or_default();
        format!("{item}wants {}, {}", miss.wants, miss.found)
    };
    let misses: Vec<String> = nearest.misses.iter().map(miss).collect();
    let others = match other_rules {
        0 => String::new(),
        1 => " (the nearest of 2 rules)".to_owned(),
        others => format!(" (the nearest of {} rules)", others + 1),
    };
    format!("{} {} {}{others}", nearest.rule.place, nearest.rule.rule, misses.join("; and "))
}

fn node_lines(node: &NodeDecision, say: &mut impl FnMut(&str, String)) {
    let does = if node.lets_pass() { "lets it pass" } else { "drops it" };
    if node.rules.is_empty() {
        say(&node.node, format!("{does}: no rule is about it"));
    }
    // A rule that returns lets it pass this direction's check, and only the last one decides for the node.
    for (rule, position) in node.rules.iter().zip(1..) {
        let word = if position == node.rules.len() { does } else { "goes on" };
        say(&node.node, format!("{word} by rule {}: {}", rule.number, rule.text));
    }
}
