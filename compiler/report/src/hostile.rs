//! Reviews of names that mean something to whatever prints them, for tests of formats.

use chainmail_findings::Agreed;
use chainmail_model::Direction;
use chainmail_model::semantics::Service;
use chainmail_review::diff::{
    Cause, ChainDiff, Change, Ends, EndsKind, Flow, FlowChange, Isolation, IsolationChange, Line, NodeCount,
    Outcome, Presence, Reachability, Review, Role, RuleChanges, RuleLine, SetDiff, Shape, Side, SideFacts,
    Summary, Witness,
};
use chainmail_review::query::Allowed;
use proptest::prelude::*;

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
    "\n::add-mask::x",
    "##[error]",
    "%0A::error::x",
    "\u{1b}[31m",
    "\u{202e}",
    "\\",
    "[x](http://y)",
    "&lt;",
    "é",
    "🦀",
    "\u{e0041}",
];

pub(crate) fn name() -> impl Strategy<Value = String> {
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
    let side = prop::sample::select(Side::ALL.to_vec());
    (name(), name(), name(), any::<u32>(), side).prop_map(|(object, field, file, line, side)| Cause {
        direction: Direction::Ingress,
        role: Role::Allow,
        side,
        object,
        field,
        file,
        line,
    })
}

fn waived() -> impl Strategy<Value = Option<Agreed>> {
    let agreed = (name(), name()).prop_map(|(owner, reason)| {
        let expires = "2026-12-31".parse().expect("it is a day");
        Agreed { owner, reason, expires }
    });
    prop::option::weighted(0.3, agreed)
}

fn flow() -> impl Strategy<Value = Flow> {
    let change = prop::sample::select(vec![FlowChange::Opened, FlowChange::Altered, FlowChange::Closed]);
    let pods = prop::sample::select(vec![Presence::Stay, Presence::Appear]);
    let causes = prop::collection::vec(cause(), 0..5);
    (change, any::<bool>(), pods, ends(), ends(), causes, waived()).prop_map(
        |(change, world, pods, from, to, causes, waived)| Flow {
            waived,
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
    let line = name().prop_map(|text| RuleLine { line: Line::Added(text), from: Vec::new() });
    let chain = (name(), prop::collection::vec(line, 0..6)).prop_map(|(chain, lines)| ChainDiff {
        family: chainmail_contract::Family::V4,
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
pub(crate) fn review() -> impl Strategy<Value = Review> {
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
            let isolation = (0..).zip(&flows).map(|(place, flow)| Isolation {
                id: String::new(),
                change: IsolationChange::NoLongerIsolated,
                direction: Direction::Ingress,
                pods: flow.to.clone(),
                addresses: vec![flow.witness.destination; place],
                causes: flow.causes.clone(),
                waived: None,
            });
            let isolation = isolation.take(5).collect();
            let side = |name: String| SideFacts {
                name,
                commit: Some("0".repeat(40)),
                nodes: 4321,
                digest: "0".repeat(64),
            };
            Review {
                schema: chainmail_review::diff::SCHEMA,
                complete: true,
                base: side(base),
                head: side(head),
                summary: Summary {
                    outcome: Outcome::OtherTraffic,
                    flows: chainmail_review::diff::FlowCounts { opened: 1234, ..Default::default() },
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
