//! The shell that writes snapshots: whole, or not at all.

#![expect(clippy::disallowed_methods, reason = "this module is the one that writes snapshot files")]

mod file;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chainmail_contract::beneath::{Budget, Folder};
use chainmail_contract::limits::SNAPSHOT_BYTES;
use chainmail_contract::{Joined, NodeName, NodeSnapshot, SetName};
use tempfile::TempDir;
use thiserror::Error;

pub use file::write_file;

/// Output that could not be written; what was there before is there still.
#[derive(Debug, Error)]
pub enum WriteError {
    /// A file or folder.
    #[error("cannot write {path}: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A folder that cannot be replaced in one step.
    #[error(
        "cannot put a new folder in the place of {path}: {source}; it must not be a mount point, and on an overlay not of a lower layer"
    )]
    Exchange {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A folder with something else in it.
    #[error(
        "{path} holds {found:?}, so it is no snapshot folder; name a folder that is new, empty or was written before"
    )]
    NotOurs {
        /// Which.
        path: String,
        /// The first thing in it that is not ours.
        found: String,
    },
    /// A joined snapshot would land on something.
    #[error("{path} exists; name a folder that does not")]
    Exists {
        /// Which.
        path: String,
    },
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> WriteError + '_ {
    |source| WriteError::Io { path: path.display().to_string(), source }
}

/// A snapshot folder in the making, beside the one that it will replace.
pub struct Stage {
    out: PathBuf,
    folder: TempDir,
    sets: BTreeSet<SetName>,
}

impl Stage {
    /// Begins a new folder for `out`.
    ///
    /// # Errors
    /// When `out` is something else than a snapshot folder, or its parent cannot be written.
    pub fn new(out: &Path) -> Result<Self, WriteError> {
        // Through links to the folder that those who read it mean.
        let out = if out.exists() { std::fs::canonicalize(out).map_err(io(out))? } else { out.to_path_buf() };
        refuse_foreign(&out)?;
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent).map_err(io(parent))?;
        let folder = tempfile::Builder::new().prefix(".chainmail-").tempdir_in(parent).map_err(io(parent))?;
        for name in ["nodes", "sets"] {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).map_err(io(&path))?;
        }
        Ok(Self { out, folder, sets: BTreeSet::new() })
    }

    /// Adds a node.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn add(&mut self, snapshot: &NodeSnapshot) -> Result<(), WriteError> {
        let node = self.folder.path().join("nodes").join(snapshot.manifest.node.as_str());
        std::fs::create_dir_all(&node).map_err(io(&node))?;
        let write = |path: String, text: &str| {
            let path = self.folder.path().join(path);
            std::fs::write(&path, text).map_err(io(&path))
        };
        for (path, text) in node_files(snapshot) {
            write(path, &text)?;
        }
        for (name, text) in &snapshot.sets {
            if self.sets.insert(name.clone()) {
                write(set_path(name), text)?;
            }
        }
        Ok(())
    }

    /// Keeps a node as the old folder has it, with its sets.
    ///
    /// # Errors
    /// When a file cannot be copied.
    pub fn keep(&mut self, node: &NodeName) -> Result<(), WriteError> {
        let (old, new) = (
            self.out.join("nodes").join(node.as_str()),
            self.folder.path().join("nodes").join(node.as_str()),
        );
        std::fs::create_dir_all(&new).map_err(io(&new))?;
        let folder = Folder::open(&self.out).map_err(|error| io(&self.out)(std::io::Error::other(error)))?;
        // Committed files may be links to anything.
        let mut budget = Budget::bytes(SNAPSHOT_BYTES);
        let mut take = |path: &str| {
            let bytes = folder.read(path, SNAPSHOT_BYTES, &mut budget).map_err(std::io::Error::other);
            let bytes = bytes.and_then(|bytes| bytes.ok_or_else(|| std::io::ErrorKind::NotFound.into()));
            let bytes = bytes.map_err(io(&self.out.join(path)))?;
            let to = self.folder.path().join(path);
            std::fs::write(&to, &bytes).map_err(io(&to))?;
            Ok::<_, WriteError>(bytes)
        };
        let mut sets = Vec::new();
        for entry in std::fs::read_dir(&old).map_err(io(&old))? {
            let name = entry.map_err(io(&old))?.file_name();
            let bytes = take(&format!("nodes/{node}/{}", name.to_string_lossy()))?;
            if name == "sets" {
                sets = bytes;
            }
        }
        for name in String::from_utf8_lossy(&sets).lines() {
            let Ok(name) = name.parse::<SetName>() else { continue };
            if !self.sets.contains(&name) {
                take(&set_path(&name))?;
                self.sets.insert(name);
            }
        }
        Ok(())
    }

    /// Puts the new folder in the place of the old one in one step.
    ///
    /// # Errors
    /// When it cannot be moved there.
    pub fn commit(self) -> Result<(), WriteError> {
        use std::os::unix::fs::PermissionsExt as _;
        let new = self.folder.path();
        std::fs::set_permissions(new, std::fs::Permissions::from_mode(0o755)).map_err(io(new))?;
        if self.out.exists() {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            // The old folder ends up under the temporary name, and goes with it.
            renameat_with(CWD, new, CWD, &self.out, RenameFlags::EXCHANGE).map_err(|errno| {
                WriteError::Exchange { path: self.out.display().to_string(), source: errno.into() }
            })?;
            self.folder.close().map_err(io(&self.out))
        } else {
            std::fs::rename(new, &self.out).map_err(io(&self.out))?;
            let _moved_away = self.folder.keep();
            Ok(())
        }
    }
}

