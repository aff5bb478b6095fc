//! Where manifests come from: bytes with a name, from a folder, a Git revision or standard input.
//!
//! What follows sees only [`Sources`]; whether a file was in a folder or in a commit makes no difference to it.

mod folder;
mod git;

use thiserror::Error;

pub use folder::from_folder;
pub use git::{from_revision, resolve};

/// A file's place among the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(u32);

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceFile {
    /// The path relative to the root, with `/` between its parts.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// All files of one input, in order of their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// Takes files in any order.
    #[must_use]
    pub fn new(mut files: Vec<SourceFile>) -> Self {
        files.sort();
        Self { files }
    }

    /// The files with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(index, file)| {
            (FileId(u32::try_from(index).expect("fewer than 2^32 files fit in memory")), file)
        })
    }

    /// The file of an id.
    #[must_use]
    pub fn get(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// Whether there is no file at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// Whether a path is one that is read: every `*.yaml`, `*.yml` and `*.json` outside dot folders.
pub(crate) fn is_manifest(path: &str) -> bool {
    let hidden = path.split('/').any(|part| part.starts_with('.'));
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

/// Input that could not be read at all.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file or folder.
    #[error("cannot read {path}: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Git.
    #[error("cannot read revision {rev} of {repo}: {source}")]
    Git {
        /// The repository.
        repo: String,
        /// The revision.
        rev: String,
        /// Why.
        source: git2::Error,
    },
    /// A path that is not UTF-8.
    #[error("the path {path:?} is not UTF-8; rename it")]
    Path {
        /// As far as it can be shown.
        path: String,
    },
    /// A link where a file is expected: what it points to is not part of what was reviewed.
    #[error("{path} is a symbolic link; put the file itself there")]
    Link {
        /// Which.
        path: String,
    },
}
