//! Cases against a cluster.

use std::collections::BTreeSet;

use chainmail_contract::Family;
use chainmail_findings::{Code, Diagnostic, Findings, Place, Places};
use chainmail_model::Cluster;
use chainmail_model::semantics::Verdict;

use super::case::{Case, Expectation, Side};
use crate::effort::Effort;
use crate::explain::{Explanation, explain};
use crate::query::{
    Allowed, Answer, End, Endpoint, Engine, EngineError, Question, RulesEngine, TooMany, matrix,
};

/// A case with the ends that it means.
#[derive(Debug, Clone)]
pub struct Asked<'c> {
    /// The case.
    pub case: &'c Case,
    /// Who sends.
    pub sources: Vec<End>,
    /// Who receives.
    pub destinations: Vec<End>,
}

impl Asked<'_> {
    /// The pairs of two different ends.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&End, &End)> {
        let all = self
            .sources
            .iter()
            .flat_map(|source| self.destinations.iter().map(move |destination| (source, destination)));
        all.filter(|(source, destination)| !source.is(destination))
    }
}

/// All that was found out.
#[derive(Debug, Clone)]
pub struct Report<'c> {
    /// Flow test by flow test, in order of files.
    pub tests: Vec<TestOutcome<'c>>,
}

/// What became of a flow test.
#[derive(Debug, Clone)]
pub struct TestOutcome<'c> {
    /// Its name.
    pub name: &'c str,
    /// What became of each of its expectations.
    pub outcomes: Vec<Outcome<'c>>,
}

/// What became of an expectation.
#[derive(Debug, Clone)]
pub struct Outcome<'c> {
    /// The case that it is of.
    pub case: &'c Case,
    /// The expectation.
    pub expectation: &'c Expectation,
    /// How many pairs of ends were asked about, in each family that both have.
    pub pairs: usize,
    /// Those that do otherwise; none where the expectation holds.
    pub contrary: Vec<Contrary>,
}

/// A pair that does not do what is expected.
#[derive(Debug, Clone)]
pub struct Contrary {
    /// Who sends.
    pub from: End,
    /// Who receives.
    pub to: End,
    /// In which family.
    pub family: Family,
    /// The services that meet with the contrary.
    pub services: Allowed,
    /// Why, of the first of them; only the first pair of an expectation is explained.
    pub explanation: Option<Explanation>,
}

impl Report<'_> {
    /// All outcomes.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome<'_>> {
        self.tests.iter().flat_map(|test| &test.outcomes)
    }

    /// How many expectations do not hold.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.outcomes().filter(|outcome| !outcome.contrary.is_empty()).count()
    }
}

/// Finds the ends of each case. One that means nobody, or no two ends that could talk, would hold whatever policies say:
/// that is a finding, also of a single end that is named beside others. So is a case of more pairs than `limit`.
#[must_use]
pub fn ask<'c>(cases: &'c [Case], cluster: &Cluster, limit: usize) -> (Vec<Asked<'c>>, Findings) {
    let mut findings = Findings::default();
    let mut asked = Vec::new();
    for case in cases {
        let (senders, receivers) =
            (named(&case.from, cluster, &mut findings), named(&case.to, cluster, &mut findings));
        let [sources, destinations] = [&senders, &receivers].map(|named| distinct(named));
        let mut report = |message: String, help: &str| {
            let place = Some(case.place.clone());
            findings.push(Diagnostic::new(Code::BadFlow, place, message).help(help));
        };
        if sources.is_empty() || destinations.is_empty() {
            continue;
        }
        if let Err(error) = TooMany::refuse(sources.len(), destinations.len(), limit) {
            report(error.to_string(), "name fewer, or raise --limit");
            continue;
        }
        let this = Asked { case, sources, destinations };
        let talk = this.pairs().filter(|(source, destination)| !source.pairs(destination).is_empty());
        let (sending, receiving): (BTreeSet<&End>, BTreeSet<&End>) = talk.unzip();
        let help = "the ends must be different, and have an address family in common";
        if sending.is_empty() {
            report(format!("no packet goes from {} to {}", case.from, case.to), help);
            continue;
        }
        for end in senders.iter().filter(|end| end.is_none_of(&sending)) {
            let message = format!("no packet goes from {} to {}", end.endpoint, case.to);
            findings.push(Diagnostic::new(Code::BadFlow, Some(end.place.clone()), message).help(help));
        }
        for end in receivers.iter().filter(|end| end.is_none_of(&receiving)) {
            let message = format!("no packet goes from {} to {}", case.from, end.endpoint);
            findings.push(Diagnostic::new(Code::BadFlow, Some(end.place.clone()), message).help(help));
        }
        asked.push(this);
    }
    (asked, findings)
}

