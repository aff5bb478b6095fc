//! The shell: files that are there whole or not at all, and whole after a power loss too. What is read is opened
//! [`beneath`] its folder: a regular file and no link, of a limited length. What is written is a new file under a free
//! name: whatever else stood there is removed first, and no link is followed.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one that reads and writes the state folder"
)]

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
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
    put_in_place(&new, path)?;
    sync_parent(path)
}

/// Replaces a file that a reboot may lose, without waiting for the disk, for everyone to read.
///
/// # Errors
/// As [`replace`].
pub fn replace_volatile(path: &Path, text: &str) -> Result<(), FileError> {
    let new = with_suffix(path, ".new");
    // A unit's UMask= may keep others out, and the other half is another user.
    write_new(Readers::Everyone, &new, text)?;
    put_in_place(&new, path)
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
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    let new = with_suffix(path, ".new");
    clear(&new)?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(readers.folder_mode())
        .create(&new)
        .map_err(error("make", &new))?;
    let written = files.iter().try_for_each(|(name, text)| write_synced(readers, &new.join(name), text));
    if let Err(full) = written {
        // The error that matters is the first one.
        drop(clear(&new));
        return Err(full);
    }
    sync(&new)?;
    // rename(2) puts a folder in the place of no file and no link.
    clear(path)?;
    std::fs::rename(&new, path).map_err(error("replace", path))?;
    sync_parent(path)
}

/// Adds lines to a file, which is made if need be. Where a full disk cut its last line short they begin on one of their own.
/// A folder, FIFO or socket in its place is removed first.
///
/// # Errors
/// When they cannot be written.
pub fn append(path: &Path, lines: impl AsRef<[u8]>) -> Result<(), FileError> {
    let is_no_file = |kind: std::fs::FileType| kind.is_dir() || kind.is_fifo() || kind.is_socket();
    if std::fs::symlink_metadata(path).is_ok_and(|found| is_no_file(found.file_type())) {
        clear(path)?;
    }
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

/// Whether something stands there that is no folder, and no link, which may lead to one.
#[must_use]
pub fn is_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_dir() && !found.is_symlink())
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

/// Removes what stands under a name, if anything does, and waits for the disk.
///
/// # Errors
/// As [`clear`].
pub fn remove(path: &Path) -> Result<(), FileError> {
    if !is_there(path) {
        return Ok(());
    }
    clear(path)?;
    sync_parent(path)
}

/// Removes what stands under a name, if anything does: a folder with all that is in it, or a file, link, FIFO, socket or
/// device. A link is removed, and what it leads to stays.
///
/// # Errors
/// When it stays.
pub fn clear(path: &Path) -> Result<(), FileError> {
    let removed = std::fs::symlink_metadata(path).and_then(|found| {
        if found.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
    });
    match removed {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(error("remove", path)(source)),
        Ok(()) | Err(_) => Ok(()),
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
    write_new(readers, path, text)?.sync_all().map_err(error("write", path))
}

/// Writes a file that is not there before. Whoever may write into the folder could otherwise have a link of theirs
/// followed, or have the write wait for ever at a FIFO.
fn write_new(readers: Readers, path: &Path, text: &str) -> Result<File, FileError> {
    clear(path)?;
    let mode = readers.file_mode();
    let write = || {
        // O_EXCL follows no link: open(2).
        let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(path)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        Ok(file)
    };
    write().map_err(error("write", path))
}

/// Gives a file its name. rename(2) replaces all that may stand there but a folder, which is removed first.
fn put_in_place(new: &Path, path: &Path) -> Result<(), FileError> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        clear(path)?;
    }
    std::fs::rename(new, path).map_err(error("replace", path))
}

/// A name is on the disk once its folder is: fsync(2).
fn sync_parent(path: &Path) -> Result<(), FileError> {
    sync(path.parent().unwrap_or(Path::new(".")))
}

