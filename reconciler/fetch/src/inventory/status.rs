//! What is told of an inventory.

use std::fmt::Write as _;

use chainmail_contract::Sha256Hex;
use chainmail_reconciler::clock::Moment;
use serde::{Deserialize, Serialize};

use super::{ITEMS_TOLD, Inventory};

/// How many objects there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Namespaces.
    pub namespaces: usize,
    /// Nodes.
    pub nodes: usize,
    /// Pods.
    pub pods: usize,
}

impl Counts {
    pub(super) fn any(self) -> bool {
        self.namespaces + self.nodes + self.pods > 0
    }
}

/// How things stand with the inventory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryStatus {
    /// The folder.
    pub folder: String,
    /// How many files are taken.
    pub files: usize,
    /// What they hold.
    pub holds: Counts,
    /// When the newest was written.
    pub written: Option<String>,
    /// How many addresses this node's sets have from it alone.
    pub members: usize,
    /// Objects that are unknown because something is wrong with them, the first of each file.
    pub bad: Vec<String>,
    /// How many there are.
    pub bad_items: usize,
    /// What needs a person.
    pub alarms: Vec<String>,
    /// What was handed over because of it.
    pub handed: Option<HandedLive>,
}

/// A snapshot that the inventory alone has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedLive {
    /// The revision that it is made of, as before.
    pub commit: String,
    /// The snapshot.
    pub digest: Sha256Hex,
    /// When.
    pub time: String,
}

impl Inventory {
    /// How things stand with the files; `contradictions` are those that show only when all is put together.
    pub(super) fn status(
        &self,
        max_age: Option<u64>,
        now: Moment,
        contradictions: &[String],
    ) -> InventoryStatus {
        let mut status = InventoryStatus {
            folder: self.folder.clone(),
            files: self.files.len(),
            bad_items: contradictions.len(),
            ..InventoryStatus::default()
        };
        let mut written = None;
        for kept in self.files.values() {
            let Counts { namespaces, nodes, pods } = kept.counts();
            status.holds.namespaces += namespaces;
            status.holds.nodes += nodes;
            status.holds.pods += pods;
            status.bad.extend(kept.bad.iter().cloned());
            status.bad_items += kept.bad_items;
            written = written.max(u64::try_from(kept.stamp.written).ok());
        }
        status.bad.extend(contradictions.iter().take(ITEMS_TOLD).cloned());
        status.written = written.map(|seconds| Moment(seconds).to_string());
        status.alarms.extend(self.trouble.clone());
        for (name, trouble) in &self.troubles {
            let stands = match self.files.get(name) {
                Some(_) => "what it held before stands",
                None => "nothing of it is known",
            };
            status.alarms.push(format!("{}/{name} is not taken, {stands}: {}", self.folder, trouble.why));
        }
        if status.holds.pods == 0 && self.trouble.is_none() {
            status.alarms.push(format!("{} has no pod", self.folder));
        }
        if let (Some(max_age), Some(written)) = (max_age, written) {
            let age = now.0.saturating_sub(written);
            if age > max_age {
                let folder = &self.folder;
                status.alarms.push(format!(
                    "the newest file of {folder} is {age} seconds old, older than max_age = {max_age}"
                ));
            }
        }
        status
    }
}

impl InventoryStatus {
    /// For people, as rows of a name and what is to be said.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let Counts { namespaces, nodes, pods } = self.holds;
        let mut held = format!("{} files: {namespaces} namespaces, {nodes} nodes, {pods} pods", self.files);
        if let Some(written) = &self.written {
            write!(held, "; newest {written}").expect("a String takes all");
        }
        let mut rows = vec![("inventory", held)];
        rows.push(("", format!("{} addresses in this node's sets are from it alone", self.members)));
        if let Some(handed) = &self.handed {
            rows.push(("", format!("handed over for its sake {}", handed.time)));
        }
        rows.extend(self.bad.iter().map(|bad| ("unknown", bad.clone())));
        if self.bad_items > self.bad.len() {
            rows.push(("", format!("and {} more", self.bad_items - self.bad.len())));
        }
        rows.extend(self.alarms.iter().map(|alarm| ("alarm", alarm.clone())));
        rows
    }
}