/// An end as it is named, with all that it means.
struct Named<'c> {
    endpoint: &'c Endpoint,
    place: &'c Place,
    ends: Vec<End>,
}

impl Named<'_> {
    /// Whether it means ends, and none of these.
    fn is_none_of(&self, ends: &BTreeSet<&End>) -> bool {
        !self.ends.is_empty() && self.ends.iter().all(|end| !ends.contains(end))
    }
}

/// The ends that are named on one side; those that mean nobody are reported.
fn named<'c>(side: &'c Side, cluster: &Cluster, findings: &mut Findings) -> Vec<Named<'c>> {
    let mut all = Vec::new();
    for (endpoint, place) in &side.ends {
        match endpoint.ends(cluster) {
            Ok(ends) => all.push(Named { endpoint, place, ends }),
            Err(error) => {
                findings.push(Diagnostic::new(Code::BadFlow, Some(place.clone()), error.to_string()));
            }
        }
    }
    all
}

/// What the ends of one side mean, each once, in the order in which they are named.
fn distinct(named: &[Named<'_>]) -> Vec<End> {
    let mut seen = BTreeSet::new();
    named.iter().flat_map(|named| &named.ends).filter(|end| seen.insert(*end)).cloned().collect()
}

/// Holds every expectation against the policies and against the rules that come of them. `engine` has the rules of
/// every node.
///
/// # Errors
/// When the rules cannot be walked, or do not do what the policies say, and when that takes more steps than it may.
pub fn judge<'c>(
    asked: Vec<Asked<'c>>,
    cluster: &Cluster,
    places: &dyn Places,
    engine: RulesEngine<'_>,
    effort: &mut Effort,
) -> Result<Report<'c>, EngineError> {
    let engine = Engine::Both(engine);
    let mut tests: Vec<TestOutcome<'c>> = Vec::new();
    for Asked { case, sources: from, destinations: to } in asked {
        let matrix = matrix(cluster, &engine, Question::Services, from, to, effort)?;
        if tests.last().is_none_or(|test| test.name != case.test) {
            tests.push(TestOutcome { name: &case.test, outcomes: Vec::new() });
        }
        let test = tests.last_mut().expect("one was pushed if there was none");
        for expectation in &case.expected {
            let mut outcome = Outcome { case, expectation, pairs: 0, contrary: Vec::new() };
            for (row, from) in matrix.sources.iter().enumerate() {
                for (column, to) in matrix.destinations.iter().enumerate() {
                    let Answer::Allowed(by_family) = matrix.answer(row, column) else { continue };
                    for (family, allowed) in by_family {
                        outcome.pairs += 1;
                        let services = contrary(expectation, allowed);
                        if !services.is_none() {
                            let (from, to) = (from.clone(), to.clone());
                            let family = *family;
                            outcome.contrary.push(Contrary { from, to, family, services, explanation: None });
                        }
                    }
                }
            }
            if let (Some(first), Engine::Both(rules)) = (outcome.contrary.first_mut(), &engine) {
                first.explain(cluster, places, rules)?;
            }
            test.outcomes.push(outcome);
        }
    }
    Ok(Report { tests })
}

/// The services that do not meet with what is expected of them.
fn contrary(expectation: &Expectation, allowed: &Allowed) -> Allowed {
    match expectation.want {
        Verdict::Allow => expectation.services.without(allowed),
        Verdict::Deny => expectation.services.intersection(allowed),
    }
}

impl Contrary {
    fn explain(
        &mut self,
        cluster: &Cluster,
        places: &dyn Places,
        rules: &RulesEngine<'_>,
    ) -> Result<(), EngineError> {
        let Some(service) = self.services.firsts().next() else { return Ok(()) };
        let explanations = explain(cluster, places, rules, (&self.from, &self.to), service)?;
        self.explanation = explanations.into_iter().find(|explanation| explanation.family == self.family);
        Ok(())
    }
}
