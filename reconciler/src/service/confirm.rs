//! A snapshot that is in force counts as good once somebody says that it works. Until then the one before it is kept, sets
//! and all, and comes back where something speaks against the new one, or nobody speaks at all.

use std::rc::Rc;
use std::time::{Duration, Instant};

use chainmail_contract::Sha256Hex;

use super::{Done, Good, Reach, Service, ServiceError};
use crate::clock::{Clock, Moment, stamp};
use crate::config::Confirm;
use crate::desired::Desired;
use crate::journal::{self, Awaits, Journal};
use crate::kernel::Kernel;
use crate::orders::Orders;
use crate::setback::Setback;
use crate::spool;
use crate::status::{self, Enforce, Sync};
use crate::step::Stage;

/// How many times its own time a snapshot may wait where it follows others that were not confirmed either.
const PATIENCE: u64 = 2;

/// The snapshot that is in force and waits.
pub(super) struct Awaited {
    pub(super) journal: Journal,
    pub(super) awaits: Awaits,
    pub(super) desired: Rc<Desired>,
    pub(super) shown: status::Awaits,
    until: Instant,
}

impl Awaited {
    /// How long it may still wait.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }
}

/// What is said of the snapshot that waits.
enum Word {
    /// It works.
    Confirmed,
    /// Nothing yet.
    Silence,
    /// It is to go.
    Away(Setback),
}

impl<K: Kernel> Service<K> {
    /// Whether a snapshot has to be confirmed before it counts as good.
    pub(super) fn needs_confirmation(&self, digest: &Sha256Hex) -> bool {
        let is_good = self.good.as_ref().is_some_and(|good| good.digest == *digest);
        self.settings.config.confirm == Confirm::Required && !is_good && !self.is_confirmed(digest)
    }

    fn is_confirmed(&self, digest: &Sha256Hex) -> bool {
        self.vouched.contains(digest) || spool::confirms(&self.settings.paths, digest)
    }

