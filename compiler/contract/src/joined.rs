//! The joined form of a snapshot: everything that one node needs, verified against its manifest.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::beneath::BeneathError;
use crate::{FORMAT_VERSION, Family, Grammar, JsonProblem, Level, Manifest, SetName, Sha256Hex, is_cut_set};

/// A snapshot that is not what its manifest says, or cannot be read at all. The text names places and kinds, and quotes no
/// line of a file: the file may be one that the reader of the message may not read.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// A file is missing or unreadable.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is no regular file, or is too long.
    #[error(transparent)]
    File(#[from] BeneathError),
    /// `manifest.json` is not a manifest.
    #[error("{path} is not a snapshot manifest: {problem}")]
    Manifest {
        /// The file.
        path: String,
        /// Where and why.
        problem: JsonProblem,
    },
    /// The snapshot was written by a newer program.
    #[error("snapshot format {found} is newer than {FORMAT_VERSION}, the newest that this program reads")]
    NewerFormat {
        /// The version in the manifest.
        found: u32,
    },
    /// The snapshot has forms of rules that this program does not know.
    #[error(
        "its rules are of grammar level {level}, and this program reads up to {}: it needs chainmaild ≥ {needs}; upgrade \
         chainmaild first",
        Level::NEWEST.number()
    )]
    NewerGrammar {
        /// The level in the manifest.
        level: u32,
        /// The first version of `chainmaild` that reads it.
        needs: String,
    },
    /// The folder holds no such node.
    #[error("no snapshot of node {node:?} in {path}; it has: {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    UnknownNode {
        /// The node asked for.
        node: String,
        /// The folder.
        path: String,
        /// The nodes it has.
        known: Vec<String>,
    },
    /// The snapshot is of another node.
    #[error("this snapshot is for node {found}, not {wanted}")]
    OtherNode {
        /// The node of the manifest.
        found: String,
        /// The node asked for.
        wanted: String,
    },
    /// A part's bytes are not the ones that the manifest names.
    #[error("{part} does not have the SHA-256 that manifest.json says")]
    Digest {
        /// The part.
        part: String,
    },
    /// The digest in the manifest is not the one of its own lines.
    #[error("the digest in manifest.json is not the one of its lines")]
    ManifestDigest,
    /// A line of the set list or of `ipsets` has no place there.
    #[error("{file}:{line}: {problem}")]
    Line {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The set texts and the manifest do not name the same sets.
    #[error("set {set}: {problem}")]
    Sets {
        /// The set.
        set: SetName,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// One node's snapshot with its sets, verified: every part has the digest that the manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    manifest: Manifest,
    rules_v4: String,
    rules_v6: String,
    sets: BTreeMap<SetName, String>,
}

impl Joined {
    /// Puts a snapshot together and verifies it.
    ///
    /// # Errors
    /// When the format or the grammar is newer than this program, a digest differs, or the sets are not the manifest's.
    pub fn new(
        manifest: Manifest,
        rules_v4: String,
        rules_v6: String,
        sets: BTreeMap<SetName, String>,
    ) -> Result<Self, SnapshotError> {
        if manifest.format > FORMAT_VERSION {
            return Err(SnapshotError::NewerFormat { found: manifest.format });
        }
        manifest.grammar.as_ref().map_or(Ok(()), Grammar::known)?;
        verify("rules.v4", &manifest.parts.rules_v4, &rules_v4)?;
        verify("rules.v6", &manifest.parts.rules_v6, &rules_v6)?;
        for (name, text) in &sets {
            match manifest.sets.get(name) {
                Some(expected) => verify(&format!("set {name}"), expected, text)?,
                None if is_cut_set(name) => {}
                None => {
                    return Err(SnapshotError::Sets { set: name.clone(), problem: "not in manifest.json" });
                }
            }
        }
        if let Some(name) = manifest.sets.keys().find(|name| !sets.contains_key(name)) {
            return Err(SnapshotError::Sets { set: name.clone(), problem: "its text is missing" });
        }
        if !manifest.digest_holds() {
            return Err(SnapshotError::ManifestDigest);
        }
        Ok(Self { manifest, rules_v4, rules_v6, sets })
    }

    /// What the snapshot is made of.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The `iptables-restore` text of one family.
    #[must_use]
    pub fn rules(&self, family: Family) -> &str {
        match family {
            Family::V4 => &self.rules_v4,
            Family::V6 => &self.rules_v6,
        }
    }

    /// Each set's `ipset restore` text, the sets of cut flows among them.
    #[must_use]
    pub fn sets(&self) -> &BTreeMap<SetName, String> {
        &self.sets
    }

    /// The text of the file `ipsets`: the sets' texts in order of names.
    #[must_use]
    pub fn ipsets(&self) -> String {
        self.sets.values().map(String::as_str).collect()
    }

    /// Splits the text of an `ipsets` file into its sets, each beginning with its `create` line.
    ///
    /// # Errors
    /// When a line belongs to no set, or a set is created twice.
    pub fn split_ipsets(text: &str) -> Result<BTreeMap<SetName, String>, SnapshotError> {
        let bad = |index: usize, problem| SnapshotError::Line {
            file: "ipsets".to_owned(),
            line: index + 1,
            problem,
        };
        let mut sets: BTreeMap<SetName, String> = BTreeMap::new();
        let mut current: Option<(SetName, String)> = None;
        for (index, line) in text.lines().enumerate() {
            // Nearly all lines add a member to the set of the line before.
            if let Some((name, set)) = &mut current
                && let Some(rest) = line.strip_prefix("add ")
                && rest.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(' '))
            {
                set.push_str(line);
                set.push('\n');
                continue;
            }
            sets.extend(current.take());
            let mut words = line.split(' ');
            let (verb, name) = (words.next(), words.next());
            let name: SetName = name
                .and_then(|name| name.parse().ok())
                .ok_or_else(|| bad(index, "the line names no set of ours"))?;
            match verb {
                Some("create") if !sets.contains_key(&name) => current = Some((name, format!("{line}\n"))),
                Some("create") => return Err(bad(index, "created twice")),
                _ => return Err(bad(index, "the line does not follow its set's create line")),
            }
        }
        sets.extend(current);
        Ok(sets)
    }
}

fn verify(part: &str, expected: &Sha256Hex, text: &str) -> Result<(), SnapshotError> {
    // The digest that was found is not told: it would answer guesses about a file that others may not read.
    if *expected == Sha256Hex::of(text) {
        Ok(())
    } else {
        Err(SnapshotError::Digest { part: part.to_owned() })
    }
}
