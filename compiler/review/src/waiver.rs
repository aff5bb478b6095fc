//! Which rows of a review a waiver covers.

use chainmail_contract::Date;
use chainmail_model::{Covered, Waiver};
use globset::GlobMatcher;

use crate::diff::{Ends, EndsKind, Flow, Isolation, Review};

/// Says of each row of a review which waiver of the new side covers it, and answers those that cover none although the
/// change brings them.
pub fn waive<'w>(review: &mut Review, base: &[Waiver], head: &'w [Waiver], today: Date) -> Vec<&'w Waiver> {
    let Some(reachability) = &mut review.reachability else { return Vec::new() };
    let valid: Vec<&Waiver> = head.iter().filter(|waiver| waiver.holds(today)).collect();
    let first = |covers: &dyn Fn(&Waiver) -> bool| {
        valid.iter().find(|waiver| covers(waiver)).map(|waiver| waiver.agreed.clone())
    };
    for flow in &mut reachability.flows {
        flow.waived = first(&|waiver| covers_flow(waiver, flow));
    }
    for row in &mut reachability.isolation {
        row.waived = first(&|waiver| covers_isolation(waiver, row));
    }
    review.summary.waived = reachability.flows.iter().filter(|flow| flow.waived.is_some()).count()
        + reachability.isolation.iter().filter(|row| row.waived.is_some()).count();
    let is_of_use = |waiver: &Waiver| {
        reachability.flows.iter().any(|flow| covers_flow(waiver, flow))
            || reachability.isolation.iter().any(|row| covers_isolation(waiver, row))
    };
    let is_new = |waiver: &Waiver| !base.iter().any(|known| known.says_as(waiver));
    valid.into_iter().filter(|waiver| !waiver.is_of_lint() && is_new(waiver) && !is_of_use(waiver)).collect()
}

fn covers_flow(waiver: &Waiver, flow: &Flow) -> bool {
    match &waiver.covers {
        Covered::Row(id) => flow.id == *id,
        Covered::Flows { from, to } => are_like(&flow.from, from) && are_like(&flow.to, to),
        Covered::Findings { .. } => false,
    }
}

fn covers_isolation(waiver: &Waiver, isolation: &Isolation) -> bool {
    match &waiver.covers {
        Covered::Row(id) => isolation.id == *id,
        Covered::Flows { .. } | Covered::Findings { .. } => false,
    }
}

/// `*` alone is anyone, and `outside` whoever is no pod. Everyone is an end that only `*` is like: a waiver for a few must
/// not grow to one for all.
fn are_like(ends: &Ends, pattern: &GlobMatcher) -> bool {
    match (pattern.glob().glob(), ends.kind) {
        ("*", _) | ("outside", EndsKind::Outside) => true,
        (_, EndsKind::Any) => false,
        (_, EndsKind::Outside | EndsKind::Pods) => {
            !ends.ends.is_empty() && ends.ends.iter().all(|end| pattern.is_match(end))
        }
    }
}
