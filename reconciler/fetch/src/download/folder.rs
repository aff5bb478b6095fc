//! The shell: how much the quarantine holds, and what is taken out of it.

#![expect(clippy::disallowed_methods, reason = "this module is the one that counts what the quarantine has")]

use std::fs::DirEntry;
use std::io;
use std::path::Path;

use chainmail_reconciler::files::{self, FileError};

use crate::config::Limits;
use crate::paths::Paths;
use crate::quarantine::{OBJECTS, Objects};

/// The lock of whoever downloads.
pub const DOWNLOAD_LOCK: &str = "download.lock";

/// Takes away what looks that were killed have left, and the copy where that has grown too large. What it held can be had
/// again. Answers how many bytes may be added.
///
/// # Errors
/// When the folder cannot be read, or something stays.
pub fn tidy(paths: &Paths, limits: Limits) -> Result<u64, FileError> {
    let (folder, repository) = (paths.quarantine(), paths.repository());
    for name in files::names(&folder)? {
        let is_whole = name.starts_with(OBJECTS) && !name.ends_with(NEW);
        if !is_whole && ![DOWNLOAD_LOCK, "look.json", "repository.git"].contains(&name.as_str()) {
            files::clear(&folder.join(name))?;
        }
    }
    // Whoever looks holds the lock of the folder, so a lock of Git's is of somebody who was killed.
    let left_over = |entry: &DirEntry| {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let in_packs = entry.path().parent().is_some_and(|folder| folder.ends_with("objects/pack"));
        let is_pack = name.starts_with(b"pack-") && (name.ends_with(b".pack") || name.ends_with(b".idx"));
        name.ends_with(b".lock") || (in_packs && !is_pack)
    };
    if !repository.is_dir() || sweep(&repository, &left_over).is_err() {
        files::clear(&repository)?;
    }
    let most = limits.quarantine;
    // A download needs room beside the index and the objects that are made of it.
    if most.saturating_sub(used(&folder)) < most / 2 {
        files::clear(&repository)?;
        forget(paths, None)?;
    }
    Ok(most.saturating_sub(used(&folder)))
}

/// What a file is called while it is written.
pub(super) const NEW: &str = ".new";

/// Takes away all files of objects but one.
///
/// # Errors
/// When one stays.
pub fn forget(paths: &Paths, but: Option<&Objects>) -> Result<(), FileError> {
    for name in files::names(&paths.quarantine())? {
        if name.starts_with(OBJECTS) && but.is_none_or(|but| but.file != name) {
            files::clear(&paths.quarantine().join(name))?;
        }
    }
    Ok(())
}

fn sweep(folder: &Path, left_over: &dyn Fn(&DirEntry) -> bool) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sweep(&entry.path(), left_over)?;
        } else if left_over(&entry) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// How many bytes the files below a folder have. What cannot be read counts as more than any limit.
#[must_use]
pub fn used(folder: &Path) -> u64 {
    let count = || {
        let mut bytes: u64 = 0;
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => folders.push(entry.path()),
                    false => bytes = bytes.saturating_add(entry.metadata()?.len()),
                }
            }
        }
        Ok::<_, io::Error>(bytes)
    };
    count().unwrap_or(u64::MAX)
}
