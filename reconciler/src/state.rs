//! What apply remembers: the last good snapshot, what was in force before it, and the backend.

mod last_good;

use std::collections::{BTreeMap, BTreeSet};

use chainmail_contract::beneath::{Budget, Folder};
use chainmail_contract::limits::{KEPT_BYTES, SNAPSHOT_BYTES, WORDS_BYTES};
use chainmail_contract::{Joined, Manifest, Sha256Hex};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::closed::Closed;
use crate::desired::Desired;
use crate::files::{self, FileError};
use crate::journal::Journal;
use crate::kernel::backend::Backend;
use crate::paths::Paths;
use crate::spool::{self, SpoolError};

pub use self::last_good::LastGood;

/// How many bytes the history grows to before it is cut back to its younger half: some thousand lines.
const HISTORY_BYTES: u64 = 512 * 1024;

/// The state folder.
#[derive(Debug, Clone)]
pub struct State {
    paths: Paths,
    keep: usize,
    clock: Clock,
    /// How often what happened since this was opened.
    counts: BTreeMap<Event, u64>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Another snapshot came into force.
    Applied,
    /// Somebody said that it works.
    Confirmed,
    /// Somebody found that it does harm, and what was in force before is in force again.
    Refused,
    /// Nobody said that it works, and what was in force before is in force again.
    Unconfirmed,
    /// What others had done to the one in force was undone.
    Healed,
    /// A change failed, and what was in force before is in force again.
    WentBack,
    /// A change failed, and so did the way back.
    Failed,
    /// Others changed what the kernel holds, and this is only told.
    Drifted,
}

impl Event {
    /// Whether another snapshot is in force since then.
    #[must_use]
    pub fn brings_another(self) -> bool {
        match self {
            Event::Applied | Event::Refused | Event::Unconfirmed => true,
            Event::Confirmed | Event::Healed | Event::WentBack | Event::Failed | Event::Drifted => false,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Event::Applied => "applied",
            Event::Confirmed => "confirmed",
            Event::Refused => "refused",
            Event::Unconfirmed => "unconfirmed",
            Event::Healed => "healed",
            Event::WentBack => "went-back",
            Event::Failed => "failed",
            Event::Drifted => "drifted",
        }
    }
}

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, as RFC 3339 writes it, by the clock of the host: lines are in the order in which things were done, and a
    /// clock that was set may have others.
    pub time: String,
    /// What became of it.
    pub event: Event,
    /// The snapshot that was to come into force.
    pub digest: Sha256Hex,
    /// The one in force before, if any.
    pub from: Option<Sha256Hex>,
    /// What was done, or why it failed.
    pub note: String,
}

impl State {
    /// The state folder, which keeps that many snapshots. Where it cannot be made, this is only told: what it remembers can
    /// be read all the same, and what cannot be written fails when it is.
    #[must_use]
    pub fn open(paths: &Paths, keep: usize, clock: Clock) -> Self {
        let kept = paths.kept_all();
        let make = || {
            if files::is_file(&kept) {
                files::clear(&kept)?;
            }
            files::make_dir(&kept)
        };
        if let Err(error) = make() {
            tracing::error!(%error, "no snapshot can be kept");
        }
        Self { paths: paths.clone(), keep, clock, counts: BTreeMap::new() }
    }

    /// The digest of the last good snapshot.
    ///
    /// # Errors
    /// When the file is there and no digest.
    pub fn good_digest(&self) -> Result<Option<Sha256Hex>, SpoolError> {
        spool::pointer(&self.paths.good())
    }

