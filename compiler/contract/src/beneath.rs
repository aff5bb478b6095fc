//! The shell: reads files of a folder into which another user may write.
//!
//! The folder is opened once. Files are opened beneath that handle, and no part of their path may be a symbolic link:
//! whoever writes into the folder could otherwise have a file read that they may not read themselves. Only regular files
//! are read, and opening never waits: a FIFO would hold the reader for ever. Each file has a limit in bytes, and all files
//! of one task have one together. Errors name the path and the limit, and quote no content.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use thiserror::Error;

/// A file or folder that was not read.
#[derive(Debug, Error)]
pub enum BeneathError {
    /// The system refused to open or read it.
    #[error("cannot read {path}: {source}")]
    System {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is no regular file.
    #[error("{path} is {kind}, and only regular files are read")]
    NoFile {
        /// The file.
        path: String,
        /// What it is.
        kind: FileKind,
    },
    /// It is no folder, or a part of its path is a symbolic link.
    #[error("{path} is {kind}, and a folder is expected")]
    NoFolder {
        /// The folder.
        path: String,
        /// What it is.
        kind: FileKind,
    },
    /// A part of the path is a symbolic link, or the path leads out of the folder.
    #[error("{path} leads through a symbolic link or out of its folder, and neither is followed")]
    LeadsAway {
        /// The file.
        path: String,
    },
    /// The file has more bytes than are read of it.
    #[error("{path} is longer than {most} bytes, the most that is read of it")]
    TooLong {
        /// The file.
        path: String,
        /// The limit of this file, in bytes.
        most: u64,
    },
    /// The file and those that were read before it have more bytes than are read in all.
    #[error(
        "{path} and the files that belong to it are longer than {most} bytes, the most that is read of all"
    )]
    TooMuch {
        /// The file at which the limit was met.
        path: String,
        /// The limit of all files, in bytes.
        most: u64,
    },
    /// The file is not UTF-8.
    #[error("{path} is no UTF-8 text, from byte {offset} on")]
    NoText {
        /// The file.
        path: String,
        /// The first byte that is not text, counted from 0.
        offset: usize,
    },
}

impl BeneathError {
    /// Whether there is nothing of this name.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, BeneathError::System { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character or block device.
    Device,
    /// Something else.
    Other,
}

impl FileKind {
    fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => FileKind::Regular,
            FileType::Directory => FileKind::Folder,
            FileType::Symlink => FileKind::Link,
            FileType::Fifo => FileKind::Fifo,
            FileType::Socket => FileKind::Socket,
            FileType::CharacterDevice | FileType::BlockDevice => FileKind::Device,
            FileType::Unknown => FileKind::Other,
        }
    }
}

impl std::fmt::Display for FileKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FileKind::Regular => "a regular file",
            FileKind::Folder => "a folder",
            FileKind::Link => "a symbolic link",
            FileKind::Fifo => "a FIFO",
            FileKind::Socket => "a socket",
            FileKind::Device => "a device",
            FileKind::Other => "something unknown",
        })
    }
}

/// How many bytes may still be read of the files of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    most: u64,
    left: u64,
}

impl Budget {
    /// A budget of that many bytes.
    #[must_use]
    pub fn bytes(most: u64) -> Self {
        Self { most, left: most }
    }
}

/// What changes whenever a file does: it is written, or another one takes its name. The owner of a file cannot choose when
/// it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    length: i64,
    changed: (i64, u64),
}

/// A folder that is open.
#[derive(Debug)]
pub struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder by a path that the operator or this program chose: links in that path are followed.
    ///
    /// # Errors
    /// When it is not there, is no folder, or may not be read.
    pub fn open(path: &Path) -> Result<Self, BeneathError> {
        // The path of a file in the working directory has an empty parent.
        let asked = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match rustix::fs::openat(
            CWD,
            asked,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Ok(handle) => Ok(Self { handle, path: path.to_owned() }),
            Err(errno) => Err(failed(path, errno)),
        }
    }

    /// Opens a folder beneath this one.
    ///
    /// # Errors
    /// As [`Folder::open`], and where a part of the path is a symbolic link.
    pub fn folder(&self, name: &str) -> Result<Self, BeneathError> {
        let path = self.path.join(name);
        match open_beneath(self.handle.as_fd(), name, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(handle) => Ok(Self { handle, path }),
            Err(errno @ (Errno::LOOP | Errno::NOTDIR)) => match self.kind(name) {
                Some(kind) if kind != FileKind::Folder => {
                    Err(BeneathError::NoFolder { path: shown(&path), kind })
                }
                _ => Err(failed(&path, errno)),
            },
            Err(errno) => Err(failed(&path, errno)),
        }
    }

    /// The path by which the folder was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands under a name in this folder, if anything. The answer is of this moment: whoever may write into the
    /// folder may change it at once.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<FileKind> {
        let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(FileKind::of(FileType::from_raw_mode(stat.st_mode)))
    }

    /// What changes whenever the file of a name does; `None` where there is nothing of that name.
    #[must_use]
    pub fn stamp(&self, name: &str) -> Option<Stamp> {
        let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(Stamp { inode: stat.st_ino, length: stat.st_size, changed: (stat.st_ctime, stat.st_ctime_nsec) })
    }

    /// Opens a regular file beneath this folder; `None` where there is none of that name.
    ///
    /// # Errors
    /// When it is no regular file, a part of its path is a symbolic link, or it may not be read.
    pub fn file(&self, name: &str) -> Result<Option<File>, BeneathError> {
        let path = self.path.join(name);
        let no_file = |kind| BeneathError::NoFile { path: shown(&path), kind };
        // NOCTTY: opening a terminal must not make it ours.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let handle = match open_beneath(self.handle.as_fd(), name, flags) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(None),
            // A link, and a socket, which cannot be opened.
            Err(errno @ (Errno::LOOP | Errno::NXIO | Errno::NODEV)) => {
                return Err(match self.kind(name) {
                    Some(kind) if kind != FileKind::Regular => no_file(kind),
                    _ => failed(&path, errno),
                });
            }
            Err(errno) => return Err(failed(&path, errno)),
        };
        let stat = rustix::fs::fstat(&handle).map_err(|errno| failed(&path, errno))?;
        match FileKind::of(FileType::from_raw_mode(stat.st_mode)) {
            FileKind::Regular => Ok(Some(File::from(handle))),
            kind => Err(no_file(kind)),
        }
    }

    /// The bytes of a file beneath this folder, at most `most` of them and no more than the budget has left; `None` where
    /// there is no file of that name. Of a longer one nothing is returned.
    ///
    /// # Errors
    /// As [`Folder::file`], and when the file is too long.
    pub fn read(&self, name: &str, most: u64, budget: &mut Budget) -> Result<Option<Vec<u8>>, BeneathError> {
        let Some(file) = self.file(name)? else { return Ok(None) };
        contents(file, &self.path.join(name), most, budget).map(Some)
    }

    /// The text of a file, as [`Folder::read`].
    ///
    /// # Errors
    /// As [`Folder::read`], and when it is not UTF-8.
    pub fn text(&self, name: &str, most: u64, budget: &mut Budget) -> Result<Option<String>, BeneathError> {
        let Some(bytes) = self.read(name, most, budget)? else { return Ok(None) };
        text(bytes, &self.path.join(name)).map(Some)
    }
}

