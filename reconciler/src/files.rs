//! The shell: files that are there whole or not at all, and whole after a power loss too. What is read is opened
//! [`beneath`] its folder: a regular file and no link, of a limited length.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one that reads and writes the state folder"
)]

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use chainmail_contract::beneath::{self, BeneathError};
use chainmail_contract::limits::{CONFIG_BYTES, STATE_BYTES};
use thiserror::Error;

/// A file that could not be read or written.
#[derive(Debug, Error)]
pub enum FileError {
    /// What stands there is not read.
    #[error(transparent)]
    Read(#[from] BeneathError),
    /// The system refused.
    #[error("cannot {verb} {path}: {source}")]
    System {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

fn error(verb: &'static str, path: &Path) -> impl Fn(std::io::Error) -> FileError {
    move |source| FileError::System { verb, path: path.display().to_string(), source }
}

/// Reads a text of at most [`STATE_BYTES`] bytes; `None` when there is no such file.
///
/// # Errors
/// When it is there and cannot be read, is no regular file, or is longer.
pub fn read(path: &Path) -> Result<Option<String>, FileError> {
    Ok(beneath::read_text(path, STATE_BYTES)?)
}

/// Reads lines that [`append`] added; `None` when there is no such file. What is no text, since a full disk cut it short
/// within a letter, has the letter for that in its place.
///
/// # Errors
/// As [`read`].
pub fn read_lines(path: &Path) -> Result<Option<String>, FileError> {
    let bytes = beneath::read(path, STATE_BYTES)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Reads a text of at most that many bytes; `None` when there is no such file.
///
/// # Errors
/// As [`read`].
pub fn read_short(path: &Path, most: u64) -> Result<Option<String>, FileError> {
    Ok(beneath::read_text(path, most)?)
}

/// Reads a text of at most [`CONFIG_BYTES`] bytes that an administrator of this host wrote, who may have put a link in its
/// place; `None` when there is no such file.
///
/// # Errors
/// As [`read`].
pub fn read_config(path: &Path) -> Result<Option<String>, FileError> {
    Ok(beneath::read_chosen(path, CONFIG_BYTES)?)
}

/// Makes a folder and those above it, for its owner alone.
///
/// # Errors
/// When it cannot be made.
pub fn make_dir(path: &Path) -> Result<(), FileError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(error("make", path))
}

/// Replaces a file. Whoever reads it sees the old text or the new one, also after a power loss.
///
/// # Errors
/// When the disk is full or the folder is not there; the old file then stays.
pub fn replace(path: &Path, text: &str) -> Result<(), FileError> {
    replace_for(Readers::Owner, path, text)
}

fn replace_for(readers: Readers, path: &Path, text: &str) -> Result<(), FileError> {
    let new = with_suffix(path, ".new");
    write_synced(readers, &new, text)?;
    std::fs::rename(&new, path).map_err(error("replace", path))?;
    sync_parent(path)
}

/// Replaces a file that a reboot may lose, without waiting for the disk, for everyone to read.
///
/// # Errors
/// As [`replace`].
pub fn replace_volatile(path: &Path, text: &str) -> Result<(), FileError> {
    let new = with_suffix(path, ".new");
    std::fs::write(&new, text).map_err(error("write", &new))?;
    // A unit's UMask= may keep others out, and the other half is another user.
    let readable = Permissions::from_mode(Readers::Everyone.file_mode());
    std::fs::set_permissions(&new, readable).map_err(error("write", &new))?;
    std::fs::rename(&new, path).map_err(error("replace", path))
}

/// Writes a folder of files for its owner alone, whole or not at all; one that is there is kept.
///
/// # Errors
/// When the disk is full; what was begun is taken away again.
pub fn write_folder(path: &Path, files: &[(&str, &str)]) -> Result<(), FileError> {
    write_folder_for(Readers::Owner, path, files)
}

/// Writes a folder of files as [`write_folder`], for everyone to read: what one user hands over to another.
///
/// # Errors
/// As [`write_folder`].
pub fn publish_folder(path: &Path, files: &[(&str, &str)]) -> Result<(), FileError> {
    write_folder_for(Readers::Everyone, path, files)
}

/// Replaces a file as [`replace`], for everyone to read.
///
/// # Errors
/// As [`replace`].
pub fn publish(path: &Path, text: &str) -> Result<(), FileError> {
    replace_for(Readers::Everyone, path, text)
}

/// Who may read what is written.
#[derive(Debug, Clone, Copy)]
enum Readers {
    Owner,
    Everyone,
}

impl Readers {
    fn file_mode(self) -> u32 {
        match self {
            Readers::Owner => 0o600,
            Readers::Everyone => 0o644,
        }
    }

    fn folder_mode(self) -> u32 {
        match self {
            Readers::Owner => 0o700,
            Readers::Everyone => 0o755,
        }
    }
}

fn write_folder_for(readers: Readers, path: &Path, files: &[(&str, &str)]) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    let new = with_suffix(path, ".new");
    remove_folder(&new)?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(readers.folder_mode())
        .create(&new)
        .map_err(error("make", &new))?;
    let written = files.iter().try_for_each(|(name, text)| write_synced(readers, &new.join(name), text));
    if let Err(full) = written {
        // The error that matters is the first one.
        drop(remove_folder(&new));
        return Err(full);
    }
    sync(&new)?;
    std::fs::rename(&new, path).map_err(error("replace", path))?;
    sync_parent(path)
}

/// Adds lines to a file, which is made if need be. Where a full disk cut its last line short they begin on one of their own.
///
/// # Errors
/// When they cannot be written.
pub fn append(path: &Path, lines: impl AsRef<[u8]>) -> Result<(), FileError> {
    let add = || {
        let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
        let mut last = *b"\n";
        if let Some(before) = file.metadata()?.len().checked_sub(1) {
            file.read_exact_at(&mut last, before)?;
        }
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
        file.write_all(lines.as_ref())
    };
    add().map_err(error("write", path))
}

/// Whether something stands there.
#[must_use]
pub fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// How long the files of a folder are together; one that is not there has none.
#[must_use]
pub fn folder_bytes(path: &Path) -> u64 {
    let length = |name| std::fs::symlink_metadata(path.join(name)).map_or(0, |metadata| metadata.len());
    names(path).unwrap_or_default().iter().map(length).sum()
}

/// When a file was written last, in seconds since 1970; one that is not there never was.
#[must_use]
pub fn written(path: &Path) -> i64 {
    std::fs::symlink_metadata(path).map_or(0, |metadata| metadata.mtime())
}

/// How long a file is; one that is not there has no length.
#[must_use]
pub fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Gives a file another name.
///
/// # Errors
/// When the system refuses.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    std::fs::rename(from, to).map_err(error("rename", from))
}

/// Removes a file, if it is there.
///
/// # Errors
/// When it stays.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(source) if source.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(error("remove", path)(source)),
    }
}

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
/// When it stays.
pub fn remove_folder(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(source) if source.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(error("remove", path)(source)),
    }
}

/// The names in a folder, sorted; none when it is not there.
///
/// # Errors
/// When it cannot be read.
pub fn names(path: &Path) -> Result<Vec<String>, FileError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(error("read", path)(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(error("read", path))?.file_name();
        names.extend(name.into_string());
    }
    names.sort();
    Ok(names)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn write_synced(readers: Readers, path: &Path, text: &str) -> Result<(), FileError> {
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .write(true)
        .truncate(true)
        .mode(readers.file_mode())
        .open(path)
        .map_err(error("write", path))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(error("write", path))
}

/// A name is on the disk once its folder is: fsync(2).
fn sync_parent(path: &Path) -> Result<(), FileError> {
    sync(path.parent().unwrap_or(Path::new(".")))
}

fn sync(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(error("write", folder))
}