/// Refuses a folder that holds anything we did not write: it would be gone with the old snapshots.
fn refuse_foreign(out: &Path) -> Result<(), WriteError> {
    let foreign = |path: &Path| {
        let found = path.strip_prefix(out).unwrap_or(path).display().to_string();
        WriteError::NotOurs { path: out.display().to_string(), found }
    };
    for path in entries(out)? {
        let is_ours: fn(&str) -> bool = match name_of(&path) {
            "nodes" => |name| name.parse::<NodeName>().is_ok(),
            "sets" => |name| name.parse::<SetName>().is_ok(),
            _ => return Err(foreign(&path)),
        };
        for inner in entries(&path)? {
            if !is_ours(name_of(&inner)) || inner.is_dir() != path.ends_with("nodes") {
                return Err(foreign(&inner));
            }
            if inner.is_dir()
                && let Some(stray) = entries(&inner)?.iter().find(|file| !NODE_FILES.contains(&name_of(file)))
            {
                return Err(foreign(stray));
            }
        }
    }
    Ok(())
}

/// The files of a node's folder.
const NODE_FILES: [&str; 5] = ["rules.v4", "rules.v6", "sets", "manifest.json", "provenance.json"];

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// What is in a folder, in order; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, WriteError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let list = std::fs::read_dir(folder).map_err(io(folder))?;
    let mut paths = list.map(|entry| Ok(entry.map_err(io(folder))?.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

/// The files of a node's folder, by their paths in a snapshot folder.
fn node_files(snapshot: &NodeSnapshot) -> Vec<(String, Cow<'_, str>)> {
    let node = |file: &str| format!("nodes/{}/{file}", snapshot.manifest.node);
    let names: String = snapshot.sets.keys().map(|name| format!("{name}\n")).collect();
    vec![
        (node("rules.v4"), Cow::from(&snapshot.rules_v4)),
        (node("rules.v6"), Cow::from(&snapshot.rules_v6)),
        (node("sets"), Cow::from(names)),
        (node("manifest.json"), Cow::from(snapshot.manifest.to_json())),
        (node("provenance.json"), Cow::from(&snapshot.provenance)),
    ]
}

fn set_path(name: &SetName) -> String {
    format!("sets/{name}")
}

/// How a file of a snapshot folder is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// It is not there.
    Missing,
    /// It has other bytes.
    Differs,
    /// It should not be there.
    Extra,
}

/// Compares a folder with snapshots, one node at a time.
#[derive(Debug, Default)]
pub struct Check {
    expected: BTreeSet<String>,
    differences: BTreeSet<(String, Difference)>,
}

impl Check {
    /// Compares a node's files. What its rules come from may differ: it is outside the digest.
    pub fn node(&mut self, out: &Path, snapshot: &NodeSnapshot) {
        let folder = Folder::open(out).ok();
        let sets = snapshot.sets.iter().map(|(name, text)| (set_path(name), Cow::from(&**text)));
        for (path, text) in node_files(snapshot).into_iter().chain(sets) {
            if self.expected.contains(&path) {
                continue;
            }
            if !path.ends_with("/provenance.json") {
                let most = text.len() as u64;
                let read = |folder: &Folder| folder.read(&path, most, &mut Budget::bytes(most));
                // What is longer, a link, or no file at all has other bytes than this one.
                let difference = match folder.as_ref().map_or(Ok(None), read) {
                    Ok(Some(bytes)) if bytes == text.as_bytes() => None,
                    Ok(Some(_)) | Err(_) => Some(Difference::Differs),
                    Ok(None) => Some(Difference::Missing),
                };
                self.differences.extend(difference.map(|difference| (path.clone(), difference)));
            }
            self.expected.insert(path);
        }
    }

    /// Looks for nodes and sets that no snapshot has.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn extras(&mut self, out: &Path) -> Result<(), WriteError> {
        for folder in ["nodes", "sets"] {
            let path = out.join(folder);
            if !path.exists() {
                continue;
            }
            for entry in std::fs::read_dir(&path).map_err(io(&path))? {
                let name = format!("{folder}/{}", entry.map_err(io(&path))?.file_name().to_string_lossy());
                let inside = format!("{name}/");
                let below = self
                    .expected
                    .range(inside.clone()..)
                    .next()
                    .is_some_and(|path| path.starts_with(&inside));
                if !below && !self.expected.contains(&name) {
                    self.differences.insert((name, Difference::Extra));
                }
            }
        }
        Ok(())
    }

    /// What differs, in order of paths.
    pub fn differences(&self) -> impl Iterator<Item = &(String, Difference)> {
        self.differences.iter()
    }
}

/// Writes one node's snapshot in joined form: the stock files `ipsets`, `rules.v4` and `rules.v6`, and beside them the
/// manifest, by which a node verifies them.
///
/// # Errors
/// When the folder exists or a file cannot be written.
pub fn write_joined(out: &Path, snapshot: &Joined) -> Result<(), WriteError> {
    if out.exists() && std::fs::read_dir(out).map_err(io(out))?.next().is_some() {
        return Err(WriteError::Exists { path: out.display().to_string() });
    }
    std::fs::create_dir_all(out).map_err(io(out))?;
    let texts = [
        ("ipsets", snapshot.ipsets()),
        ("rules.v4", snapshot.rules(chainmail_contract::Family::V4).to_owned()),
        ("rules.v6", snapshot.rules(chainmail_contract::Family::V6).to_owned()),
        ("manifest.json", snapshot.manifest().to_json()),
    ];
    for (name, text) in texts {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(io(&path))?;
    }
    Ok(())
}
