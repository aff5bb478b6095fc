//! The inventory: live objects that Git does not hold, in a folder of this host.
//!
//! ```text
//! folder → kept: each file as it was last readable → made of the accepted revision and all that is kept → spool
//! ```
//!
//! Nobody reviewed it, so it makes no policy, and what is wrong with it takes away no more than itself: an item that
//! cannot be understood is unknown, a file that cannot be read is as it was. [`folder`] looks at the files, [`refresh`]
//! hands over what follows from them, and [`keep`] does so whenever they change, in a process of its own.

pub mod folder;
pub mod keep;
pub mod refresh;
pub mod status;

use std::collections::BTreeMap;
use std::path::Path;

use chainmail_contract::Sha256Hex;
use chainmail_contract::limits::{INVENTORY_BYTES, INVENTORY_FILE_BYTES};
use chainmail_findings::{Code, Diagnostic, Severity};
use chainmail_manifest::source::{self, Sources};
use chainmail_manifest::{Cache, Manifests, read_inventory};
use chainmail_reconciler::files::{self, FileError};
use serde::{Deserialize, Serialize};

use crate::state::{json_line, read_json_of};

use folder::{Found, Stamp};
pub use status::{Counts, InventoryStatus};

/// How many bad items of a file are told one by one.
const ITEMS_TOLD: usize = 20;

/// All that is known of the folder.
#[derive(Debug, Default)]
pub struct Inventory {
    folder: String,
    files: BTreeMap<String, Kept>,
    /// Files that could not be taken as they are, and why.
    troubles: BTreeMap<String, Trouble>,
    /// What is wrong with the folder as a whole.
    trouble: Option<String>,
}

/// A file as it was when it could last be read.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    name: String,
    stamp: Stamp,
    manifests: Manifests,
    /// The first of its items that are left out, each with its place.
    bad: Vec<String>,
    bad_items: usize,
}

#[derive(Debug)]
struct Trouble {
    stamp: Option<Stamp>,
    why: String,
}

impl Kept {
    fn counts(&self) -> Counts {
        let Manifests { namespaces, nodes, pods, .. } = &self.manifests;
        Counts { namespaces: namespaces.len(), nodes: nodes.len(), pods: pods.len() }
    }
}

