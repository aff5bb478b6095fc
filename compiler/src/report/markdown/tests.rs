//! Whatever is to be said, the comment keeps its limit, counts everything, and means nothing that it was not to.

use proptest::prelude::*;

use super::*;
use crate::cluster::Direction;
use crate::diff::{
    Cause, Ends, EndsKind, FlowChange, IsolationChange, NodeCount, Outcome, Presence, Reachability, Role,
    RuleChanges, Side, SideFacts, Summary, Witness,
};
use crate::query::Allowed;
use crate::semantics::Service;

/// What names are made of: what the API allows, and what it does not.
const HOSTILE: &[&str] = &[
    "shop/web",
    "a",
    "|",
    "`",
    "```",
    "\n",
    "\r\n",
    "\n```\n",
    "<b>",
    "</details>",
    "<!--",
    "-->",
    "@team",
    "::error::x",
    "\u{1b}[31m",
    "\u{202e}",
    "\\",
    "[x](http://y)",
    "&lt;",
    "é",
    "🦀",
    "\u{e0041}",
];

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(HOSTILE), 0..40).prop_map(|parts| parts.concat())
}

fn ends() -> impl Strategy<Value = Ends> {
    let kind = prop::sample::select(vec![EndsKind::Any, EndsKind::Outside, EndsKind::Pods]);
    (kind, prop::collection::vec(name(), 0..4), 0..10_000_usize).prop_map(|(kind, ends, count)| Ends {
        kind,
        ends,
        count,
    })
}

fn cause() -> impl Strategy<Value = Cause> {
    (name(), name(), name(), any::<u32>()).prop_map(|(object, field, file, line)| Cause {
        direction: Direction::Ingress,
        role: Role::Allow,
        side: Side::Head,
        object,
        field,
        file,
        line,
    })
}

fn flow() -> impl Strategy<Value = Flow> {
    let change = prop::sample::select(vec![FlowChange::Opened, FlowChange::Altered, FlowChange::Closed]);
    let pods = prop::sample::select(vec![Presence::Stay, Presence::Appear]);
    (change, any::<bool>(), pods, ends(), ends(), prop::collection::vec(cause(), 0..5)).prop_map(
        |(change, world, pods, from, to, causes)| Flow {
            id: String::new(),
            change,
            world,
            pods,
            families: Vec::new(),
            before: Allowed::default(),
            after: Allowed::default(),
            witness: Witness {
                from: from.ends.concat(),
                to: to.ends.concat(),
                source: [10, 0, 0, 1].into(),
                destination: [10, 0, 0, 2].into(),
                service: Service::Portless,
                before: None,
                after: None,
            },
            from,
            to,
            causes,
            nodes: NodeCount::default(),
        },
    )
}

fn shape() -> impl Strategy<Value = Shape> {
    let line = name().prop_map(|text| crate::diff::RuleLine { line: Line::Added(text), from: Vec::new() });
    let chain = (name(), prop::collection::vec(line, 0..6)).prop_map(|(chain, lines)| ChainDiff {
        family: chainmail_snapshot::Family::V4,
        chain,
        was: None,
        change: Change::Changed,
        lines,
    });
    (prop::collection::vec(name(), 1..4), prop::collection::vec(chain, 0..3)).prop_map(|(nodes, chains)| {
        Shape { id: String::new(), nodes, change: Change::Changed, chains, own: Vec::new(), sets: Vec::new() }
    })
}

fn set() -> impl Strategy<Value = SetDiff> {
    (name(), prop::collection::vec(name().prop_map(Line::Removed), 0..6)).prop_map(|(set, members)| SetDiff {
        set,
        was: None,
        change: Change::Changed,
        kind: "hash:ip".to_owned(),
        members,
    })
}

