//! Labels, selectors and protocols.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{NAMESPACES, fields, put};
use crate::seeded::Seeded;

/// A label's key, and the values it may have.
type Vocabulary<const N: usize> = [(&'static str, [&'static str; 3]); N];

/// Pods' labels; values that differ in case only, and the empty one, are among them.
pub(super) const POD_LABELS: Vocabulary<3> = [
    ("app", ["web", "db", "Web"]),
    ("tier", ["front", "back", ""]),
    ("example.com/role", ["primary", "", "x"]),
];

/// Namespaces' labels.
pub(super) const NAMESPACE_LABELS: Vocabulary<2> = [("env", ["prod", "dev", ""]), ("team", ["a", "b", "A"])];

/// The label that every namespace has.
const METADATA_NAME: &str = "kubernetes.io/metadata.name";

/// Labels of an object, most keys given.
pub(super) fn labels<const N: usize>(rng: &mut Seeded, of: &Vocabulary<N>) -> Option<Value> {
    let mut labels = BTreeMap::new();
    for (key, values) in of {
        if rng.percent(65) {
            labels.insert(*key, *rng.pick(values));
        }
    }
    (!labels.is_empty() || rng.percent(50)).then_some(json!(labels))
}

/// A selector of pods.
pub(super) fn of_pods(rng: &mut Seeded) -> Value {
    selector(rng, &|rng| {
        let (key, values) = rng.pick(&POD_LABELS);
        ((*key).to_owned(), values.map(str::to_owned).to_vec())
    })
}

/// A selector of namespaces.
pub(super) fn of_namespaces(rng: &mut Seeded) -> Value {
    selector(rng, &|rng| {
        if rng.percent(40) {
            return (METADATA_NAME.to_owned(), NAMESPACES.map(str::to_owned).to_vec());
        }
        let (key, values) = rng.pick(&NAMESPACE_LABELS);
        ((*key).to_owned(), values.map(str::to_owned).to_vec())
    })
}

/// A selector's key with the values to choose from.
type Term<'a> = &'a dyn Fn(&mut Seeded) -> (String, Vec<String>);

fn selector(rng: &mut Seeded, term: Term<'_>) -> Value {
    let mut selector = serde_json::Map::new();
    match rng.below(10) {
        0 => return json!({}),
        1 => return rng.pick(&[json!({"matchLabels": null}), json!({"matchLabels": {}})]).clone(),
        2 => return rng.pick(&[json!({"matchExpressions": []}), json!({"matchExpressions": null})]).clone(),
        3..7 => put(&mut selector, "matchLabels", Some(match_labels(rng, term))),
        7..9 => put(&mut selector, "matchExpressions", Some(match_expressions(rng, term))),
        _ => {
            put(&mut selector, "matchLabels", Some(match_labels(rng, term)));
            put(&mut selector, "matchExpressions", Some(match_expressions(rng, term)));
        }
    }
    Value::Object(selector)
}

fn match_labels(rng: &mut Seeded, term: Term<'_>) -> Value {
    let mut labels = BTreeMap::new();
    for _ in 0..if rng.percent(25) { 2 } else { 1 } {
        let (key, values) = term(rng);
        labels.insert(key, rng.pick(&values).clone());
    }
    json!(labels)
}

fn match_expressions(rng: &mut Seeded, term: Term<'_>) -> Value {
    let count = if rng.percent(25) { 2 } else { 1 };
    let expressions: Vec<Value> = (0..count).map(|_| match_expression(rng, term)).collect();
    json!(expressions)
}

fn match_expression(rng: &mut Seeded, term: Term<'_>) -> Value {
    let (key, mut values) = term(rng);
    rng.shuffle(&mut values);
    values.truncate(rng.between(1, 2));
    let operator = *rng.pick(&["In", "NotIn", "Exists", "DoesNotExist"]);
    let mut expression = fields([("key", json!(key)), ("operator", json!(operator))]);
    if matches!(operator, "In" | "NotIn") {
        put(&mut expression, "values", Some(json!(values)));
    }
    Value::Object(expression)
}

/// A protocol; absent and null are TCP.
pub(super) fn protocol(rng: &mut Seeded) -> Option<Value> {
    match rng.below(10) {
        0..4 => None,
        4 => Some(Value::Null),
        5 | 6 => Some(json!("TCP")),
        7 | 8 => Some(json!("UDP")),
        _ => Some(json!("SCTP")),
    }
}