    /// A snapshot came into force and waits from now on; `before` is how long the one before it was to wait.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub(super) fn begin_waiting(
        &mut self,
        mut journal: Journal,
        desired: Rc<Desired>,
        before: Option<Awaits>,
        now: Instant,
    ) -> Result<(), ServiceError> {
        let mut until = (self.settings.clock.uptime)();
        let time = self.settings.config.confirm_timeout.as_secs();
        let latest = before.map_or(until.seconds + PATIENCE * time, |before| before.latest);
        until.seconds = latest.min(until.seconds + time);
        let awaits = Awaits { since: stamp(), until, latest };
        journal.awaits = Some(awaits.clone());
        journal.begin(&self.settings.paths).map_err(ServiceError::Wait)?;
        (self.settings.alive)();
        self.awaited = Some(self.awaited_by(journal, awaits, desired, now));
        self.status.sync = Sync::PendingConfirm;
        Ok(())
    }

    fn awaited_by(&self, journal: Journal, awaits: Awaits, desired: Rc<Desired>, now: Instant) -> Awaited {
        let Clock { now: today, uptime } = self.settings.clock;
        let left = awaits.until.seconds.saturating_sub(uptime().seconds);
        let shown = status::Awaits {
            since: awaits.since.clone(),
            until: Moment(today().0 + left).to_string(),
            back_to: self.good.as_ref().map(|good| good.digest.clone()),
        };
        Awaited { journal, awaits, desired, shown, until: now + Duration::from_secs(left) }
    }

    /// Goes on waiting where the journal says that a snapshot is in force and waits. The journal of any other change is
    /// answered: that one is to be finished or undone.
    pub(super) fn take_up(
        &mut self,
        journal: Option<Journal>,
        reach: Reach,
        now: Instant,
    ) -> Option<Journal> {
        let Some(Journal { awaits: Some(awaits), .. }) = &journal else {
            self.awaited = None;
            return journal;
        };
        let (awaits, journal) = (awaits.clone(), journal?);
        // It was confirmed, and the run ended before all was done that follows.
        if self.good.as_ref().is_some_and(|good| good.digest == journal.to) {
            self.awaited = None;
            return Some(journal);
        }
        let same =
            |awaited: &Awaited| awaited.journal.to == journal.to && awaited.awaits.since == awaits.since;
        if self.awaited.as_ref().is_some_and(same) {
            return None;
        }
        self.awaited = None;
        let lost = if reach == Reach::LastGood || awaits.until.boot != (self.settings.clock.uptime)().boot {
            "the node was started anew before it was confirmed".to_owned()
        } else {
            match spool::load_kept(&self.settings.paths, &journal.to, &self.settings.node) {
                Ok(loaded) => {
                    self.awaited = Some(self.awaited_by(journal, awaits, Rc::new(loaded.desired), now));
                    return None;
                }
                Err(error) => error.to_string(),
            }
        };
        let (digest, before) = (journal.to.clone(), self.setback.as_ref());
        self.set_back(Setback::unconfirmed(digest, awaits.since, lost, self.settings.clock, before));
        Some(journal)
    }

    /// Whether the wait of the snapshot in force is over.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.awaited.as_ref().is_some_and(|awaited| awaited.left(now).is_zero())
    }

    /// Looks after the snapshot that waits, and asks whether it still has to.
    pub(super) fn await_word(&mut self, now: Instant) -> Result<Done, ServiceError> {
        match self.word(now) {
            Word::Away(setback) => self.take_back(setback, now),
            Word::Silence => {
                self.status.sync = Sync::PendingConfirm;
                self.keep(None, now)
            }
            Word::Confirmed => {
                self.status.sync = Sync::PendingConfirm;
                self.keep(None, now)?;
                self.confirm(now)
            }
        }
    }

    fn word(&self, now: Instant) -> Word {
        let Some(Awaited { journal, awaits, .. }) = &self.awaited else { return Word::Silence };
        let (digest, since) = (&journal.to, &awaits.since);
        if self.vouched.contains(digest) {
            return Word::Confirmed;
        }
        if let Some(reason) = spool::refuses(&self.settings.paths, digest, since) {
            return Word::Away(Setback::refused(digest.clone(), since.clone(), reason, self.settings.clock));
        }
        if self.is_confirmed(digest) {
            return Word::Confirmed;
        }
        if !self.is_overdue(now) {
            return Word::Silence;
        }
        let reason = format!("nobody confirmed it in {} s", self.settings.config.confirm_timeout.as_secs());
        let (digest, since, before) = (digest.clone(), since.clone(), self.setback.as_ref());
        Word::Away(Setback::unconfirmed(digest, since, reason, self.settings.clock, before))
    }

    /// The snapshot that waits becomes the last good one; what was kept to go back to is given up.
    fn confirm(&mut self, now: Instant) -> Result<Done, ServiceError> {
        let Some(awaited) = self.awaited.take() else { return self.keep(None, now) };
        let Awaited { journal, desired, .. } = awaited;
        journal::note(&self.settings.paths, Stage::Record);
        self.state.record_good(&journal.to, &desired).map_err(ServiceError::Record)?;
        self.good = Some(Good::named(journal.to.clone(), desired));
        if self.setback.take().is_some()
            && let Err(error) = Setback::forget(&self.settings.paths)
        {
            tracing::warn!(%error, "a snapshot that was taken back before is not forgotten");
        }
        let wanted = self.status.desired.as_ref() == Some(&journal.to);
        self.status.sync = if wanted { Sync::Synced } else { Sync::Held };
        let done = self.keep(Some(journal.clone()), now);
        self.take_word_up(&journal.to);
        done
    }

    /// A person's word is about one attempt: the same snapshot may do harm on another day.
    pub(super) fn take_word_up(&self, digest: &Sha256Hex) {
        let Ok(orders) = Orders::read(&self.settings.paths) else { return };
        if orders.confirmed.as_ref() == Some(digest)
            && let Err(error) = (Orders { confirmed: None, ..orders }).write(&self.settings.paths)
        {
            tracing::warn!(%error, "a confirmation stays for the next time");
        }
    }

    /// Brings back what was in force before the snapshot that waits.
    fn take_back(&mut self, setback: Setback, now: Instant) -> Result<Done, ServiceError> {
        self.status.sync = Sync::Held;
        self.set_back(setback);
        let journal = self.awaited.take().map(|awaited| awaited.journal);
        let done = if self.good.is_some() { self.keep(journal, now)? } else { self.nothing(journal)? };
        self.status.since = Some(self.date());
        match done.enforce {
            Enforce::Enforcing => Ok(Done { enforce: Enforce::RolledBack, ..done }),
            _ => Ok(done),
        }
    }

    /// Remembers a setback, once an attempt. The way back does not wait for the disk.
    fn set_back(&mut self, setback: Setback) {
        let known = |known: &Setback| (&known.digest, &known.since) == (&setback.digest, &setback.since);
        if self.setback.as_ref().is_some_and(known) {
            return;
        }
        if let Err(error) = setback.write(&self.settings.paths) {
            tracing::error!(%error, "a restart may try a snapshot again that was taken back");
        }
        self.setback = Some(setback);
    }

    /// Whether a wanted snapshot was taken back, and may not come again yet.
    pub(super) fn is_set_back(&self, digest: &Sha256Hex) -> bool {
        let uptime = (self.settings.clock.uptime)();
        let left = |setback: &Setback| setback.left(&uptime).is_none_or(|left| !left.is_zero());
        !self.vouched.contains(digest)
            && self.setback.as_ref().is_some_and(|setback| setback.digest == *digest && left(setback))
    }

    /// What was taken back is forgotten once another snapshot is wanted, or a person says so.
    pub(super) fn read_setback(&mut self, wanted: Option<&Sha256Hex>) {
        self.setback = Setback::read(&self.settings.paths);
        if let (Some(setback), Some(wanted)) = (&self.setback, wanted)
            && setback.digest != *wanted
        {
            match Setback::forget(&self.settings.paths) {
                Ok(()) => self.setback = None,
                Err(error) => tracing::warn!(%error, "a snapshot that was taken back is not forgotten"),
            }
        }
    }
}
