//! The shell: inventories, which are what `kubectl get ns,nodes,pods -A -o yaml` or `-o json` printed. They are large,
//! so they are read as streams and not kept.

#![expect(clippy::disallowed_methods, reason = "this module is the one that opens inventories")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use chainmail_contract::beneath::{BeneathError, Folder};
use chainmail_contract::limits::INVENTORY_FILE_BYTES;

use super::SourceError;
use super::folder::{file_name, walk};
use super::unread::Walked;
use crate::config::FileFilter;

/// One file of live objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inventory {
    path: String,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    /// A regular file: opened at each reading.
    File(PathBuf),
    /// A regular file of a folder that another user may write: opened beneath that folder at each reading.
    Beneath {
        /// The folder.
        folder: PathBuf,
        /// The file in it.
        name: String,
    },
    /// What can be read once only, a pipe, or was never a file.
    Bytes(Vec<u8>),
}

impl Inventory {
    /// An inventory that is in memory already.
    #[must_use]
    pub fn from_bytes(path: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { path: path.into(), content: Content::Bytes(bytes) }
    }

    /// An inventory that is read from a file when its time comes.
    #[must_use]
    pub fn from_file(path: impl Into<String>, file: PathBuf) -> Self {
        Self { path: path.into(), content: Content::File(file) }
    }

    /// An inventory in a folder that another user may write. It is read when its time comes, if it is a regular file of at
    /// most [`INVENTORY_FILE_BYTES`] then.
    #[must_use]
    pub fn beneath(path: impl Into<String>, folder: PathBuf, name: String) -> Self {
        Self { path: path.into(), content: Content::Beneath { folder, name } }
    }

    /// The path that findings name.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Opens it at its beginning.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(&self) -> io::Result<Box<dyn BufRead + '_>> {
        Ok(match &self.content {
            Content::File(path) => Box::new(BufReader::with_capacity(1 << 16, File::open(path)?)),
            Content::Beneath { folder, name } => {
                let file = open_beneath(folder, name)?.take(INVENTORY_FILE_BYTES);
                Box::new(BufReader::with_capacity(1 << 16, file))
            }
            Content::Bytes(bytes) => Box::new(bytes.as_slice()),
        })
    }
}

fn open_beneath(folder: &Path, name: &str) -> io::Result<File> {
    let file = Folder::open(folder).and_then(|folder| folder.file(name)).map_err(io::Error::other)?;
    let file = file.ok_or(io::ErrorKind::NotFound)?;
    if file.metadata()?.len() > INVENTORY_FILE_BYTES {
        let (path, most) = (folder.join(name).display().to_string(), INVENTORY_FILE_BYTES);
        return Err(io::Error::other(BeneathError::TooLong { path, most }));
    }
    Ok(file)
}

/// The inventories of a path: itself, or every manifest below it.
///
/// # Errors
/// When something cannot be read.
pub fn inventories(path: &Path) -> Result<Vec<Inventory>, SourceError> {
    let fail = |source| SourceError::Io { path: path.display().to_string(), source };
    let meta = std::fs::metadata(path).map_err(fail)?;
    if meta.is_dir() {
        let Walked { files, unread } = walk(path, &FileFilter::default())?;
        if let Some(unread) = unread.into_iter().next() {
            return Err(SourceError::Inventory { unread });
        }
        let name = file_name(path);
        let whole = |inner: String| if name.is_empty() { inner } else { format!("{name}/{inner}") };
        return Ok(files.into_iter().map(|(inner, full)| Inventory::from_file(whole(inner), full)).collect());
    }
    let name = path.display().to_string();
    Ok(vec![if meta.is_file() {
        Inventory::from_file(name, path.to_path_buf())
    } else {
        Inventory::from_bytes(name, std::fs::read(path).map_err(fail)?)
    }])
}
