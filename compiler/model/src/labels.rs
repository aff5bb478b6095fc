//! Labels and selectors.

use std::collections::BTreeSet;
use std::fmt;

use super::LabelKey;

/// An object's labels, in order of keys. Keys and values are compared as exact strings.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(Box<[(LabelKey, String)]>);

impl Labels {
    /// Takes labels that admission has checked, whose keys differ.
    #[must_use]
    pub fn new(labels: impl IntoIterator<Item = (LabelKey, String)>) -> Self {
        let mut labels: Box<[_]> = labels.into_iter().collect();
        labels.sort_unstable();
        Self(labels)
    }

    /// A label's value.
    #[must_use]
    pub fn get(&self, key: &LabelKey) -> Option<&str> {
        self.iter().find_map(|(known, value)| (known == key).then_some(value))
    }

    /// All labels, in order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&LabelKey, &str)> {
        self.0.iter().map(|(key, value)| (key, value.as_str()))
    }
}

/// One requirement of a selector. `matchLabels: {k: v}` is `In` with one value: the API server reads it so, which
/// is why `k: ""` needs the label to be there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// The label is there with one of the values.
    In(LabelKey, BTreeSet<String>),
    /// The label is absent, or has none of the values.
    NotIn(LabelKey, BTreeSet<String>),
    /// The label is there.
    Exists(LabelKey),
    /// The label is absent.
    DoesNotExist(LabelKey),
}

impl Requirement {
    /// The label that it is about.
    #[must_use]
    pub fn key(&self) -> &LabelKey {
        match self {
            Requirement::In(key, _)
            | Requirement::NotIn(key, _)
            | Requirement::Exists(key)
            | Requirement::DoesNotExist(key) => key,
        }
    }

    /// Whether labels meet it, as `Requirement.Matches` of apimachinery decides.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => !labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::Exists(key) => labels.get(key).is_some(),
            Requirement::DoesNotExist(key) => labels.get(key).is_none(),
        }
    }
}

impl fmt::Display for Requirement {
    /// As kubectl writes selectors: `k=v`, `k in (v,w)`, `k notin (v)`, `k`, `!k`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match self {
            Requirement::In(key, values) if values.len() == 1 => write!(f, "{key}={}", list(values)),
            Requirement::In(key, values) => write!(f, "{key} in ({})", list(values)),
            Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", list(values)),
            Requirement::Exists(key) => write!(f, "{key}"),
            Requirement::DoesNotExist(key) => write!(f, "!{key}"),
        }
    }
}

/// A selector: all requirements must be met, so the empty one selects everything. Two selectors with the same
/// requirements are equal, however they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelSelector(BTreeSet<Requirement>);

impl LabelSelector {
    /// Takes requirements that admission has checked.
    #[must_use]
    pub fn new(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        Self(requirements.into_iter().collect())
    }

    /// The requirements, in order.
    pub fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        self.0.iter()
    }

    /// Whether labels meet every requirement.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

impl fmt::Display for LabelSelector {
    /// The requirements with commas between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requirements: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&requirements.join(","))
    }
}
