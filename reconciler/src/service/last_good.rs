//! What the kernel is kept at: the last good snapshot, or what takes its place where the disk has damaged every copy of it.

use std::rc::Rc;

use chainmail_contract::Sha256Hex;

use super::Service;
use crate::closed::Closed;
use crate::config::WithoutSnapshot;
use crate::desired::Desired;
use crate::kernel::Kernel;
use crate::spool::{self, Loaded};
use crate::state::LastGood;

/// How a node comes back to its reviewed snapshot.
pub const REPAIR: &str = "`chainmail-fetch once` hands the reviewed snapshot over again";

/// The last good snapshot, which is in force unless another one waits to be confirmed.
pub(super) struct Good {
    pub(super) digest: Sha256Hex,
    pub(super) desired: Rc<Desired>,
    instead: Option<Instead>,
}

/// What takes the place of a last good snapshot that cannot be used, and why that one cannot.
pub(super) enum Instead {
    /// The newest whole copy of another one.
    Older(String),
    /// Rules that close the networks of this node's pods.
    Closed(String),
}

impl Good {
    /// The snapshot that the state names.
    pub(super) fn named(digest: Sha256Hex, desired: Rc<Desired>) -> Self {
        Self { digest, desired, instead: None }
    }

    fn of(loaded: Loaded, instead: Option<Instead>) -> Self {
        let digest = loaded.digest().clone();
        Self { digest, desired: Rc::new(loaded.desired), instead }
    }

    /// Whether it only closes networks.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.instead, Some(Instead::Closed(_)))
    }
}

impl<K: Kernel> Service<K> {
    /// Finds the last good snapshot, once, and keeps the state as it should be.
    pub(super) fn load_good(&mut self) {
        if self.good.is_none() {
            self.lost = None;
            self.good = self.find_good();
        }
        let paths = &self.settings.paths;
        let Some(good) = &mut self.good else { return };
        // An older one that fetch wants is the reviewed one.
        if matches!(good.instead, Some(Instead::Older(_)))
            && spool::wanted(paths).ok().flatten().as_ref() == Some(&good.digest)
        {
            good.instead = None;
        }
        if good.instead.is_none() && self.state.good_digest().ok().flatten().as_ref() != Some(&good.digest) {
            let digest = good.digest.clone();
            self.mend_name(&digest);
        }
    }

    fn find_good(&mut self) -> Option<Good> {
        let paths = &self.settings.paths;
        let good = match LastGood::find(paths, &self.settings.node) {
            LastGood::Never => None,
            LastGood::Whole(loaded) => Some(Good::of(loaded, None)),
            LastGood::Spooled(loaded) | LastGood::Unnamed(loaded) => {
                self.keep_copy(&loaded);
                Some(Good::of(loaded, None))
            }
            LastGood::Older { loaded, lost } => {
                tracing::error!(digest = loaded.digest().as_str(), "the newest whole copy is used: {lost}");
                self.keep_copy(&loaded);
                Some(Good::of(loaded, Some(Instead::Older(lost))))
            }
            LastGood::Lost { lost } => self.closed(lost),
        };
        // A node of an earlier version has not remembered yet what is to be closed, and a disk may have damaged it.
        if let Some(Good { desired, instead: None, .. }) = &good
            && let Err(error) = Closed::of(desired).write(&self.settings.paths)
        {
            tracing::warn!(%error, "it is not remembered what is to be closed");
        }
        good
    }

    /// Writes the copy of the state again, where that was damaged and the spool had one.
    fn keep_copy(&self, loaded: &Loaded) {
        if let Err(error) = self.state.keep(&loaded.snapshot, loaded.provenance.as_deref()) {
            tracing::warn!(%error, "the copy of the last good snapshot stays damaged");
        }
    }

    fn mend_name(&self, digest: &Sha256Hex) {
        tracing::warn!(
            digest = digest.as_str(),
            "the name of the last good snapshot was lost, and is written again"
        );
        if let Err(error) = self.state.point_to_good(digest) {
            tracing::warn!(%error, "the last good snapshot has no name");
        }
    }

    /// Closes what the node remembers, unless its configuration wants it open.
    fn closed(&mut self, lost: String) -> Option<Good> {
        tracing::error!("no copy of a snapshot can be used: {lost}");
        let closed = match self.settings.config.without_snapshot {
            WithoutSnapshot::Open => Err("without_snapshot = \"open\"".to_owned()),
            WithoutSnapshot::Closed => match Closed::read(&self.settings.paths) {
                Ok(Some(closed)) => Ok(closed),
                Ok(None) => Err(format!("{} is missing", self.settings.paths.closed().display())),
                Err(error) => Err(error.to_string()),
            },
        };
        match closed {
            Ok(closed) => {
                let snapshot = closed.snapshot(&self.settings.node);
                let digest = snapshot.manifest().digest.clone();
                match Desired::of_snapshot(&snapshot) {
                    Ok(desired) => {
                        let instead = Some(Instead::Closed(lost));
                        return Some(Good { digest, desired: Rc::new(desired), instead });
                    }
                    Err(error) => self.lost = Some(format!("{lost}; nothing can be closed: {error}")),
                }
            }
            Err(why) => self.lost = Some(format!("{lost}; nothing is closed: {why}")),
        }
        None
    }

    /// Whether an older snapshot is in force, since the last good one is damaged.
    #[must_use]
    pub fn is_older(&self) -> bool {
        self.awaited.is_none()
            && self.good.as_ref().is_some_and(|good| matches!(good.instead, Some(Instead::Older(_))))
    }

    /// What is said of a node without its last good snapshot.
    pub(super) fn alarm_of_good(&self) -> Option<String> {
        if let (Some(lost), None, None) = (&self.lost, &self.good, &self.awaited) {
            return Some(format!("no copy of a snapshot can be used, and packets pass: {lost}; {REPAIR}"));
        }
        if self.withdrawn.is_some() || self.awaited.is_some() {
            return None;
        }
        match self.good.as_ref() {
            None => Some("no snapshot was in force on this node yet: every packet passes".to_owned()),
            Some(good) => match good.instead.as_ref()? {
                Instead::Older(lost) => Some(format!(
                    "snapshot {} is in force, and is not known to be the last one: {lost}; {REPAIR}",
                    good.digest.short(12)
                )),
                Instead::Closed(lost) => Some(format!(
                    "the networks of this node's pods are closed, since no copy of a snapshot can be used: {lost}; {REPAIR}"
                )),
            },
        }
    }
}
