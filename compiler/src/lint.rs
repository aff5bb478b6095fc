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
mod settings;
mod templates;
mod typo;
mod waivers;

use std::collections::BTreeSet;

use chainmail_snapshot::Date;

use crate::cluster::{Cluster, NamespaceName};
use crate::diagnostic::Findings;
use crate::source::Sources;
use crate::{Compiler, Loaded};

use context::Context;

pub use settings::{Budget, Level, LintSettings};

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
pub fn lint(cluster: &Cluster, sources: &Sources, settings: &LintSettings) -> Linted {
    // Templates of pods are met by selectors too.
    let cluster = cluster.with_assumed_pods();
    let mut context = Context::new(&cluster, sources);
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
    settings.apply(&mut findings);
    Linted { findings, unjudged }
}

/// What all lints say of manifests that were loaded without errors: the budget among them, and on a day what waivers
/// cover.
#[must_use]
pub fn lint_all(loaded: &Loaded, sources: &Sources, today: Date) -> Linted {
    let mut linted = lint(&loaded.cluster, sources, &loaded.lint);
    let mut compiler = Compiler::new(&loaded.cluster, sources);
    linted.findings.extend(lint_budget(&mut compiler, &loaded.cluster, sources, &loaded.lint));
    waivers::apply(&mut linted.findings, &loaded.waivers, &loaded.lint, today);
    linted
}

/// Holds each node's rules against the budget; they must be compiled for that.
#[must_use]
pub fn lint_budget(
    compiler: &mut Compiler<'_>,
    cluster: &Cluster,
    sources: &Sources,
    settings: &LintSettings,
) -> Findings {
    let mut findings = budget::check(compiler, cluster, sources, settings.budget);
    settings.apply(&mut findings);
    findings
}