impl Inventory {
    /// What is kept from before. A file that cannot be used any more is read again from the folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(store: &Path) -> Result<Self, FileError> {
        let mut inventory = Self::default();
        for name in files::names(store)? {
            match read_json_of::<Kept>(&store.join(&name), INVENTORY_FILE_BYTES) {
                Ok(Some(kept)) => drop(inventory.files.insert(kept.name.clone(), kept)),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "it is read again"),
            }
        }
        Ok(inventory)
    }

    /// Looks at the folder. Answers whether anything is known that was not.
    ///
    /// # Errors
    /// When what was read cannot be kept.
    pub fn look(&mut self, folder: &Path, store: &Path) -> Result<bool, FileError> {
        files::make_dir(store)?;
        let shown = folder.display().to_string();
        let mut changed = self.folder != shown;
        self.folder = shown;
        let found = match folder::list(folder) {
            Ok(found) => found,
            Err(error) => {
                self.trouble =
                    Some(format!("{} cannot be read, what it held before stands: {error}", self.folder));
                return Ok(changed);
            }
        };
        if folder::bytes(&found) > INVENTORY_BYTES {
            self.trouble = Some(format!(
                "{} has more than {INVENTORY_BYTES} bytes of manifests, what it held before stands",
                self.folder
            ));
            return Ok(changed);
        }
        self.troubles.retain(|name, _| found.contains_key(name));
        for (name, found) in &found {
            changed |= self.file(name, found, folder, store)?;
        }
        Ok(changed | self.forget(&found, store)?)
    }

    fn file(&mut self, name: &str, found: &Found, folder: &Path, store: &Path) -> Result<bool, FileError> {
        let stamp = match found {
            Found::File(stamp) => stamp,
            Found::Other(what) => {
                let why = format!("it is {what}, and only files are read");
                self.troubles.insert(name.to_owned(), Trouble { stamp: None, why });
                return Ok(false);
            }
        };
        let before = self.files.get(name);
        if before.is_some_and(|kept| kept.stamp == *stamp) {
            self.troubles.remove(name);
            return Ok(false);
        }
        if self.troubles.get(name).is_some_and(|trouble| trouble.stamp.as_ref() == Some(stamp)) {
            return Ok(false);
        }
        let read = read(name, stamp, folder).and_then(|kept| match before {
            Some(before) if before.counts().any() && !kept.counts().any() => {
                Err("it holds no object any more".to_owned())
            }
            _ => Ok(kept),
        });
        let kept = match read {
            Ok(kept) => kept,
            Err(why) => {
                tracing::warn!(file = %folder.join(name).display(), "{why}");
                let stamp = Some(stamp.clone());
                self.troubles.insert(name.to_owned(), Trouble { stamp, why });
                return Ok(false);
            }
        };
        self.troubles.remove(name);
        let same = before.is_some_and(|before| json_line(&before.manifests) == json_line(&kept.manifests));
        files::replace_volatile(&entry(store, name), &json_line(&kept))?;
        self.files.insert(name.to_owned(), kept);
        Ok(!same)
    }

    /// Forgets files that are gone, unless no pod would be left.
    fn forget(&mut self, found: &BTreeMap<String, Found>, store: &Path) -> Result<bool, FileError> {
        let pods = |is_left: bool| -> usize {
            let files = self.files.iter().filter(|(name, _)| found.contains_key(*name) == is_left);
            files.map(|(_, kept)| kept.manifests.pods.len()).sum()
        };
        let all_go = pods(false) > 0 && pods(true) == 0;
        self.trouble = None;
        if all_go {
            let why = "holds no pod any more, what it held before stands; if it is meant, remove [inventory]";
            self.trouble = Some(format!("{} {why}", self.folder));
            return Ok(false);
        }
        let gone: Vec<String> =
            self.files.keys().filter(|name| !found.contains_key(*name)).cloned().collect();
        for name in &gone {
            files::remove(&entry(store, name))?;
            self.files.remove(name);
        }
        Ok(!gone.is_empty())
    }

    /// The sources of a revision with all that is kept beside them, and a cache that has it.
    #[must_use]
    pub fn beside(&self, reviewed: Sources, cache: &mut Cache) -> Sources {
        let path = |name: &String| format!("{}/{name}", self.folder);
        for (name, kept) in &self.files {
            cache.keep_inventory(&path(name), kept.manifests.clone());
        }
        let placeholder = |name| source::Inventory::from_bytes(path(name), Vec::new());
        reviewed.with_inventories(self.files.keys().map(placeholder))
    }

    /// Whether a finding is about a live object: its place is in the inventory, or it is of two that contradict.
    #[must_use]
    pub fn is_about(&self, finding: &Diagnostic) -> bool {
        let within = |place: &chainmail_findings::Place| {
            place.file.strip_prefix(&self.folder).is_some_and(|rest| rest.starts_with('/'))
        };
        let of_two = [Code::InventoryConflict, Code::ContestedAddress];
        of_two.contains(&finding.code) || finding.place.as_ref().is_some_and(within)
    }
}

/// Where a file of this name is kept. The name itself may be too long with anything added.
fn entry(store: &Path, name: &str) -> std::path::PathBuf {
    store.join(Sha256Hex::of(name).as_str())
}

/// Reads a file whole, or says why that cannot be done.
fn read(name: &str, stamp: &Stamp, folder: &Path) -> Result<Kept, String> {
    let shown = folder.join(name).display().to_string();
    let file = source::Inventory::beneath(shown, folder.to_owned(), name.to_owned());
    let (mut manifests, findings) = read_inventory(file);
    // What decides no rule need not be kept.
    manifests.workloads.clear();
    manifests.flow_tests.clear();
    let broken = [Code::Unreadable, Code::NotUtf8, Code::Syntax, Code::TooLarge, Code::TooManyErrors];
    let findings = findings.sorted();
    if let Some(broken) = findings.iter().find(|finding| broken.contains(&finding.code)) {
        return Err(told(broken));
    }
    let bad: Vec<_> = findings.into_iter().filter(|finding| finding.severity != Severity::Note).collect();
    Ok(Kept {
        name: name.to_owned(),
        stamp: stamp.clone(),
        manifests,
        bad: bad.iter().take(ITEMS_TOLD).map(|finding| told(finding)).collect(),
        bad_items: bad.len(),
    })
}

/// A finding as a line.
fn told(finding: &Diagnostic) -> String {
    let place = finding.place.as_ref().map_or(String::new(), |place| format!("{place}: "));
    format!("{place}{}", finding.message)
}
