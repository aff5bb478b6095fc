//! What a change was about, on disk while it is made, so that whoever comes after a crash knows the way back.
//!
//! Forward needs no journal: a plan is made from what the kernel holds. Back does: after a crash between two families
//! the kernel holds a mix, and if the second one cannot be changed, the mix must not be taken for the old state.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chainmail_contract::{Family, JsonProblem, SetName, Sha256Hex};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::Uptime;
use crate::desired::{Desired, DesiredTable, Jump};
use crate::files::{self, FileError};
use crate::live::Live;
use crate::paths::Paths;
use crate::rules::Chains;
use crate::sealed;
use crate::step::Stage;

/// A change that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// The snapshot in force before, if any.
    pub from: Option<Sha256Hex>,
    /// The snapshot that is to come into force.
    pub to: Sha256Hex,
    /// What to go back to.
    pub old: Old,
    /// The snapshot is in force by now, and this is how long it waits to be confirmed.
    pub awaits: Option<Awaits>,
}

/// How long a snapshot waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Awaits {
    /// Since when, which also tells one attempt from the next.
    pub since: String,
    /// Until when.
    pub until: Uptime,
    /// Where snapshots follow one another and none is confirmed: the last moment for any of them, in seconds since boot.
    pub latest: u64,
}

/// A state to go back to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Old {
    /// The rules of each family that the kernel has.
    pub tables: BTreeMap<Family, DesiredTable>,
    /// The sets that were there.
    pub sets: BTreeSet<SetName>,
}

impl Old {
    /// What the kernel holds now.
    #[must_use]
    pub fn of_live(live: &Live) -> Self {
        let tables = live.tables.iter().map(|(&family, table)| (family, DesiredTable::of_live(table)));
        Self { tables: tables.collect(), sets: live.sets.keys().cloned().collect() }
    }

    /// The rules of a snapshot that was in force, whatever has become of them since.
    #[must_use]
    pub fn of_desired(desired: &Desired, live: &Live) -> Self {
        let tables =
            live.tables.keys().filter_map(|family| Some((*family, desired.tables.get(family)?.clone())));
        let sets = live.sets.keys().chain(desired.sets.keys()).cloned().collect();
        Self { tables: tables.collect(), sets }
    }
}

/// A journal that cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not one that this program wrote.
    #[error("{path} is no journal: {problem}")]
    Form {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head<'a> {
    from: Option<Sha256Hex>,
    to: Sha256Hex,
    v4: Option<Table<'a>>,
    v6: Option<Table<'a>>,
    sets: BTreeSet<SetName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    awaits: Option<Awaits>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table<'a> {
    jump: Jump,
    // There may be thousands of rules: they are borrowed to be written.
    chains: Cow<'a, Chains>,
}

impl Journal {
    /// Writes it: before anything is changed, and again where the change then waits to be confirmed.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn begin(&self, paths: &Paths) -> Result<(), JournalError> {
        let table = |family| {
            let table: &DesiredTable = self.old.tables.get(&family)?;
            Some(Table { jump: table.jump, chains: Cow::Borrowed(&table.chains) })
        };
        let head = Head {
            from: self.from.clone(),
            to: self.to.clone(),
            v4: table(Family::V4),
            v6: table(Family::V6),
            sets: self.old.sets.clone(),
            awaits: self.awaits.clone(),
        };
        let mut text = sealed::seal(&serde_json::to_string(&head).expect("it has only string keys"));
        if self.awaits.is_some() {
            text.push_str(&format!("{}\n", Stage::AwaitConfirm));
        }
        Ok(files::replace(&paths.journal(), &text)?)
    }

    /// Reads what a run that did not end left; `None` when the last one ended.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn read(paths: &Paths) -> Result<Option<Self>, JournalError> {
        let path = paths.journal();
        let Some(text) = files::read(&path)? else { return Ok(None) };
        let form = |problem: String| JournalError::Form { path: path.display().to_string(), problem };
        // A rule in it may be put into the kernel again, so a wrong byte must not pass for another rule.
        let line = sealed::open(&text).map_err(|error| form(error.to_string()))?;
        let head: Head =
            serde_json::from_str(line).map_err(|error| form(JsonProblem::from(&error).to_string()))?;
        let tables = [(Family::V4, head.v4), (Family::V6, head.v6)];
        let tables = tables.into_iter().filter_map(|(family, table)| {
            let Table { jump, chains } = table?;
            Some((family, DesiredTable { chains: chains.into_owned(), jump }))
        });
        let old = Old { tables: tables.collect(), sets: head.sets };
        Ok(Some(Self { from: head.from, to: head.to, old, awaits: head.awaits }))
    }

    /// Says that a change was finished, or undone.
    ///
    /// # Errors
    /// When the file stays.
    pub fn end(paths: &Paths) -> Result<(), FileError> {
        files::remove(&paths.journal())
    }
}

/// Adds where a change has come to. It is for whoever asks after a crash; nothing is decided by it.
pub fn note(paths: &Paths, stage: Stage) {
    if let Err(error) = files::append(&paths.journal(), format!("{stage}\n")) {
        tracing::warn!(%error, %stage, "the journal is not complete");
    }
}

/// The last stage that a journal names.
///
/// # Errors
/// When it cannot be read.
pub fn last_stage(paths: &Paths) -> Result<Option<String>, FileError> {
    let text = files::read(&paths.journal())?;
    Ok(text.and_then(|text| text.lines().skip(1).last().map(str::to_owned)))
}