/// The text of one file that is given by its path. Links above its folder are followed, the file itself must be none.
/// `None` where there is no such file, or no such folder.
///
/// # Errors
/// As [`Folder::text`].
pub fn read_text(path: &Path, most: u64) -> Result<Option<String>, BeneathError> {
    let Some(bytes) = read(path, most)? else { return Ok(None) };
    text(bytes, path).map(Some)
}

/// The bytes of one file that is given by its path, as [`read_text`].
///
/// # Errors
/// As [`Folder::read`].
pub fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, BeneathError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(BeneathError::LeadsAway { path: shown(path) });
    };
    match Folder::open(parent) {
        Ok(folder) => folder.read(name, most, &mut Budget::bytes(most)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The text of a file that an administrator of this host chose: it may be a symbolic link, as where configurations are
/// mounted. It must lead to a regular file all the same.
///
/// # Errors
/// As [`Folder::text`].
pub fn read_chosen(path: &Path, most: u64) -> Result<Option<String>, BeneathError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let handle = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(handle) => handle,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(failed(path, errno)),
    };
    let stat = rustix::fs::fstat(&handle).map_err(|errno| failed(path, errno))?;
    match FileKind::of(FileType::from_raw_mode(stat.st_mode)) {
        FileKind::Regular => {
            let bytes = contents(File::from(handle), path, most, &mut Budget::bytes(most))?;
            text(bytes, path).map(Some)
        }
        kind => Err(BeneathError::NoFile { path: shown(path), kind }),
    }
}

fn contents(file: File, path: &Path, most: u64, budget: &mut Budget) -> Result<Vec<u8>, BeneathError> {
    let failed = |source| BeneathError::System { path: shown(path), source };
    let too_long = |length: u64, budget: &Budget| {
        if length > most {
            Err(BeneathError::TooLong { path: shown(path), most })
        } else if length > budget.left {
            Err(BeneathError::TooMuch { path: shown(path), most: budget.most })
        } else {
            Ok(())
        }
    };
    let length = file.metadata().map_err(failed)?.len();
    too_long(length, budget)?;
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(most.min(budget.left).saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    too_long(bytes.len() as u64, budget)?;
    budget.left -= bytes.len() as u64;
    Ok(bytes)
}

fn text(bytes: Vec<u8>, path: &Path) -> Result<String, BeneathError> {
    String::from_utf8(bytes)
        .map_err(|error| BeneathError::NoText { path: shown(path), offset: error.utf8_error().valid_up_to() })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn failed(path: &Path, errno: Errno) -> BeneathError {
    match errno {
        Errno::LOOP | Errno::XDEV => BeneathError::LeadsAway { path: shown(path) },
        errno => BeneathError::System { path: shown(path), source: errno.into() },
    }
}

/// Opens what stands beneath a folder. The whole path is resolved by the kernel at once where it can do that.
fn open_beneath(folder: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(folder, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // Linux before 5.6 does not have the call, and a filter of system calls may refuse it.
            Err(Errno::NOSYS | Errno::PERM) => {}
            opened => return opened,
        }
    }
    open_each(folder, path, flags)
}

/// Opens one component of a path after the other, each within the one before.
fn open_each(folder: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut components = Path::new(path).components().peekable();
    let mut above: Option<OwnedFd> = None;
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else { return Err(Errno::XDEV) };
        let last = components.peek().is_none();
        let wanted = if last { flags } else { OFlags::RDONLY | OFlags::DIRECTORY };
        let within = above.as_ref().map_or(folder, AsFd::as_fd);
        let opened =
            rustix::fs::openat(within, name, wanted | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let opened = opened.map_err(|errno| match errno {
            // With O_DIRECTORY a link is told as what it is not: a folder.
            Errno::NOTDIR if is_link(within, name) => Errno::LOOP,
            errno => errno,
        })?;
        if last {
            return Ok(opened);
        }
        above = Some(opened);
    }
    Err(Errno::NOENT)
}

fn is_link(folder: BorrowedFd<'_>, name: &std::ffi::OsStr) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

#[cfg(test)]
mod tests;
