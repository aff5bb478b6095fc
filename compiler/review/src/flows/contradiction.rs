//! Flows that are expected to pass by one case and not to by another. No policies meet both, so that is said first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chainmail_findings::{Code, Diagnostic, Findings, Place};
use chainmail_model::semantics::Verdict;

use super::case::Expectation;
use super::judge::Asked;
use crate::query::Allowed;

/// The most expectations that are looked through for those that contradict others.
const COMPARISONS_MAX: usize = 1_000_000;

/// What is expected of a pair of addresses.
#[derive(Default)]
struct Seen<'c> {
    allowed: Wanted<'c>,
    denied: Wanted<'c>,
}

/// What is to be allowed, or to be denied.
#[derive(Default)]
struct Wanted<'c> {
    /// All services of these.
    services: Allowed,
    expectations: Vec<&'c Expectation>,
}

impl<'c> Seen<'c> {
    /// What is wanted so, and what is wanted otherwise.
    fn by_want(&mut self, want: Verdict) -> (&mut Wanted<'c>, &Wanted<'c>) {
        match want {
            Verdict::Allow => (&mut self.allowed, &self.denied),
            Verdict::Deny => (&mut self.denied, &self.allowed),
        }
    }
}

/// What cases contradict each other in, each two places once.
#[must_use]
pub fn contradictions(asked: &[Asked<'_>]) -> Findings {
    let mut findings = Findings::default();
    let mut seen: BTreeMap<(IpAddr, IpAddr), Seen<'_>> = BTreeMap::new();
    let mut comparisons = 0;
    let mut told: BTreeSet<(&Place, &Place)> = BTreeSet::new();
    for case in asked {
        for (source, destination) in case.pairs() {
            for (_, from, to) in source.pairs(destination) {
                let others = seen.entry((from, to)).or_default();
                for expectation in &case.case.expected {
                    let (same, contrary) = others.by_want(expectation.want);
                    same.services.add_all(&expectation.services);
                    let is_met = contrary.services.meets(&expectation.services);
                    for other in contrary.expectations.iter().filter(|_| is_met) {
                        comparisons += 1;
                        // Each place where one is looked for has a contradiction, so something is told already.
                        if comparisons > COMPARISONS_MAX && !findings.is_empty() {
                            return findings;
                        }
                        let both = other.services.intersection(&expectation.services);
                        if both.is_none() || !told.insert((&other.place, &expectation.place)) {
                            continue;
                        }
                        let [here, there] = [expectation, other].map(|expectation| word(expectation.want));
                        let message = format!(
                            "{} -> {} {both} is to be {here} here, and {there} by {}",
                            source.who, destination.who, other.place
                        );
                        let help = "no policies can meet both: remove one of them".to_owned();
                        let place = Some(expectation.place.clone());
                        findings.push(Diagnostic::new(Code::ContradictoryFlows, place, message).help(help));
                    }
                    same.expectations.push(expectation);
                }
            }
        }
    }
    findings
}

fn word(want: Verdict) -> &'static str {
    match want {
        Verdict::Allow => "allowed",
        Verdict::Deny => "denied",
    }
}
