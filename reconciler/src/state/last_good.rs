//! Finds the last good snapshot, or what comes nearest to it where the disk has damaged it.

use std::collections::BTreeSet;

use chainmail_contract::{NodeName, Sha256Hex};

use super::{Entry, history, stood};
use crate::files;
use crate::journal::Journal;
use crate::paths::Paths;
use crate::setback::Setback;
use crate::spool::{self, Loaded, SpoolError};

/// What is left of the last good snapshot.
#[derive(Debug)]
pub enum LastGood {
    /// No snapshot was ever verified to be in force on this node.
    Never,
    /// It is whole.
    Whole(Loaded),
    /// Its copy in the state is damaged, and the spool still has it.
    Spooled(Loaded),
    /// Its name is lost or damaged. This is the newest one that the history says was in force, so the one that it named.
    Unnamed(Loaded),
    /// It cannot be used, or it is not known which one it is. This is the newest one that was in force and is whole.
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
        let candidates = candidates(paths, &history);
        let stood: BTreeSet<&Sha256Hex> = stood(&history).collect();
        // What is closed without a snapshot is remembered since the first one was good. The copy of a first one is written
        // before it is in force, so a single copy says nothing.
        let had_one = files::is_there(&paths.closed())
            || candidates.iter().any(|digest| stood.contains(digest))
            || candidates.len() > 1;
        let lost = match &named {
            Ok(Some(digest)) => match WholeCopy::find(paths, digest, node) {
                Ok(WholeCopy::Kept(loaded)) => return LastGood::Whole(loaded),
                Ok(WholeCopy::Spooled(loaded)) => return LastGood::Spooled(loaded),
                Err(damage) => damage.to_string(),
            },
            Ok(None) if !had_one => return LastGood::Never,
            Ok(None) => format!("{} is missing", paths.good().display()),
            Err(damage) => damage.to_string(),
        };
        let named = named.ok().flatten();
        // A wrong letter in the name makes another name, which nothing else on the node has.
        let is_known = |digest: &Sha256Hex| {
            files::is_there(&paths.kept(digest)) || history.iter().any(|entry| entry.digest == *digest)
        };
        let is_unnamed = !named.as_ref().is_some_and(is_known);
        // A copy of which the history says nothing may be younger than all others.
        let order_is_known = candidates.iter().all(|digest| stood.contains(digest));
        let mut younger_lost = None;
        for digest in candidates.iter().filter(|digest| named.as_ref() != Some(*digest)) {
            match WholeCopy::find(paths, digest, node) {
                Ok(copy) if is_unnamed && younger_lost.is_none() && order_is_known => {
                    return LastGood::Unnamed(copy.loaded());
                }
                Ok(copy) => {
                    let lost = younger_lost.filter(|_| is_unnamed).unwrap_or(lost);
                    return LastGood::Older { loaded: copy.loaded(), lost };
                }
                Err(error) => {
                    tracing::debug!(%error, "this copy cannot be used either");
                    younger_lost.get_or_insert_with(|| format!("{lost}, and {error}"));
                }
            }
        }
        LastGood::Lost { lost }
    }
}

/// A whole copy of a snapshot.
enum WholeCopy {
    /// In the state.
    Kept(Loaded),
    /// In the spool, since the one in the state is damaged or missing.
    Spooled(Loaded),
}

impl WholeCopy {
    /// Looks for one; why the one in the state cannot be used where there is none.
    fn find(paths: &Paths, digest: &Sha256Hex, node: &NodeName) -> Result<Self, SpoolError> {
        spool::load_kept(paths, digest, node).map(WholeCopy::Kept).or_else(|damage| {
            spool::load(&paths.spooled(digest), digest, node).map(WholeCopy::Spooled).map_err(|_| damage)
        })
    }

    fn loaded(self) -> Loaded {
        match self {
            WholeCopy::Kept(loaded) | WholeCopy::Spooled(loaded) => loaded,
        }
    }
}

/// The snapshots that were in force and were not taken back, youngest first: also those whose copy is gone, so that an older
/// one is known to be older. Copies of which the history says nothing, since it was lost itself, come last, those that were
/// written last before the others.
fn candidates(paths: &Paths, history: &[Entry]) -> Vec<Sha256Hex> {
    let not_good = not_good(paths);
    let known: BTreeSet<&Sha256Hex> = history.iter().map(|entry| &entry.digest).collect();
    let kept = files::names(&paths.kept_all()).unwrap_or_default();
    let kept: BTreeSet<Sha256Hex> =
        kept.into_iter().filter_map(|name| Sha256Hex::try_from(name).ok()).collect();
    let mut found: Vec<Sha256Hex> = Vec::new();
    for digest in stood(history).filter(|digest| !not_good.contains(digest)) {
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
