//! The shell: a folder of entries, which may be deleted at any time and written by several processes at once. Whatever
//! is wrong with it, the work goes on as if it were empty.

#![expect(clippy::disallowed_methods, reason = "this module is the one that reads and writes the cache")]

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chainmail_contract::Sha256Hex;

/// What the folder may come to, in bytes: some thirty states of a repository of 10,000 pods.
const LIMIT: u64 = 64 << 20;
/// What a process leaves that was killed while it wrote begins so.
const UNFINISHED: &str = ".new-";
/// How long an unfinished entry may still become one.
const UNFINISHED_FOR: Duration = Duration::from_secs(3600);

/// Entries of earlier runs.
#[derive(Debug)]
pub struct CacheFolder {
    path: PathBuf,
    has_written: Cell<bool>,
    limit: u64,
}

impl CacheFolder {
    /// Where the cache is unless it is said: `$CHAINMAIL_CACHE`, else `chainmail` in `$XDG_CACHE_HOME`, else in
    /// `~/.cache`.
    #[must_use]
    pub fn usual_path() -> Option<PathBuf> {
        let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // The XDG Base Directory Specification has relative paths ignored.
        let absolute = |name| folder(name).filter(|path| path.is_absolute());
        folder("CHAINMAIL_CACHE")
            .or_else(|| absolute("XDG_CACHE_HOME").map(|path| path.join("chainmail")))
            // A home that is not there is not made: services and containers have such.
            .or_else(|| {
                absolute("HOME").filter(|home| home.is_dir()).map(|home| home.join(".cache/chainmail"))
            })
    }

    /// Opens or makes the folder. Nothing where that cannot be done, or where others than this user may write: who writes
    /// entries says what manifests say.
    #[must_use]
    pub fn open(path: &Path) -> Option<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).ok()?;
        let meta = path.metadata().ok()?;
        let own = meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o022 == 0;
        own.then(|| Self { path: path.to_path_buf(), has_written: Cell::new(false), limit: LIMIT })
    }

    /// What an entry holds, if it is there and whole.
    pub(super) fn read(&self, key: &Sha256Hex) -> Option<Vec<u8>> {
        let mut bytes = std::fs::read(self.path.join(key.as_str())).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let body = bytes.split_off(end + 1);
        (bytes == head(key, &body).as_bytes()).then_some(body)
    }

    /// Makes an entry.
    pub(super) fn write(&self, key: &Sha256Hex, body: &[u8]) {
        // A name of its own, then a rename: readers find a whole entry or none. It need not survive a power cut.
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.path)?;
            file.write_all(head(key, body).as_bytes())?;
            file.write_all(body)?;
            file.persist(self.path.join(key.as_str()))?;
            Ok(())
        };
        if write().is_ok() {
            self.has_written.set(true);
        }
    }

    /// Removes the oldest entries until three quarters of the limit are left, where it is passed, and what was never
    /// finished. Nothing but entries is touched.
    fn trim(&self) -> std::io::Result<()> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let unfinished = name.to_str().is_some_and(|name| name.starts_with(UNFINISHED));
            if !unfinished && !is_key(&name) {
                continue;
            }
            // Another process may have removed it by now.
            if let Ok(meta) = entry.metadata()
                && meta.is_file()
            {
                entries.push((meta.modified()?, entry.path(), meta.len(), unfinished));
            }
        }
        entries.sort();
        let newest = entries.last().map_or(SystemTime::UNIX_EPOCH, |(time, ..)| *time);
        let mut size: u64 = entries.iter().map(|(_, _, length, _)| length).sum();
        let too_large = size > self.limit;
        for (time, path, length, unfinished) in entries {
            let stale = unfinished && newest.duration_since(time).is_ok_and(|age| age > UNFINISHED_FOR);
            if stale || too_large && !unfinished && size > self.limit / 4 * 3 {
                std::fs::remove_file(path).ok();
                size -= length;
            }
        }
        Ok(())
    }
}

impl Drop for CacheFolder {
    /// Only what writes can pass the limit.
    fn drop(&mut self) {
        if self.has_written.get() {
            self.trim().ok();
        }
    }
}

/// An entry's first line. An entry that was cut short, changed or given another's name does not begin with it.
fn head(key: &Sha256Hex, body: &[u8]) -> String {
    format!("{key} {}\n", Sha256Hex::of(body))
}

fn is_key(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| Sha256Hex::try_from(name.to_owned()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Sha256Hex {
        Sha256Hex::of(text)
    }

    #[test]
    fn an_entry_that_is_not_whole_is_not_there() {
        let place = tempfile::tempdir().unwrap();
        let folder = CacheFolder::open(place.path()).unwrap();
        folder.write(&key("a"), b"{\"pods\":[]}");
        assert_eq!(folder.read(&key("a")).as_deref(), Some(&b"{\"pods\":[]}"[..]));
        assert_eq!(folder.read(&key("b")), None, "never written");

        let entry = place.path().join(key("a").as_str());
        let whole = std::fs::read(&entry).unwrap();
        for at in 0..whole.len() {
            std::fs::write(&entry, &whole[..at]).unwrap();
            assert_eq!(folder.read(&key("a")), None, "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&entry, changed).unwrap();
            assert_eq!(folder.read(&key("a")), None, "changed at {at}");
        }
        std::fs::write(place.path().join(key("b").as_str()), &whole).unwrap();
        assert_eq!(folder.read(&key("b")), None, "another's entry");
    }

    #[test]
    fn the_folder_stays_below_its_limit_and_what_is_not_ours_stays() {
        let place = tempfile::tempdir().unwrap();
        let age = |name: &str, seconds: u64| {
            let file = std::fs::File::options().write(true).open(place.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        for (name, seconds) in [("notes.txt", 9_000_000), (".new-killed", 4000), (".new-at-work", 10)] {
            std::fs::write(place.path().join(name), b"x").unwrap();
            age(name, seconds);
        }
        let mut folder = CacheFolder::open(place.path()).unwrap();
        folder.limit = 4000;
        for number in 0..8_u32 {
            folder.write(&key(&number.to_string()), &[b'x'; 1000]);
            age(key(&number.to_string()).as_str(), u64::from(100 - number));
        }
        drop(folder);
        let left = |name: &str| place.path().join(name).exists();
        let kept: Vec<u32> = (0..8).filter(|number| left(key(&number.to_string()).as_str())).collect();
        assert_eq!(kept, [6, 7], "the newest, of three quarters of the limit");
        assert!(left("notes.txt") && left(".new-at-work") && !left(".new-killed"));
    }

    #[test]
    fn a_folder_that_others_may_write_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        for (mode, used) in [(0o700, true), (0o755, true), (0o775, false), (0o777, false)] {
            std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(CacheFolder::open(place.path()).is_some(), used, "{mode:o}");
        }
        std::fs::write(place.path().join("file"), b"").unwrap();
        assert!(CacheFolder::open(&place.path().join("file")).is_none(), "a file");
        assert!(CacheFolder::open(&place.path().join("a/b")).is_some(), "made");
    }
}
