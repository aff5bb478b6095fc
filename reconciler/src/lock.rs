//! The shell: a lock, so that two `chainmaild` never change the kernel at once.
//!
//! The tools of the one that applies inherit its lock ([`ApplyLock::hand_down`]). So the lock is free only when nobody is
//! left who could change the kernel for it: where `chainmaild` is killed, its tool may still be about to commit old rules.
//! Such an orphan is known by the lock itself: it has it from a process that does not have it any more. The next start ends
//! it and goes on.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one that touches the lock files, and looks for who holds one"
)]

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;
use std::time::{Duration, Instant};

use chainmail_contract::beneath::Folder;
use rustix::fs::OFlags;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};
use thiserror::Error;

/// The lock of the applying half, below `/run/chainmail`.
pub const APPLY_LOCK: &str = "apply.lock";
/// The lock of the pulling half, in its state folder.
pub const FETCH_LOCK: &str = "fetch.lock";

/// How long the end is waited for of an orphan, or of a process that is being killed.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the lock is tried meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// The lock, held as long as this lives. The kernel lets go of it when the process ends in whatever way, and all that have
/// inherited it.
#[derive(Debug)]
pub struct ApplyLock {
    file: File,
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
    /// Takes `apply.lock` in the state folder, which is made if need be. Tools that a killed process has left behind are
    /// ended first; a process that is at work is not waited for.
    ///
    /// # Errors
    /// When another process holds it, or the file cannot be made.
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        let begin = Instant::now();
        loop {
            match Self::take_file(state_dir, APPLY_LOCK) {
                Err(LockError::Busy { .. }) if begin.elapsed() < PATIENCE => {
                    end_orphans(&state_dir.join(APPLY_LOCK));
                    std::thread::sleep(PAUSE);
                }
                taken => return taken,
            }
        }
    }

    /// Takes a lock of another name, without waiting.
    ///
    /// # Errors
    /// As [`ApplyLock::take`].
    pub fn take_file(state_dir: &Path, name: &str) -> Result<Self, LockError> {
        let (path, file) = open(state_dir, name)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
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
            Ok(()) => Ok(Self { file }),
            Err(source) => Err(LockError::File { path, source }),
        }
    }

    /// Lets all processes that this one starts from now on inherit the lock.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn hand_down(&self) -> std::io::Result<()> {
        Ok(fcntl_setfd(&self.file, FdFlags::empty())?)
    }
}

/// Opens a lock file; one that is not there is made, for the user to whom its folder belongs. It is opened for reading:
/// flock(2) asks no more, and a file that a command of root has made need not be writable.
fn open(state_dir: &Path, name: &str) -> Result<(String, File), LockError> {
    let path = state_dir.join(name);
    let shown = path.display().to_string();
    let fail = |source| LockError::File { path: shown.clone(), source };
    std::fs::create_dir_all(state_dir).map_err(fail)?;
    let no_link = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    loop {
        match OpenOptions::new().read(true).custom_flags(no_link).open(&path) {
            Ok(file) => return Ok((shown, file)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(fail(source)),
        }
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(made) if geteuid().is_root() => {
                let folder = std::fs::metadata(state_dir).map_err(fail)?;
                fchown(&made, Some(folder.uid()), Some(folder.gid())).map_err(fail)?;
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(fail(source)),
        }
    }
}

/// Ends those that hold a lock without having taken it, where the one that took it holds it no more.
fn end_orphans(path: &Path) {
    let holders = holders(path);
    if holders.iter().any(Holder::took_it) {
        return;
    }
    for holder in holders {
        // Another process may have that number by now, but not the one that the handle is of.
        let Ok(process) = pidfd_open(holder.process, PidfdFlags::empty()) else { continue };
        if Holder::of(holder.process, path).is_none() {
            continue;
        }
        let process_id = holder.process.as_raw_nonzero();
        match pidfd_send_signal(process, Signal::KILL) {
            Ok(()) => tracing::warn!(process_id, "a tool of a chainmaild that was killed is ended"),
            Err(error) => {
                tracing::warn!(process_id, %error, "a tool of a chainmaild that was killed goes on");
            }
        }
    }
}

/// A process with an open file that holds a lock.
struct Holder {
    process: Pid,
    /// The one that took the lock, as the kernel tells it; it may have ended.
    taker: i32,
}

impl Holder {
    /// Looks at the open files of a process. One whose files may not be seen holds nothing as far as is known.
    fn of(process: Pid, path: &Path) -> Option<Self> {
        let lock = std::fs::metadata(path).ok()?;
        let process_folder = Path::new("/proc").join(process.as_raw_nonzero().to_string());
        let files = std::fs::read_dir(process_folder.join("fd")).ok()?;
        let taker = files.flatten().find_map(|file| {
            let found = std::fs::metadata(file.path()).ok()?;
            if (found.dev(), found.ino()) != (lock.dev(), lock.ino()) {
                return None;
            }
            let info = process_folder.join("fdinfo").join(file.file_name());
            taker(&std::fs::read_to_string(info).ok()?)
        })?;
        Some(Self { process, taker })
    }

    fn took_it(&self) -> bool {
        self.process.as_raw_nonzero().get() == self.taker
    }
}

/// The processes that hold an exclusive lock on a file: proc(5), /proc/PID/fdinfo.
fn holders(path: &Path) -> Vec<Holder> {
    let names = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = names.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    processes.filter_map(|process| Holder::of(process, path)).collect()
}

/// Who took the exclusive lock of an open file, from a line like `lock: 1: FLOCK ADVISORY WRITE 710 00:1c:9 0 EOF`.
fn taker(info: &str) -> Option<i32> {
    info.lines().find_map(|line| match *line.split_ascii_whitespace().collect::<Vec<_>>() {
        ["lock:", _, "FLOCK", _, "WRITE", process, ..] => process.parse().ok(),
        _ => None,
    })
}

/// Whether somebody holds a lock; `None` where this process may not ask.
#[must_use]
pub fn is_held(folder: &Path, name: &str) -> Option<bool> {
    // Of the other half's lock: it may stand for anything, and must not keep whoever asks waiting.
    let file = match Folder::open(folder).and_then(|folder| folder.file(name)) {
        Ok(Some(file)) => file,
        Ok(None) => return Some(false),
        Err(error) if error.is_missing() => return Some(false),
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

    #[test]
    fn only_the_line_of_an_exclusive_lock_names_who_took_it() {
        let info = "pos:\t0\nflags:\t0100000\nmnt_id:\t25\nino:\t9\n";
        let rows = [
            ("lock:\t1: FLOCK  ADVISORY  WRITE 710 00:1c:9 0 EOF\n", Some(710)),
            ("lock:\t1: FLOCK  ADVISORY  READ 710 00:1c:9 0 EOF\n", None),
            ("lock:\t1: POSIX  ADVISORY  WRITE 710 00:1c:9 0 EOF\n", None),
            ("", None),
        ];
        for (line, expected) in rows {
            assert_eq!(taker(&format!("{info}{line}")), expected, "{line}");
        }
    }

    #[test]
    fn a_link_is_no_lock_file() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join(APPLY_LOCK)).unwrap();
        assert!(matches!(ApplyLock::take(folder.path()), Err(LockError::File { .. })));
    }
}
