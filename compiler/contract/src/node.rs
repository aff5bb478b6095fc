//! What is written for one node.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::{Manifest, SetName};

/// Everything that is written for one node, and the texts of the sets it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSnapshot {
    /// What it is made of.
    pub manifest: Manifest,
    /// The text of `rules.v4`.
    pub rules_v4: String,
    /// The text of `rules.v6`.
    pub rules_v6: String,
    /// The sets' texts, those of cut flows among them.
    pub sets: BTreeMap<SetName, Rc<str>>,
    /// The text of `provenance.json`.
    pub provenance: String,
    /// How many addresses its sets have that no reviewed file has.
    pub live_members: usize,
}

/// A policy rule as `provenance.json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OriginText {
    /// The policy, `namespace/name`.
    pub policy: String,
    /// The rule of it, such as `ingress[0]`; `ingress` alone where the policy denies by isolating pods.
    pub rule: String,
    /// `file:line`.
    pub place: String,
}
