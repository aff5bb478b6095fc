//! Policies and their rules by name, with the place where they stand.

use std::fmt::Display;

use chainmail_findings::{FieldPath, Places};
use serde::{Serialize, Serializer};

use super::{Direction, Policy, PolicyRef, RuleRef};

/// A policy and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyAt {
    /// The policy.
    #[serde(serialize_with = "as_text")]
    pub policy: PolicyRef,
    /// `file:line`.
    pub place: String,
}

/// A policy's rule and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleAt {
    /// The rule.
    #[serde(serialize_with = "as_text")]
    pub rule: RuleRef,
    /// `file:line`.
    pub place: String,
}

impl PolicyAt {
    /// Looks up where the policy stands.
    #[must_use]
    pub fn new(places: &dyn Places, policy: &Policy) -> Self {
        Self { policy: policy.policy_ref(), place: place(places, policy, &FieldPath::root()) }
    }
}

impl RuleAt {
    /// Looks up where a rule of the policy stands; `index` is its place among those of the direction.
    #[must_use]
    pub fn new(places: &dyn Places, policy: &Policy, direction: Direction, index: usize) -> Self {
        let path = FieldPath::root().key("spec").key(direction.to_string()).index(index);
        let rule = RuleRef { policy: policy.policy_ref(), direction, index };
        Self { rule, place: place(places, policy, &path) }
    }
}

fn place(places: &dyn Places, policy: &Policy, path: &FieldPath) -> String {
    let place = places.place(policy.at, path);
    format!("{}:{}", place.file, place.line)
}

fn as_text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
