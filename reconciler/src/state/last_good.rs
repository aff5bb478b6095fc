//! Finds the last good snapshot, or what comes nearest to it where the disk has damaged it.

use std::collections::BTreeSet;

use chainmail_contract::{NodeName, Sha256Hex};

use super::{Entry, history, stood};
use crate::files;
use crate::journal::Journal;
use crate::paths::Paths;
use crate::setback::Setback;
use crate::spool::{self, Loaded};

/// What is left of the last good snapshot.
#[derive(Debug)]
pub enum LastGood {
    /// No snapshot was ever verified to be in force on this node.
    Never,
    /// It is whole.
    Whole(Loaded),
    /// Its copy in the state is damaged, and the spool still has it.
    Spooled(Loaded),
    /// Its name is lost or damaged. This is the newest one that was in force and is whole, so the one that it named.
    Unnamed(Loaded),
    /// It cannot be used. This is the newest one that was in force and is whole.
    Older {
        /// That one.
        loaded: Loaded,
        /// Why the last good one cannot be used.
        lost: String,
    },
    /// It cannot be used, and no copy of another one can.
    Lost {
        /// Why it cannot be used.
        lost: String,
    },
}

impl LastGood {
    /// Looks for it. Each candidate is used whole or not at all, both families and all sets.
    #[must_use]
    pub fn find(paths: &Paths, node: &NodeName) -> Self {
        let named = spool::pointer(&paths.good());
        let history = history(paths).unwrap_or_default();
        let lost = match &named {
            Ok(Some(digest)) => match spool::load_kept(paths, digest, node) {
                Ok(loaded) => return LastGood::Whole(loaded),
                Err(damage) => {
                    if let Ok(loaded) = spool::load(&paths.spooled(digest), digest, node) {
                        return LastGood::Spooled(loaded);
                    }
                    damage.to_string()
                }
            },
            Ok(None) if !had_one(paths, &history) => return LastGood::Never,
            Ok(None) => format!("{} is missing", paths.good().display()),
            Err(damage) => damage.to_string(),
        };
        let named = named.ok().flatten();
        // A wrong letter in the name makes another name, which nothing else on the node has.
        let is_known = |digest: &Sha256Hex| {
            files::is_there(&paths.kept(digest)) || history.iter().any(|entry| entry.digest == *digest)
        };
        let is_unnamed = !named.as_ref().is_some_and(is_known);
        for digest in candidates(paths, &history).iter().filter(|digest| named.as_ref() != Some(*digest)) {
            match spool::load_kept(paths, digest, node) {
                Ok(loaded) if is_unnamed => return LastGood::Unnamed(loaded),
                Ok(loaded) => return LastGood::Older { loaded, lost },
                Err(error) => tracing::warn!(%error, "this copy cannot be used either"),
            }
        }
        LastGood::Lost { lost }
    }
}

/// Whether a snapshot was good at some time: what is closed without one is remembered since then, and the history may tell.
fn had_one(paths: &Paths, history: &[Entry]) -> bool {
    let awaits = not_good(paths);
    files::is_there(&paths.closed()) || stood(history).any(|digest| !awaits.contains(digest))
}

/// The kept snapshots that were in force and were not taken back, youngest first. Those of which the history says nothing,
/// since it was lost itself, come last, in the order in which they were written.
fn candidates(paths: &Paths, history: &[Entry]) -> Vec<Sha256Hex> {
    let not_good = not_good(paths);
    let known: BTreeSet<&Sha256Hex> = history.iter().map(|entry| &entry.digest).collect();
    let kept = files::names(&paths.kept_all()).unwrap_or_default();
    let kept: BTreeSet<Sha256Hex> =
        kept.into_iter().filter_map(|name| Sha256Hex::try_from(name).ok()).collect();
    let mut found: Vec<Sha256Hex> = Vec::new();
    for digest in stood(history).filter(|digest| kept.contains(digest) && !not_good.contains(digest)) {
        if !found.contains(digest) {
            found.push(digest.clone());
        }
    }
    let unknown = kept.iter().filter(|digest| !known.contains(digest) && !not_good.contains(digest));
    let mut unknown: Vec<_> = unknown.map(|digest| (files::written(&paths.kept(digest)), digest)).collect();
    unknown.sort_by(|one, other| other.cmp(one));
    found.extend(unknown.into_iter().map(|(_, digest)| digest.clone()));
    found
}

/// Snapshots of which a copy is kept although nobody said that they are good: the one of a change that was not ended, and
/// the one that was taken back last.
fn not_good(paths: &Paths) -> BTreeSet<Sha256Hex> {
    let begun = Journal::read(paths).ok().flatten().map(|journal| journal.to);
    begun.into_iter().chain(Setback::read(paths).map(|setback| setback.digest)).collect()
}
