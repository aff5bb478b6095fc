//! The shell: a lock, so that two `chainmaild` never change the kernel at once.

#![expect(clippy::disallowed_methods, reason = "this module is the one that touches the state folder")]

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use thiserror::Error;

/// The lock of the applying half, below `/run/chainmail`.
pub const APPLY_LOCK: &str = "apply.lock";
/// The lock of the pulling half, in its state folder.
pub const FETCH_LOCK: &str = "fetch.lock";

/// The lock, held as long as this lives. The kernel lets go of it when the process ends in whatever way.
#[derive(Debug)]
pub struct ApplyLock {
    _file: File,
}

/// A lock that was not taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another process is at work: it holds {path}")]
    Busy {
        /// The lock file.
        path: String,
    },
    /// The file cannot be made or locked.
    #[error("cannot lock {path}: {source}")]
    File {
        /// The lock file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ApplyLock {
    /// Takes `apply.lock` in the state folder, which is made if need be, without waiting.
    ///
    /// # Errors
    /// When another process holds it, or the file cannot be made.
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        Self::take_file(state_dir, APPLY_LOCK)
    }

    /// Takes a lock of another name.
    ///
    /// # Errors
    /// As [`ApplyLock::take`].
    pub fn take_file(state_dir: &Path, name: &str) -> Result<Self, LockError> {
        let (path, file) = open(state_dir, name)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Busy { path }),
            Err(TryLockError::Error(source)) => Err(LockError::File { path, source }),
        }
    }

    /// Takes a lock of another name, once nobody else holds it.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn wait_for_file(state_dir: &Path, name: &str) -> Result<Self, LockError> {
        let (path, file) = open(state_dir, name)?;
        match file.lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(source) => Err(LockError::File { path, source }),
        }
    }
}

fn open(state_dir: &Path, name: &str) -> Result<(String, File), LockError> {
    let path = state_dir.join(name);
    let shown = path.display().to_string();
    let fail = |source| LockError::File { path: shown.clone(), source };
    std::fs::create_dir_all(state_dir).map_err(fail)?;
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(fail)?;
    Ok((shown, file))
}

/// Whether somebody holds a lock; `None` where this process may not ask.
#[must_use]
pub fn is_held(folder: &Path, name: &str) -> Option<bool> {
    let file = match File::open(folder.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Some(false),
        Err(_) => return None,
    };
    match file.try_lock_shared() {
        Ok(()) => Some(false),
        Err(TryLockError::WouldBlock) => Some(true),
        Err(TryLockError::Error(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_that_the_first_is_at_work() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("run");
        let first = ApplyLock::take(&state_dir).unwrap();
        assert!(matches!(ApplyLock::take(&state_dir), Err(LockError::Busy { .. })));
        assert_eq!(is_held(&state_dir, APPLY_LOCK), Some(true));
        drop(first);
        assert_eq!(is_held(&state_dir, APPLY_LOCK), Some(false));
        assert!(ApplyLock::take(&state_dir).is_ok());
    }
}