    /// Keeps a copy of a snapshot. It is made before anything is changed: when the disk is full, nothing is. A copy that is
    /// there and damaged is made anew.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, snapshot: &Joined, provenance: Option<&str>) -> Result<(), FileError> {
        let Manifest { node, digest, .. } = snapshot.manifest();
        let folder = self.paths.kept(digest);
        let (manifest, ipsets) = (snapshot.manifest().to_json(), snapshot.ipsets());
        let mut parts = vec![("manifest.json", manifest.as_str()), ("ipsets", ipsets.as_str())];
        for family in chainmail_contract::Family::ALL {
            parts.push((family.rules_file(), snapshot.rules(family)));
        }
        // What has the bytes of a snapshot that was verified is not verified again. A copy of an earlier version may be whole
        // with others.
        if files::is_there(&folder)
            && !self.has_copy(digest, &parts)
            && spool::load_kept(&self.paths, digest, node).is_err()
        {
            files::clear(&folder)?;
        }
        parts.extend(provenance.map(|text| ("provenance.json", text)));
        files::write_folder(&folder, &parts)
    }

    /// Whether the copy of a snapshot has these files, byte for byte.
    fn has_copy(&self, digest: &Sha256Hex, files: &[(&str, &str)]) -> bool {
        let Ok(copy) = Folder::open(&self.paths.kept_all()).and_then(|all| all.folder(digest.as_str()))
        else {
            return false;
        };
        let mut budget = Budget::bytes(SNAPSHOT_BYTES);
        files.iter().all(|(name, text)| {
            let found = copy.read(name, text.len() as u64, &mut budget);
            found.is_ok_and(|found| found.as_deref() == Some(text.as_bytes()))
        })
    }

    /// Says that a snapshot, of which a copy is kept, is verified to be in force, and remembers what it closes.
    ///
    /// # Errors
    /// When it cannot be written; the snapshot before then stays the last good one.
    pub fn record_good(&self, digest: &Sha256Hex, desired: &Desired) -> Result<(), FileError> {
        Closed::of(desired).write(&self.paths)?;
        self.point_to_good(digest)
    }

    /// Names the last good snapshot again, where its name was lost.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn point_to_good(&self, digest: &Sha256Hex) -> Result<(), FileError> {
        files::replace(&self.paths.good(), &format!("{digest}\n"))
    }

    /// Adds a line to the history, and drops snapshots that were in force long ago. That this fails is no reason to
    /// stop: it is only told.
    pub fn remember(&mut self, event: Event, digest: &Sha256Hex, from: Option<&Sha256Hex>, note: String) {
        *self.counts.entry(event).or_default() += 1;
        let time = (self.clock.now)().to_string();
        let entry = Entry { time, event, digest: digest.clone(), from: from.cloned(), note };
        let line = serde_json::to_string(&entry).expect("it has only string keys") + "\n";
        let done = files::append(&self.paths.history(), &line).and_then(|()| self.tidy(event));
        if let Err(error) = done {
            tracing::warn!(%error, "the history is not complete");
        }
    }

    /// How often what happened since this was opened.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<Event, u64> {
        &self.counts
    }

    /// What was done, oldest first. A line that a power loss or a full disk cut short is passed over.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn history(&self) -> Result<Vec<Entry>, FileError> {
        history(&self.paths)
    }

    /// Drift that comes back every second must cost no more than its line, so the history is read only where it grew too
    /// long, or a snapshot may have been kept for nothing.
    fn tidy(&self, event: Event) -> Result<(), FileError> {
        let path = self.paths.history();
        if files::length(&path) > HISTORY_BYTES {
            let text = files::read_lines(&path)?.unwrap_or_default();
            files::replace(&path, younger_half(&text))?;
        }
        match event {
            Event::Healed | Event::Drifted => Ok(()),
            Event::Applied
            | Event::Confirmed
            | Event::Refused
            | Event::Unconfirmed
            | Event::WentBack
            | Event::Failed => self.drop_old(),
        }
    }

    fn drop_old(&self) -> Result<(), FileError> {
        let history = self.history()?;
        let kept = self.paths.kept_all();
        let mut needed = BTreeSet::new();
        needed.extend(self.good_digest().ok().flatten().map(|digest| digest.to_string()));
        needed.extend(awaiting(&self.paths).map(|digest| digest.to_string()));
        let mut bytes: u64 = needed.iter().map(|name| files::folder_bytes(&kept.join(name))).sum();
        for digest in stood(&history) {
            if needed.contains(digest.as_str()) {
                continue;
            }
            bytes += files::folder_bytes(&self.paths.kept(digest));
            if needed.len() >= self.keep || bytes > KEPT_BYTES {
                break;
            }
            needed.insert(digest.to_string());
        }
        for name in files::names(&kept)?.iter().filter(|name| !needed.contains(*name)) {
            files::clear(&kept.join(name))?;
        }
        Ok(())
    }

    /// Why flows that the rules refuse could not be ended, if that is so.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn uncut(&self) -> Result<Option<String>, FileError> {
        Ok(files::read_lines(&self.paths.uncut())?.map(|why| why.trim_end().to_owned()))
    }

    /// Remembers why, or that there is nothing to remember.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_uncut(&self, why: Option<&str>) -> Result<(), FileError> {
        match why {
            Some(why) => files::replace(&self.paths.uncut(), &format!("{why}\n")),
            None => files::remove(&self.paths.uncut()),
        }
    }

    /// The backend that was found when this node's rules were first applied.
    #[must_use]
    pub fn pinned_backend(&self) -> Option<Backend> {
        pinned_backend(&self.paths)
    }

    /// Remembers the backend.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn pin_backend(&self, backend: Backend) -> Result<(), FileError> {
        files::replace(&self.paths.backend(), &format!("{backend}\n"))
    }
}

