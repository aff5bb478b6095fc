//! The shell: reads snapshots from folders, in either form. The folder itself is the reader's choice; what stands in it may
//! be another user's, so each file is opened [`beneath`](crate::beneath) it and has a limit.

#![expect(clippy::disallowed_methods, reason = "this module is the one that reads snapshot files")]

use std::collections::BTreeMap;
use std::path::Path;

use crate::beneath::{Budget, FileKind, Folder};
use crate::limits::{IPSETS_BYTES, MANIFEST_BYTES, RULES_BYTES, SET_LIST_BYTES, SNAPSHOT_BYTES};
use crate::{Family, Grammar, Joined, JsonProblem, Manifest, NodeName, SetName, SnapshotError};

/// Reads one node's snapshot from `dir`, which is either what `chainmail compile --out` wrote (with `nodes/` and
/// `sets/`) or one joined snapshot (with `ipsets`).
///
/// # Errors
/// When a file is missing, is no regular file, is too long, a digest differs, or the snapshot is of another node.
pub fn snapshot(dir: &Path, node: &NodeName) -> Result<Joined, SnapshotError> {
    let joined = match joined_if_any(dir)? {
        Some(joined) => joined,
        None => node_of_tree(dir, node)?,
    };
    of_node(joined, node)
}

/// Reads the joined snapshot of a node from a folder that is open, and counts its files towards a budget.
///
/// # Errors
/// As [`snapshot`].
pub fn joined_of_node(
    folder: &Folder,
    node: &NodeName,
    budget: &mut Budget,
) -> Result<Joined, SnapshotError> {
    of_node(joined(folder, budget)?, node)
}

fn of_node(joined: Joined, node: &NodeName) -> Result<Joined, SnapshotError> {
    if joined.manifest().node == *node {
        Ok(joined)
    } else {
        Err(SnapshotError::OtherNode { found: joined.manifest().node.to_string(), wanted: node.to_string() })
    }
}

/// Reads the joined snapshot of a folder, where that holds one.
///
/// # Errors
/// When a file is missing, is no regular file, is too long, or a digest differs.
pub fn joined_if_any(dir: &Path) -> Result<Option<Joined>, SnapshotError> {
    let folder = Folder::open(dir)?;
    if folder.kind("ipsets").is_none() {
        return Ok(None);
    }
    joined(&folder, &mut Budget::bytes(SNAPSHOT_BYTES)).map(Some)
}

/// The nodes in a folder that `chainmail compile --out` wrote, in order of names.
///
/// # Errors
/// When `nodes/` cannot be read.
pub fn nodes(dir: &Path) -> Result<Vec<NodeName>, SnapshotError> {
    let nodes = dir.join("nodes");
    let fail = |source| SnapshotError::Read { path: nodes.display().to_string(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&nodes).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Reads a node's snapshot with the sets it needs from the fleet's folder.
///
/// # Errors
/// As [`snapshot`].
pub fn node_of_tree(dir: &Path, node: &NodeName) -> Result<Joined, SnapshotError> {
    let folder = Folder::open(dir)?;
    if folder.kind(&format!("nodes/{node}")) != Some(FileKind::Folder) {
        let known = nodes(dir)?.iter().map(ToString::to_string).collect();
        return Err(SnapshotError::UnknownNode {
            node: node.to_string(),
            path: dir.display().to_string(),
            known,
        });
    }
    let mut budget = Budget::bytes(SNAPSHOT_BYTES);
    node_with(node, |path| text(&folder, path, most_of(path), &mut budget))
}

/// The limit of a file of the fleet's folder.
fn most_of(path: &str) -> u64 {
    match path.rsplit_once('/') {
        Some(("sets", _)) => IPSETS_BYTES,
        Some((_, "manifest.json")) => MANIFEST_BYTES,
        Some((_, "sets")) => SET_LIST_BYTES,
        _ => RULES_BYTES,
    }
}

/// Reads a node's snapshot from wherever the texts of the fleet's folder are, each asked for by its path in there.
///
/// # Errors
/// When a text cannot be had, or a digest differs.
pub fn node_with(
    node: &NodeName,
    mut text: impl FnMut(&str) -> Result<String, SnapshotError>,
) -> Result<Joined, SnapshotError> {
    let folder = format!("nodes/{node}");
    let mut sets = BTreeMap::new();
    let list = format!("{folder}/sets");
    for (index, line) in text(&list)?.lines().enumerate() {
        let name: SetName = line.parse().map_err(|_| SnapshotError::Line {
            file: list.clone(),
            line: index + 1,
            problem: "it is no name of a set of ours",
        })?;
        let body = text(&format!("sets/{name}"))?;
        sets.insert(name, body);
    }
    let path = format!("{folder}/manifest.json");
    let manifest = manifest(&path, &text(&path)?)?;
    let rules = Family::ALL.map(|family| text(&format!("{folder}/{}", family.rules_file())));
    let [rules_v4, rules_v6] = rules;
    Joined::new(manifest, rules_v4?, rules_v6?, sets)
}

fn joined(folder: &Folder, budget: &mut Budget) -> Result<Joined, SnapshotError> {
    let mut text = |name: &str, most| text(folder, name, most, budget);
    let path = folder.path().join("manifest.json").display().to_string();
    let manifest = manifest(&path, &text("manifest.json", MANIFEST_BYTES)?)?;
    let sets = Joined::split_ipsets(&text("ipsets", IPSETS_BYTES)?)?;
    let [v4, v6] = Family::ALL.map(|family| text(family.rules_file(), RULES_BYTES));
    Joined::new(manifest, v4?, v6?, sets)
}

fn manifest(path: &str, json: &str) -> Result<Manifest, SnapshotError> {
    // A newer format or grammar may have fields that this program does not know: say "newer", not "unknown field".
    #[derive(serde::Deserialize)]
    struct Head {
        format: u32,
        #[serde(default)]
        grammar: Option<GrammarHead>,
    }
    #[derive(serde::Deserialize)]
    struct GrammarHead {
        level: u32,
        #[serde(default)]
        chainmaild: String,
    }
    if let Ok(Head { format, grammar }) = serde_json::from_str(json) {
        if format > crate::FORMAT_VERSION {
            return Err(SnapshotError::NewerFormat { found: format });
        }
        if let Some(GrammarHead { level, chainmaild }) = grammar {
            Grammar::new(level, chainmaild).known()?;
        }
    }
    serde_json::from_str(json).map_err(|error| SnapshotError::Manifest {
        path: path.to_owned(),
        problem: JsonProblem::from(&error),
    })
}

fn text(folder: &Folder, name: &str, most: u64, budget: &mut Budget) -> Result<String, SnapshotError> {
    let missing = || SnapshotError::Read {
        path: folder.path().join(name).display().to_string(),
        source: std::io::ErrorKind::NotFound.into(),
    };
    folder.text(name, most, budget)?.ok_or_else(missing)
}