fn sync(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(error("write", folder))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// What another user, or a failing disk, may have left under a name.
    #[derive(Debug, Clone, Copy)]
    enum Odd {
        Link,
        DanglingLink,
        LinkToFolder,
        Folder,
        Fifo,
        Socket,
        File,
    }

    const ODD: [Odd; 7] =
        [Odd::Link, Odd::DanglingLink, Odd::LinkToFolder, Odd::Folder, Odd::Fifo, Odd::Socket, Odd::File];

    const SECRET: &str = "a file of somebody else\n";

    /// A folder to write into, and beside it a file and a folder to which links lead.
    struct Place {
        root: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(root.path().join("others")).unwrap();
            std::fs::create_dir(root.path().join("own")).unwrap();
            std::fs::write(root.path().join("others/file"), SECRET).unwrap();
            let closed = Permissions::from_mode(0o600);
            std::fs::set_permissions(root.path().join("others/file"), closed).unwrap();
            Self { root }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join("own").join(name)
        }

        fn put(&self, odd: Odd, name: &str) {
            let (others, path) = (self.root.path().join("others"), self.path(name));
            match odd {
                Odd::Link => symlink(others.join("file"), path).unwrap(),
                Odd::DanglingLink => symlink(others.join("made"), path).unwrap(),
                Odd::LinkToFolder => symlink(others, path).unwrap(),
                Odd::Folder => {
                    std::fs::create_dir(&path).unwrap();
                    std::fs::write(path.join("within"), "").unwrap();
                }
                Odd::Fifo => mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap(),
                Odd::Socket => drop(UnixListener::bind(path).unwrap()),
                Odd::File => std::fs::write(path, "a longer text than the one that is written").unwrap(),
            }
        }

        /// What is not to be touched is as it was, and nothing is left that was begun.
        fn assert_untouched(&self, what: &str) {
            let others = self.root.path().join("others");
            assert_eq!(names(&others).unwrap(), ["file"], "{what}");
            assert_eq!(std::fs::read_to_string(others.join("file")).unwrap(), SECRET, "{what}");
            let mode = std::fs::metadata(others.join("file")).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600, "{what}");
        }
    }

    type Write = fn(&Path, &str) -> Result<(), FileError>;
    type Remove = fn(&Path) -> Result<(), FileError>;

    #[test]
    fn whatever_stands_in_the_place_of_a_file_stops_no_write_and_no_link_is_followed() {
        let writers: [(&str, Write, u32); 3] = [
            ("replace", replace, 0o600),
            ("publish", publish, 0o644),
            ("replace_volatile", replace_volatile, 0o644),
        ];
        for (odd, (name, write, mode)) in ODD.iter().flat_map(|odd| writers.map(|writer| (odd, writer))) {
            for place in ["file", "file.new"] {
                let what = format!("{name}, {odd:?} as {place}");
                let folder = Place::new();
                folder.put(*odd, place);
                write(&folder.path("file"), "text").unwrap_or_else(|error| panic!("{what}: {error}"));
                let about = std::fs::symlink_metadata(folder.path("file")).unwrap();
                assert!(about.is_file(), "{what}");
                assert_eq!(about.mode() & 0o777, mode, "{what}");
                assert_eq!(std::fs::read_to_string(folder.path("file")).unwrap(), "text", "{what}");
                assert_eq!(names(&folder.path("")).unwrap(), ["file"], "{what}");
                folder.assert_untouched(&what);
            }
        }
    }

    #[test]
    fn whatever_stands_in_the_place_of_a_folder_stops_no_write() {
        for (odd, place) in ODD.iter().flat_map(|odd| [(odd, "all"), (odd, "all.new")]) {
            // A folder that is there is kept as it is.
            if matches!((odd, place), (Odd::Folder, "all")) {
                continue;
            }
            let what = format!("{odd:?} as {place}");
            let folder = Place::new();
            folder.put(*odd, place);
            write_folder(&folder.path("all"), &[("a", "text")])
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(std::fs::symlink_metadata(folder.path("all")).unwrap().is_dir(), "{what}");
            assert_eq!(names(&folder.path("all")).unwrap(), ["a"], "{what}");
            assert_eq!(names(&folder.path("")).unwrap(), ["all"], "{what}");
            folder.assert_untouched(&what);
        }
    }

    #[test]
    fn whatever_stands_under_a_name_can_be_removed() {
        let removers: [Remove; 2] = [remove, clear];
        for (odd, remove) in ODD.iter().flat_map(|odd| removers.map(|remover| (odd, remover))) {
            let folder = Place::new();
            folder.put(*odd, "it");
            remove(&folder.path("it")).unwrap();
            assert!(!is_there(&folder.path("it")), "{odd:?}");
            folder.assert_untouched(&format!("{odd:?}"));
            remove(&folder.path("it")).unwrap();
            remove(&folder.path("no/folder")).unwrap();
        }
    }

    #[test]
    fn lines_are_added_where_no_file_stood() {
        for odd in [Odd::Folder, Odd::Fifo, Odd::Socket] {
            let folder = Place::new();
            folder.put(odd, "lines");
            append(&folder.path("lines"), "one\n").unwrap();
            append(&folder.path("lines"), "two\n").unwrap();
            assert_eq!(read_lines(&folder.path("lines")).unwrap().as_deref(), Some("one\ntwo\n"), "{odd:?}");
        }
    }
}
