//! Where manifests come from: bytes with a name, from a folder, a Git revision or standard input, and an inventory of
//! live objects beside them.
//!
//! What follows sees only [`Sources`]; whether a file was in a folder or in a commit makes no difference to it.

mod configuration;
mod folder;
mod git;
mod inventory;
pub(crate) mod outline;
mod snapshots;
mod stdin;
mod unread;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;

pub use chainmail_model::CONFIG_PATH;
pub use folder::{config_file, from_files, from_folder, from_folder_with};
pub use git::{
    Limits, commit_of, from_revision, from_revision_with, from_revision_within, from_tree,
    is_bare_repository, path_in_repository,
};
pub use inventory::{Inventory, inventories};
pub use stdin::{STDIN_PATH, from_stdin};
pub use unread::{ENTRIES, FILE_BYTES, REPEATED_BYTES, TOTAL_BYTES, Unread, Why};

use chainmail_findings::{FileId, Findings};

use crate::config::Config;

use configuration::Configuration;
use outline::{Outline, Outlines};

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceFile {
    /// The path relative to the root, with `/` between its parts.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// All files of one input, in order of their paths, and what goes with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<SourceFile>,
    unread: Vec<Unread>,
    inventories: Vec<Inventory>,
    config: Option<Configuration>,
    allowed_unsupported: BTreeSet<String>,
    outlines: Outlines,
}

impl Sources {
    /// Takes files in any order.
    #[must_use]
    pub fn new(mut files: Vec<SourceFile>) -> Self {
        files.sort();
        Self { files, ..Self::default() }
    }

    /// With the configuration that goes with the files.
    #[must_use]
    pub fn with_config(self, config: SourceFile) -> Self {
        self.with_configuration(Some(Configuration::read(config)))
    }

    fn with_configuration(mut self, config: Option<Configuration>) -> Self {
        self.config = config;
        self
    }

    /// With files that stand among the others and are not read.
    #[must_use]
    pub fn with_unread(mut self, mut unread: Vec<Unread>) -> Self {
        self.unread.append(&mut unread);
        self.unread.sort();
        self
    }

    /// With inventories of live objects.
    #[must_use]
    pub fn with_inventories(mut self, inventories: impl IntoIterator<Item = Inventory>) -> Self {
        self.inventories.extend(inventories);
        self.inventories.sort();
        self
    }

    /// Lets objects of these kinds be there although they change traffic and are not understood.
    #[must_use]
    pub fn allowing_unsupported(mut self, kinds: impl IntoIterator<Item = String>) -> Self {
        self.allowed_unsupported.extend(kinds);
        self
    }

    /// The files with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        (0..).map(FileId::at).zip(&self.files)
    }

    /// The files that are not read, in order of their paths.
    #[must_use]
    pub fn unread(&self) -> &[Unread] {
        &self.unread
    }

    /// The inventories with their ids, which follow those of the files.
    pub fn inventories(&self) -> impl Iterator<Item = (FileId, &Inventory)> {
        let first = u32::try_from(self.files.len()).expect("fewer than 2^32 files fit in memory");
        (first..).map(FileId::at).zip(&self.inventories)
    }

    /// The configuration's file, where there is one.
    #[must_use]
    pub fn config(&self) -> Option<&SourceFile> {
        self.config.as_ref().map(Configuration::file)
    }

    /// All files by their paths, the configuration among them.
    #[must_use]
    pub fn texts(&self) -> BTreeMap<&str, &[u8]> {
        self.files.iter().chain(self.config()).map(|file| (&*file.path, &*file.bytes)).collect()
    }

    /// What the configuration says and what is wrong with it, where there is one.
    #[must_use]
    pub fn read_config(&self) -> Option<&(Config, Findings)> {
        self.config.as_ref().map(Configuration::parsed)
    }

    /// Whether objects of this kind may be there without being understood.
    #[must_use]
    pub fn allows_unsupported(&self, kind: &str) -> bool {
        self.allowed_unsupported.contains(kind)
    }

    /// The kinds of which [`Self::allows_unsupported`] speaks, in order.
    pub(crate) fn allowed_unsupported(&self) -> impl Iterator<Item = &str> {
        self.allowed_unsupported.iter().map(String::as_str)
    }

    /// The file of an id; nothing for an inventory, which is not kept.
    #[must_use]
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.place())
    }

    /// A document of a file and its outline, made when it is first asked for; nothing for an inventory.
    pub(crate) fn outline(&self, id: FileId, document: Range<usize>) -> Option<(&[u8], Arc<Outline>)> {
        let key = (id, document.start);
        let bytes = self.file(id)?.bytes.get(document)?;
        Some((bytes, self.outlines.get(key, bytes)))
    }

    /// The path of an id.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "ids are given by these sources")]
    pub fn path(&self, id: FileId) -> &str {
        match self.file(id) {
            Some(file) => &file.path,
            None => self.inventories[id.place() - self.files.len()].path(),
        }
    }

    /// Whether an id is an inventory's: what is live, not what was reviewed.
    #[must_use]
    pub fn is_inventory(&self, id: FileId) -> bool {
        self.file(id).is_none()
    }

    /// Whether there is no file at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.unread.is_empty() && self.inventories.is_empty()
    }
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
    /// A file among inventories that is not read as it stands there.
    #[error("{} cannot be an inventory: it is a link, no regular file, or its path cannot be printed", unread.path)]
    Inventory {
        /// Which.
        unread: Unread,
    },
}
