//! What a node's rules may cost: the kernel walks a class rule by rule, and sets take time and memory to load.

use std::collections::BTreeMap;

use chainmail_contract::NodeName;
use chainmail_findings::{Code, Diagnostic, Findings, Places};
use chainmail_model::{Budget, Cluster, Cost};

pub(super) fn check(
    cluster: &Cluster,
    places: &dyn Places,
    costs: &BTreeMap<NodeName, Cost>,
    budget: Budget,
) -> Findings {
    let mut findings = Findings::default();
    for (node, cost) in costs {
        let Cost { rules, longest, sets, members } = *cost;
        let object = format!("Node {node}");
        let mut over = |what: &str, found: usize, most: usize, help: &str, place| {
            if found > most {
                let message = format!("node {node} has {found} {what}; the budget is {most}");
                let finding = Diagnostic::new(Code::OverBudget, place, message).help(help);
                findings.push(finding.about(&object, what));
            }
        };
        let policy = longest.map(|at| &cluster.policies()[at]);
        let place = policy.map(|policy| places.place(policy.at, &super::context::spec()));
        let help = "a new connection crosses them one by one; merge rules or peers, or raise lint.max_rules";
        over("rules for one pod", rules, budget.rules, help, place);
        over("sets", sets, budget.sets, "let policies share their peers, or raise lint.max_sets", None);
        over(
            "members in its sets",
            members,
            budget.members,
            "name fewer networks, or raise lint.max_members",
            None,
        );
    }
    findings
}