/// A few rows of each kind, each so many times: what is large is large by its number of rows.
fn review() -> impl Strategy<Value = Review> {
    let times = || prop::sample::select(vec![0_usize, 1, 7, 300]);
    let some = |count| 1..count;
    (
        (prop::collection::vec(flow(), some(4)), times()),
        (prop::collection::vec(shape(), some(3)), times()),
        (prop::collection::vec(set(), some(3)), times()),
        (name(), name()),
    )
        .prop_map(|((flows, many_flows), (shapes, many_shapes), (sets, many_sets), (base, head))| {
            let repeat = |count: usize, times: usize| (0..times).flat_map(move |_| 0..count);
            let flows: Vec<Flow> = repeat(flows.len(), many_flows).map(|i| flows[i].clone()).collect();
            let isolation = flows.iter().map(|flow| Isolation {
                id: String::new(),
                change: IsolationChange::NewlyIsolated,
                direction: Direction::Ingress,
                pods: flow.to.clone(),
                causes: flow.causes.clone(),
            });
            let isolation = isolation.take(5).collect();
            let side = |name: String| SideFacts { name, commit: None, nodes: 4321, digest: "0".repeat(64) };
            Review {
                schema: crate::diff::SCHEMA,
                complete: true,
                base: side(base),
                head: side(head),
                summary: Summary {
                    outcome: Outcome::OtherTraffic,
                    flows: crate::diff::FlowCounts { opened: 1234, ..Default::default() },
                    nodes: 77,
                    ..Default::default()
                },
                reachability: Some(Reachability {
                    families: Vec::new(),
                    flows,
                    isolation,
                    mixed: Vec::new(),
                }),
                rules: RuleChanges {
                    shapes: repeat(shapes.len(), many_shapes).map(|i| shapes[i].clone()).collect(),
                    sets: repeat(sets.len(), many_sets).map(|i| sets[i].clone()).collect(),
                },
            }
        })
}

/// How many changes a comment says it left out.
fn left_out(text: &str) -> usize {
    let word = text.split("**").find(|part| part.contains(" more change"));
    word.and_then(|part| part.split(' ').next()?.parse().ok()).unwrap_or(0)
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

fn holds(review: &Review, budget: usize) -> Result<(), TestCaseError> {
    let text = within(review, budget);
    prop_assert!(text.len() <= budget, "{} bytes of {budget}", text.len());
    prop_assert!(text.starts_with(MARKER), "the marker comes first");
    prop_assert!(text.contains("1234 flows opened") && text.contains("77 of 4321 nodes"));
    prop_assert!(!text.contains("No change") && !text.contains("same traffic"), "a false all-clear");
    let bad = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{e0041}');
    prop_assert!(!text.contains(bad));

    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")).collect();
    prop_assert!(rows.iter().all(|row| count(row, "|") == 6), "a name made a cell: {rows:?}");
    let reachability = review.reachability.as_ref().expect("it was made so");
    let all = reachability.flows.len() + reachability.isolation.len();
    prop_assert_eq!(rows.len() + left_out(&text), all, "{}", text);
    prop_assert!(all == 0 || !rows.is_empty(), "the most dangerous row is always there");

    let fences = text.lines().filter(|line| line.starts_with(FENCE)).count();
    prop_assert!(fences.is_multiple_of(2), "a block does not end");
    prop_assert_eq!(count(&text, "<details>"), count(&text, "\n</details>\n"));
    // Outside of spans and blocks there is no text of others.
    let mut in_block = false;
    for line in text.lines() {
        in_block ^= line.starts_with(FENCE);
        if in_block || line.starts_with(FENCE) {
            continue;
        }
        let ours: String = line.split('`').step_by(2).collect();
        prop_assert!(count(line, "`").is_multiple_of(2), "{line}");
        let html = ["<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>", MARKER];
        let ours = html.iter().fold(ours, |text, tag| text.replace(tag, ""));
        prop_assert!(!ours.contains(['<', '@', '[']) && !line.starts_with("::"), "{line}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_comment_keeps_its_limit_and_tells_what_it_left_out(review in review(), tight in any::<bool>()) {
        // The smallest in which the head, a row and all that says what is left out have their place.
        holds(&review, if tight { 9_000 } else { BUDGET })?;
    }
}
