//! The shell: reads snapshots from folders, in either form.

#![expect(clippy::disallowed_methods, reason = "this module is the one that reads snapshot files")]

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Family, Joined, Manifest, NodeName, SetName, SnapshotError};

/// Reads one node's snapshot from `dir`, which is either what `chainmail compile --out` wrote (with `nodes/` and
/// `sets/`) or one joined snapshot (with `ipsets`).
///
/// # Errors
/// When a file is missing, a digest differs, or the snapshot is of another node.
pub fn snapshot(dir: &Path, node: &NodeName) -> Result<Joined, SnapshotError> {
    let joined = match joined_if_any(dir)? {
        Some(joined) => joined,
        None => node_of_tree(dir, node)?,
    };
    if joined.manifest().node == *node {
        Ok(joined)
    } else {
        Err(SnapshotError::OtherNode { found: joined.manifest().node.to_string(), wanted: node.to_string() })
    }
}

/// Reads the joined snapshot of a folder, where that holds one.
///
/// # Errors
/// When a file is missing or a digest differs.
pub fn joined_if_any(dir: &Path) -> Result<Option<Joined>, SnapshotError> {
    if dir.join("ipsets").exists() { joined(dir).map(Some) } else { Ok(None) }
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
    let folder = dir.join("nodes").join(node.as_str());
    if !folder.is_dir() {
        let known = nodes(dir)?.iter().map(ToString::to_string).collect();
        return Err(SnapshotError::UnknownNode {
            node: node.to_string(),
            path: dir.display().to_string(),
            known,
        });
    }
    node_with(node, |path| text(&dir.join(path)))
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
    for line in text(&format!("{folder}/sets"))?.lines() {
        let name: SetName = line
            .parse()
            .map_err(|_| SnapshotError::Sets { set: line.to_owned(), problem: "not a set name of ours" })?;
        let body = text(&format!("sets/{name}"))?;
        sets.insert(name, body);
    }
    let path = format!("{folder}/manifest.json");
    let manifest = manifest(&path, &text(&path)?)?;
    let rules = Family::ALL.map(|family| text(&format!("{folder}/{}", family.rules_file())));
    let [rules_v4, rules_v6] = rules;
    Joined::new(manifest, rules_v4?, rules_v6?, sets)
}

fn joined(dir: &Path) -> Result<Joined, SnapshotError> {
    let path = dir.join("manifest.json");
    let manifest = manifest(&path.display().to_string(), &text(&path)?)?;
    let sets = Joined::split_ipsets(&text(&dir.join("ipsets"))?)?;
    Joined::new(manifest, text(&dir.join("rules.v4"))?, text(&dir.join("rules.v6"))?, sets)
}

fn manifest(path: &str, json: &str) -> Result<Manifest, SnapshotError> {
    // A newer format may have fields that this program does not know: say "newer", not "unknown field".
    #[derive(serde::Deserialize)]
    struct Head {
        format: u32,
    }
    if let Ok(Head { format }) = serde_json::from_str(json)
        && format > crate::FORMAT_VERSION
    {
        return Err(SnapshotError::NewerFormat { found: format });
    }
    serde_json::from_str(json).map_err(|source| SnapshotError::Manifest { path: path.to_owned(), source })
}

fn text(path: &Path) -> Result<String, SnapshotError> {
    std::fs::read_to_string(path)
        .map_err(|source| SnapshotError::Read { path: path.display().to_string(), source })
}
