//! Which slip of the keyboard may be behind a selector that nobody meets.

use std::collections::BTreeSet;

use chainmail_findings::nearest;
use chainmail_model::{LabelSelector, Labels, Requirement};

use super::context::Context;

/// What is to be done about a selector that none of these labels meets, of things called `noun`.
pub(super) fn advice(
    context: &Context<'_>,
    selector: &LabelSelector,
    labels: &[&Labels],
    noun: &str,
) -> String {
    // Each of the requirements is held against all labels, and one of them against all keys or values.
    let words = labels.iter().map(|labels| 1 + labels.iter().count()).sum::<usize>();
    if !context.may_advise(words * (1 + selector.requirements().count())) {
        return "correct the selector".to_owned();
    }
    let unmet = |requirement: &&Requirement| !labels.iter().any(|labels| requirement.matches(labels));
    let Some(requirement) = selector.requirements().find(unmet) else {
        return format!("each of the requirements is met by some {noun}, but all of them by none");
    };
    let key = requirement.key();
    let wanted = match requirement {
        Requirement::In(_, wanted) => wanted,
        Requirement::Exists(_) => &BTreeSet::new(),
        Requirement::NotIn(..) | Requirement::DoesNotExist(_) => {
            return format!("there is no {noun} for which {requirement} holds");
        }
    };
    let keys: BTreeSet<&str> =
        labels.iter().flat_map(|labels| labels.iter().map(|(key, _)| key.as_str())).collect();
    if !keys.contains(key.as_str()) {
        return match nearest(key.as_str(), keys.iter().copied()) {
            Some(near) => format!("no {noun} has the label {key}; did you mean {near}?"),
            None => format!("no {noun} has the label {key}"),
        };
    }
    let values: BTreeSet<&str> = labels.iter().filter_map(|labels| labels.get(key)).collect();
    let may_compare = context.may_advise(wanted.len().saturating_mul(values.len()));
    let near = || wanted.iter().find_map(|wanted| nearest(wanted, values.iter().copied()));
    match may_compare.then(near).flatten() {
        Some(near) => format!("did you mean {key}={near}?"),
        None => {
            let some: Vec<&str> = values.iter().copied().take(5).collect();
            let more = if values.len() > some.len() { ", …" } else { "" };
            format!("the values of {key} there are {}{more}", some.join(", "))
        }
    }
}
