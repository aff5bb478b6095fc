//! What files say, kept by the Git blob id of what they hold: where two revisions, or two runs, have one file it is
//! decoded once.
//!
//! Only files without findings are kept, since a finding names its file. Objects are kept with their places within the
//! file and nothing else, so that it may be renamed.

mod folder;

use std::collections::BTreeMap;

use chainmail_contract::Sha256Hex;
use git2::{ObjectType, Oid};

use super::{FLOW_FILE, Manifests};
use crate::source::{STDIN_PATH, SourceFile, Sources};

pub use folder::CacheFolder;

/// To be raised when entries mean something else although [`READER`] stays as it is.
const FORMAT: &str = "1";
/// Stands for the source of the reader and the crates that it was locked to; `build.rs` makes it.
const READER: &str = env!("CHAINMAIL_READER");
/// Files smaller than this are decoded as fast as an entry is opened, read and checked.
const WORTH_A_FILE: usize = 16 << 10;

/// What was read before.
#[derive(Debug, Default)]
pub struct Cache {
    memory: Option<BTreeMap<Sha256Hex, Manifests>>,
    folder: Option<CacheFolder>,
    inventories: BTreeMap<String, Manifests>,
}

impl Cache {
    /// Keeps nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Keeps files from run to run, if there is a folder for that.
    #[must_use]
    pub fn in_folder(folder: Option<CacheFolder>) -> Self {
        Self { folder, ..Self::default() }
    }

    /// Keeps files for the other side of a comparison too.
    #[must_use]
    pub fn and_in_memory(self) -> Self {
        Self { memory: Some(BTreeMap::new()), ..self }
    }

    /// Has what an inventory of this path holds, as [`super::read_inventory`] read it. It is asked for once.
    pub fn keep_inventory(&mut self, path: &str, manifests: Manifests) {
        self.inventories.insert(path.to_owned(), manifests);
    }

    /// What was kept of an inventory.
    pub(super) fn take_inventory(&mut self, path: &str) -> Option<Manifests> {
        self.inventories.remove(path)
    }

    /// All that decides what a file says: its bytes, who reads them, in which grammar, and which kinds are left out.
    pub(super) fn key(&self, sources: &Sources, file: &SourceFile) -> Option<Sha256Hex> {
        if self.memory.is_none() && !self.has_folder_for(file) {
            return None;
        }
        let blob = Oid::hash_object(ObjectType::Blob, &file.bytes).ok()?;
        let grammar = match file.path.as_str() {
            path if path.ends_with(".json") => "json",
            // What such a file may hold is decided by its name.
            path if path.ends_with(FLOW_FILE) => "flows",
            STDIN_PATH => "either",
            _ => "yaml",
        };
        let version = env!("CARGO_PKG_VERSION");
        let mut text = format!("{FORMAT} {version} {READER} {blob} {grammar}");
        for kind in sources.allowed_unsupported() {
            text.push('\n');
            text.push_str(kind);
        }
        Some(Sha256Hex::of(text))
    }

    fn has_folder_for(&self, file: &SourceFile) -> bool {
        self.folder.is_some() && file.bytes.len() >= WORTH_A_FILE
    }

    /// The objects of a file, without the file.
    pub(super) fn get(&mut self, key: &Sha256Hex, file: &SourceFile) -> Option<Manifests> {
        if let Some(kept) = self.memory.as_ref().and_then(|memory| memory.get(key)) {
            return Some(kept.clone());
        }
        let folder = self.folder.as_ref().filter(|_| self.has_folder_for(file))?;
        let kept: Manifests = serde_json::from_slice(&folder.read(key)?).ok()?;
        if let Some(memory) = &mut self.memory {
            memory.insert(key.clone(), kept.clone());
        }
        Some(kept)
    }

    /// Keeps the objects of a file that was read without findings.
    pub(super) fn put(&mut self, key: Sha256Hex, file: &SourceFile, manifests: &Manifests) {
        if let Some(folder) = self.folder.as_ref().filter(|_| self.has_folder_for(file)) {
            let body = serde_json::to_vec(manifests).expect("objects have only string keys");
            folder.write(&key, &body);
        }
        if let Some(memory) = &mut self.memory {
            memory.insert(key, manifests.clone());
        }
    }
}