/// The whole lines that begin in the second half of a text.
fn younger_half(text: &str) -> &str {
    let (_, half) = text.split_at(text.floor_char_boundary(text.len() / 2));
    half.split_once('\n').map_or("", |(_, younger)| younger)
}

/// The backend that a node was found to use. Where the file cannot be used it is found out anew.
#[must_use]
pub fn pinned_backend(paths: &Paths) -> Option<Backend> {
    let path = paths.backend();
    let text = match files::read_short(&path, WORDS_BYTES) {
        Ok(text) => text?,
        Err(error) => {
            tracing::warn!(%error, "the backend is found out anew");
            return None;
        }
    };
    let known = Backend::ALL.into_iter().find(|backend| backend.as_str() == text.trim_end());
    if known.is_none() {
        tracing::warn!(path = %path.display(), "it names no backend, which is found out anew");
    }
    known
}

/// The snapshots that came into force and were not taken back, youngest first.
pub fn stood(history: &[Entry]) -> impl Iterator<Item = &Sha256Hex> {
    let mut taken_back = BTreeSet::new();
    history.iter().rev().filter_map(move |entry| match entry.event {
        Event::Refused | Event::Unconfirmed => {
            taken_back.insert(&entry.digest);
            None
        }
        Event::Applied if !taken_back.remove(&entry.digest) => Some(&entry.digest),
        Event::Applied
        | Event::Confirmed
        | Event::Healed
        | Event::WentBack
        | Event::Failed
        | Event::Drifted => None,
    })
}

/// The snapshot that is in force and waits to be confirmed, in whatever boot that was.
#[must_use]
pub fn awaiting(paths: &Paths) -> Option<Sha256Hex> {
    let journal = Journal::read(paths).ok().flatten()?;
    journal.awaits.map(|_| journal.to)
}

/// Whether a change was begun and is not ended. One that waits to be confirmed is made.
#[must_use]
pub fn is_changing(paths: &Paths) -> bool {
    matches!(Journal::read(paths), Ok(Some(Journal { awaits: None, .. })))
}

/// What was done on a node, oldest first.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn history(paths: &Paths) -> Result<Vec<Entry>, FileError> {
    let text = files::read_lines(&paths.history())?.unwrap_or_default();
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_history_loses_its_older_half() {
        let root = tempfile::tempdir().unwrap();
        let mut state = State::open(&Paths::under(root.path()), 1, Clock::HOST);
        let digest = Sha256Hex::of("");
        let note = |number: usize| format!("{number} {}", "é".repeat(20_000));
        let history = state.paths.history();
        let length = || files::length(&history);
        for number in 0..40 {
            state.remember(Event::Healed, &digest, None, note(number));
            assert!(length() <= HISTORY_BYTES, "{number}: {}", length());
        }
        let left: Vec<String> = state.history().unwrap().into_iter().map(|entry| entry.note).collect();
        assert!((5..20).contains(&left.len()), "{}", left.len());
        assert_eq!(left, (40 - left.len()..40).map(note).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_that_was_cut_short_takes_no_other_with_it() {
        let root = tempfile::tempdir().unwrap();
        let mut state = State::open(&Paths::under(root.path()), 1, Clock::HOST);
        let digest = Sha256Hex::of("");
        let (first, cut, last) = ("é first", "é cut", "é last");
        for note in [first, cut] {
            state.remember(Event::Healed, &digest, None, note.to_owned());
        }
        // The disk was full within the last letter but three.
        let history = std::fs::OpenOptions::new().write(true).open(state.paths.history()).unwrap();
        let whole = files::length(&state.paths.history());
        history.set_len(whole - " cut\"}\n".len() as u64 - 1).unwrap();
        let notes = |state: &State| -> Vec<String> {
            state.history().unwrap().into_iter().map(|entry| entry.note).collect()
        };
        assert_eq!(notes(&state), [first]);
        state.remember(Event::Healed, &digest, None, last.to_owned());
        assert_eq!(notes(&state), [first, last]);
    }
}
