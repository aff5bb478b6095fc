//! Which slip of the keyboard may be behind a selector that nobody meets.

use std::collections::BTreeSet;

use chainmail_findings::nearest;
use chainmail_model::{LabelSelector, Labels, Requirement};

/// What is to be done about a selector that none of these labels meets, of things called `noun`.
pub(super) fn advice(selector: &LabelSelector, labels: &[&Labels], noun: &str) -> String {
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
    match wanted.iter().find_map(|wanted| nearest(wanted, values.iter().copied())) {
        Some(near) => format!("did you mean {key}={near}?"),
        None => {
            let some: Vec<&str> = values.iter().copied().take(5).collect();
            let more = if values.len() > some.len() { ", …" } else { "" };
            format!("the values of {key} there are {}{more}", some.join(", "))
        }
    }
}
