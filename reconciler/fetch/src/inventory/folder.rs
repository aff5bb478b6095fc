//! The shell: which files an inventory's folder has.

#![expect(clippy::disallowed_methods, reason = "this module is the one that looks at the inventory's folder")]

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What changes whenever a file does: it is written, or another one takes its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    inode: u64,
    length: u64,
    /// In seconds since 1970.
    pub(super) written: i64,
    nanoseconds: i64,
}

/// What stands in the folder under the name of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A file.
    File(Stamp),
    /// Something else, in words. A link is not followed: who may write into the folder could not read what it points to.
    Other(&'static str),
}

/// The manifests of a folder by name: all that ends in .json, .yaml or .yml and does not begin with a dot.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> io::Result<BTreeMap<String, Found>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let ending = Path::new(&name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if name.starts_with('.')
            || name.contains(char::is_control)
            || !["json", "yaml", "yml"].contains(&ending)
        {
            continue;
        }
        // One that has gone since was not there.
        let Ok(meta) = entry.metadata() else { continue };
        let kind = if meta.is_file() {
            Found::File(Stamp {
                inode: meta.ino(),
                length: meta.len(),
                written: meta.mtime(),
                nanoseconds: meta.mtime_nsec(),
            })
        } else if meta.is_symlink() {
            Found::Other("a symbolic link")
        } else {
            Found::Other("no regular file")
        };
        found.insert(name, kind);
    }
    Ok(found)
}

/// How long all files are together.
#[must_use]
pub fn bytes(found: &BTreeMap<String, Found>) -> u64 {
    let length = |found: &Found| match found {
        Found::File(stamp) => stamp.length,
        Found::Other(_) => 0,
    };
    found.values().map(length).fold(0, u64::saturating_add)
}

/// Where a folder can be seen to change, or to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder, or the nearest one above it that is there.
    pub path: PathBuf,
    /// What of it matters where it is one above: itself, and what has to be made in it.
    pub only: Vec<PathBuf>,
    /// What tells it from another folder of its name.
    identity: (u64, u64),
}

impl Place {
    /// Where a folder is, or would be made.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        let mut missing = None;
        for path in folder.ancestors() {
            if let Ok(meta) = std::fs::metadata(path) {
                let path = path.to_owned();
                let only = missing.map_or_else(Vec::new, |missing| vec![path.clone(), missing]);
                return Some(Self { path, only, identity: (meta.dev(), meta.ino()) });
            }
            missing = Some(path.to_owned());
        }
        None
    }
}
