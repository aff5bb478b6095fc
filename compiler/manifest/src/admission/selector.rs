//! Label selectors.

use std::collections::BTreeSet;

use chainmail_findings::{Code, FieldPath};
use chainmail_model::{LabelSelector, Requirement};

use super::written::{self, Part};
use super::{Scope, label};
use crate as manifest;

/// A selector at `path`. What is wrong with it is reported; what is left must not be used then.
pub(super) fn selector(
    scope: &mut Scope<'_>,
    path: &FieldPath,
    selector: &manifest::LabelSelector,
) -> LabelSelector {
    let labels = label::map(scope, &path.key("matchLabels"), selector.match_labels.as_ref());
    let equal = labels.into_iter().map(|(key, value)| Requirement::In(key, BTreeSet::from([value])));
    let mut requirements: Vec<Requirement> = equal.collect();
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let path = path.key("matchExpressions").index(index);
        requirements.extend(requirement(scope, &path, expression));
    }
    LabelSelector::new(requirements)
}

fn requirement(
    scope: &mut Scope<'_>,
    path: &FieldPath,
    expression: &manifest::Requirement,
) -> Option<Requirement> {
    let key = match &expression.key {
        Some(text) => {
            written::check(scope, &path.key("key"), &text.0, Part::Value);
            label::key(scope, &path.key("key"), &text.0)
        }
        None => {
            scope.report(Code::Required, &path.key("key"), "the requirement has no key");
            None
        }
    };
    let values = expression.values.as_deref().unwrap_or_default();
    for (index, value) in values.iter().enumerate() {
        label::check_value(scope, &path.key("values").index(index), &value.0);
    }
    let set: BTreeSet<String> = values.iter().map(|text| text.0.clone()).collect();
    let Some(operator) = expression.operator.as_ref().map(|text| text.0.as_str()) else {
        let help = "the operators are In, NotIn, Exists and DoesNotExist";
        scope.report_with_help(
            Code::Required,
            &path.key("operator"),
            "the requirement has no operator",
            help,
        );
        return None;
    };
    let wants_values = match operator {
        "In" | "NotIn" => true,
        "Exists" | "DoesNotExist" => false,
        _ => {
            let message = format!("{operator:?} is not a selector operator");
            let help = "the operators are In, NotIn, Exists and DoesNotExist";
            scope.report_with_help(Code::BadOperator, &path.key("operator"), message, help);
            return None;
        }
    };
    if wants_values == set.is_empty() {
        let message = if wants_values {
            format!("{operator} needs values")
        } else {
            format!("{operator} takes no values")
        };
        scope.report(Code::BadOperatorValues, &path.key("values"), message);
        return None;
    }
    let key = key?;
    Some(match operator {
        "In" => Requirement::In(key, set),
        "NotIn" => Requirement::NotIn(key, set),
        "Exists" => Requirement::Exists(key),
        _ => Requirement::DoesNotExist(key),
    })
}
