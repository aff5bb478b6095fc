//! Flows that are expected to pass by one case and not to by another. No policies meet both, so that is said first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chainmail_findings::{Code, Diagnostic, Findings, Place};
use chainmail_model::semantics::Verdict;

use super::case::Expectation;
use super::judge::Asked;

/// What cases contradict each other in, each two places once.
#[must_use]
pub fn contradictions(asked: &[Asked<'_>]) -> Findings {
    let mut findings = Findings::default();
    let mut seen: BTreeMap<(IpAddr, IpAddr), Vec<&Expectation>> = BTreeMap::new();
    let mut told: BTreeSet<(&Place, &Place)> = BTreeSet::new();
    for case in asked {
        for (source, destination) in case.pairs() {
            for (_, from, to) in source.pairs(destination) {
                let others = seen.entry((from, to)).or_default();
                for expectation in &case.case.expected {
                    for other in others.iter().filter(|other| other.want != expectation.want) {
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
                    others.push(expectation);
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
