//! What is valid and probably not meant: selectors that nobody meets, rules without effect, doors left open.
//!
//! Each lint is a function of the cluster. It speaks only of what the manifests can tell: where they hold no pod of a
//! namespace, what selects pods there is not judged but counted.

mod blocks;
mod budget;
mod context;
mod covered;
mod dashes;
mod dns;
mod isolation;
mod ports;
mod selectors;
mod templates;
mod typo;
mod waivers;

use std::collections::{BTreeMap, BTreeSet};

use chainmail_contract::{Date, NodeName};
use chainmail_findings::{Findings, Places};
use chainmail_model::{Cluster, Cost, Level, LintSettings, NamespaceName, Waiver};

use context::Context;

/// What the lints say of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Linted {
    /// What was found, at the levels that the settings give.
    pub findings: Findings,
    /// What could not be judged.
    pub unjudged: Unjudged,
}

/// What hangs on pods that the manifests do not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unjudged {
    /// How many selectors and ports.
    pub count: usize,
    /// The namespaces whose pods are not known.
    pub namespaces: BTreeSet<NamespaceName>,
}

/// Lints a cluster that was loaded from these sources without errors.
#[must_use]
pub fn lint(cluster: &Cluster, places: &dyn Places, settings: &LintSettings) -> Linted {
    // Templates of pods are met by selectors too.
    let cluster = cluster.with_assumed_pods();
    let mut context = Context::new(&cluster, places);
    for policy in cluster.policies() {
        selectors::check(&mut context, policy);
        dashes::check(&mut context, policy);
        ports::check(&mut context, policy);
        blocks::check(&mut context, policy);
        isolation::check_policy(&mut context, policy);
    }
    templates::check(&mut context);
    isolation::check_namespaces(&mut context);
    dns::check(&mut context);
    covered::check(&mut context);
    let Context { mut findings, unjudged, .. } = context;
    apply(settings, &mut findings);
    Linted { findings, unjudged }
}

/// What all lints say of a cluster that was loaded from these sources without errors: the budget among them, for which
/// `costs` has what each node's rules cost, and on a day what waivers cover.
#[must_use]
pub fn lint_all(
    cluster: &Cluster,
    places: &dyn Places,
    settings: &LintSettings,
    costs: &BTreeMap<NodeName, Cost>,
    waivers: &[Waiver],
    today: Date,
) -> Linted {
    let mut linted = lint(cluster, places, settings);
    let mut over_budget = budget::check(cluster, places, costs, settings.budget);
    apply(settings, &mut over_budget);
    linted.findings.extend(over_budget);
    waivers::apply(&mut linted.findings, waivers, settings, today);
    linted
}

/// Gives findings their levels; those that are off are gone.
fn apply(settings: &LintSettings, findings: &mut Findings) {
    findings.retain_mut(|finding| match settings.levels.get(&finding.code) {
        None => true,
        Some(Level::Off) => false,
        Some(Level::Report(severity)) => {
            finding.severity = *severity;
            true
        }
    });
}
