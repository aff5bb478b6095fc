//! `manifest.json`: what a snapshot is made of, and one digest over all of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Family, Grammar, Level, NodeName, SetName, Sha256Hex};

/// The version of the snapshot format. A reader refuses a newer one.
pub const FORMAT_VERSION: u32 = 1;

/// The digests of both rule texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// SHA-256 of `rules.v4`.
    #[serde(rename = "rules.v4")]
    pub rules_v4: Sha256Hex,
    /// SHA-256 of `rules.v6`.
    #[serde(rename = "rules.v6")]
    pub rules_v6: Sha256Hex,
}

impl Parts {
    /// The digest of one family's rule text.
    #[must_use]
    pub fn rules(&self, family: Family) -> &Sha256Hex {
        match family {
            Family::V4 => &self.rules_v4,
            Family::V6 => &self.rules_v6,
        }
    }
}

/// The content of `manifest.json`.
///
/// The sets of cut flows are not listed: their members are a node's own, and their text is the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the writer.
    pub format: u32,
    /// The level of the rules' forms, where that is not the first. It is outside the digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grammar: Option<Grammar>,
    /// The node that this snapshot is for.
    pub node: NodeName,
    /// The rule texts.
    pub parts: Parts,
    /// SHA-256 of each set's text.
    pub sets: BTreeMap<SetName, Sha256Hex>,
    /// One digest over all of the above, see [`Manifest::new`].
    pub digest: Sha256Hex,
}

impl Manifest {
    /// Describes a snapshot. Its digest is SHA-256 over the lines `chainmail FORMAT`, `node NAME`,
    /// `rules.v4 SHA256`, `rules.v6 SHA256` and a `set NAME SHA256` for each set in order of names.
    #[must_use]
    pub fn new(node: NodeName, parts: Parts, sets: BTreeMap<SetName, Sha256Hex>) -> Self {
        let digest = digest(&node, &parts, &sets);
        Self { format: FORMAT_VERSION, grammar: None, node, parts, sets, digest }
    }

    /// The same, whose rules are of a level.
    #[must_use]
    pub fn of_level(self, level: Level) -> Self {
        Self { grammar: Grammar::of(level), ..self }
    }

    /// Whether the digest is the one of the rest.
    #[must_use]
    pub fn digest_holds(&self) -> bool {
        self.digest == digest(&self.node, &self.parts, &self.sets)
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self).expect("a manifest has only string keys");
        json + "\n"
    }
}

fn digest(node: &NodeName, parts: &Parts, sets: &BTreeMap<SetName, Sha256Hex>) -> Sha256Hex {
    use std::fmt::Write as _;
    let mut text = format!("chainmail {FORMAT_VERSION}\nnode {node}\n");
    for family in Family::ALL {
        writeln!(text, "{} {}", family.rules_file(), parts.rules(family)).expect("writing to a String");
    }
    for (name, sha256) in sets {
        writeln!(text, "set {name} {sha256}").expect("writing to a String cannot fail");
    }
    Sha256Hex::of(text)
}
