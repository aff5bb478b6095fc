//! One cycle of the service: what is wanted, what the kernel holds, and what is done about the difference.

mod change;
mod confirm;
mod error;
mod flows;
mod hold;
mod keep;
mod last_good;
mod wanted;
mod watch;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chainmail_contract::limits::PROVENANCE_BYTES;
use chainmail_contract::{DENY_CHAIN, Family, NodeName, Sha256Hex};

use self::confirm::Awaited;
pub use self::error::ServiceError;
use self::hold::Hold;
use self::last_good::Good;
pub use self::last_good::REPAIR;
use self::wanted::Unusable;
use crate::apply::ApplyError;
use crate::audit::Audit;
use crate::changes::Line;
use crate::clock::Clock;
use crate::config::Config;
use crate::desired::{Desired, DesiredTable};
use crate::fight::Fight;
use crate::files;
use crate::journal::Journal;
use crate::kept::{KeptChain, kept_chains};
use crate::kernel::Kernel;
use crate::kernel::backend::Backend;
use crate::live::Live;
use crate::monitor::lookout::Lookout;
use crate::orders::Orders;
use crate::paths::Paths;
use crate::preflight::PreflightError;
use crate::provenance::Provenance;
use crate::setback::Setback;
use crate::spool::{self, Loaded};
use crate::state::State;
use crate::status::{Enforce, Status, Sync};

/// The first wait after any other failure; it doubles up to the interval.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// How many calls of tools may take their whole time before the service is said to hang.
const CALLS: u32 = 4;
/// How many lines of drift are logged one by one, and stand in the status; the audit log has them all.
const LINES_TOLD: usize = 50;

/// What the service is made of, apart from the kernel.
pub struct Settings {
    /// Where everything is.
    pub paths: Paths,
    /// The configuration.
    pub config: Config,
    /// The node.
    pub node: NodeName,
    /// The backend.
    pub backend: Backend,
    /// What histories are dated by.
    pub clock: Clock,
    /// What must hold before anything is changed.
    pub guard: fn(Backend) -> Result<(), PreflightError>,
    /// Is called at each stage, so that a watchdog sees work.
    pub alive: fn(),
}

/// Which snapshots a cycle may bring into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The one in the spool, or else the last good one.
    Spool,
    /// The last good one alone: at boot.
    LastGood,
}

/// What the last cycle has left in the kernel, as far as it knows.
pub enum Seen {
    /// Nothing that is to be looked after, or it could not be read: the next cycle is due soon enough.
    Nothing,
    /// What it has read, and has not changed since.
    Unchanged {
        /// When it was read.
        at: Instant,
        /// What was read.
        live: Live,
    },
    /// What it has changed itself since it read.
    Changed,
}

/// For how long such a look is good enough to plan a change from. What others do meanwhile is found when the change is
/// read back.
const LOOK_IS_FRESH: Duration = Duration::from_secs(1);

/// The service between two cycles.
pub struct Service<K> {
    kernel: K,
    settings: Settings,
    state: State,
    audit: Audit,
    good: Option<Good>,
    /// What is wrong with the last good snapshot, where there is none to be used.
    lost: Option<String>,
    awaited: Option<Awaited>,
    unusable: Option<Unusable>,
    setback: Option<Setback>,
    /// Snapshots that a person says work.
    vouched: Vec<Sha256Hex>,
    hold: Hold,
    fight: Fight,
    /// How long nothing new is to come into force.
    pause_left: Option<Duration>,
    /// That and since when nothing is to be in force, in words.
    withdrawn: Option<String>,
    /// Why refused flows could not be ended.
    uncut: Option<String>,
    /// Chains that rules of others keep.
    kept: Vec<KeptChain>,
    seen: Seen,
    status: Status,
    retry: Duration,
}

/// What a cycle has found or done.
struct Done {
    enforce: Enforce,
    drift: Vec<Line>,
}

impl<K: Kernel> Service<K> {
    /// Opens the state folder.
    #[must_use]
    pub fn open(kernel: K, settings: Settings) -> Self {
        let state = State::open(&settings.paths, settings.config.keep, settings.clock);
        let history = state.history().unwrap_or_else(|error| {
            tracing::warn!(%error, "it is not known what was done on this node");
            Vec::new()
        });
        let since =
            history.iter().rfind(|entry| entry.event.brings_another()).map(|entry| entry.time.clone());
        let status = Status {
            sync: Sync::Pending,
            enforce: Enforce::Unknown,
            node: settings.node.to_string(),
            backend: settings.backend.to_string(),
            desired: None,
            enforced: None,
            since,
            confirm: settings.config.confirm,
            awaits: None,
            set_back: None,
            checked: None,
            written: (settings.clock.uptime)(),
            late_after: 0,
            pin: None,
            pause: None,
            drift: 0,
            drift_lines: Vec::new(),
            last_heal: None,
            alarms: Vec::new(),
            last_error: None,
            skipped: Vec::new(),
            degraded: BTreeMap::new(),
            counts: BTreeMap::new(),
            denied: BTreeMap::new(),
        };
        let audit = Audit::new(settings.paths.audit(), settings.config.audit, settings.clock);
        let uncut = state.uncut().unwrap_or_else(|error| Some(error.to_string()));
        let (fight, hold, retry) = (Fight::default(), Hold::default(), RETRY_FIRST);
        Self {
            kernel,
            settings,
            state,
            audit,
            good: None,
            lost: None,
            awaited: None,
            unusable: None,
            setback: None,
            vouched: Vec::new(),
            hold,
            fight,
            pause_left: None,
            withdrawn: None,
            uncut,
            kept: Vec::new(),
            seen: Seen::Nothing,
            status,
            retry,
        }
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What notices changes by others between two cycles.
    #[must_use]
    pub fn lookout(&self) -> Lookout {
        Lookout::new(self.settings.backend, self.settings.config.deadline)
    }

    /// What the last cycle has left in the kernel.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Runs one cycle, and returns how long the next one may wait. Whatever goes wrong stands in the status: the
    /// service goes on, since only it can put things right.
    pub fn cycle(&mut self, reach: Reach, now: Instant) -> Duration {
        self.seen = Seen::Nothing;
        let result = self.attempt(reach, now);
        let interval = self.settings.config.interval;
        let (error, next) = match result {
            Ok(()) => {
                self.retry = RETRY_FIRST;
                (self.hold.why().or_else(|| self.kept_back().map(ToString::to_string)), interval)
            }
            Err(error) => {
                let wait = self.retry.min(interval);
                self.retry = (self.retry * 2).min(interval);
                (Some(error.to_string()), wait)
            }
        };
        if let Some(error) = error.as_ref().filter(|error| self.status.last_error.as_ref() != Some(error)) {
            tracing::error!(digest = self.status.desired.as_ref().map_or("", Sha256Hex::as_str), "{error}");
        }
        self.status.last_error = error;
        // What is made to close a node is no snapshot that anybody reviewed.
        let closed = self.awaited.is_none() && self.good.as_ref().is_some_and(Good::is_closed);
        self.status.enforced = self.in_force().filter(|_| !closed).map(|(digest, _)| digest.clone());
        self.status.awaits = self.awaited.as_ref().map(|awaited| awaited.shown.clone());
        self.status.set_back = self.kept_back().cloned();
        self.status.alarms = self.alarms();
        self.status.counts.clone_from(self.state.counts());
        self.status.denied = self.denied();
        let word = self.awaited.as_ref().map(|awaited| awaited.left(now));
        let again = self.kept_back().and_then(|setback| setback.left(&(self.settings.clock.uptime)()));
        let sooner = self.hold.left(now).into_iter().chain(self.pause_left).chain(word).chain(again);
        let wait = sooner.fold(next, |wait, left| wait.min(left.max(RETRY_FIRST)));
        self.status.written = (self.settings.clock.uptime)();
        self.status.late_after = (wait + self.settings.config.deadline * CALLS).as_secs();
        self.write_status();
        wait
    }

    fn attempt(&mut self, reach: Reach, now: Instant) -> Result<(), ServiceError> {
        let orders = Orders::read(&self.settings.paths);
        if let Ok(Orders { withdrawn: Some(since), .. }) = &orders {
            self.stay_withdrawn(since);
            return Ok(());
        }
        self.withdrawn = None;
        self.survey()?;
        let journal = self.interrupted();
        self.load_good();
        let wanted = self.wanted(reach, orders);
        self.read_setback(wanted.desired.as_ref());
        let journal = self.take_up(journal, reach, now);
        let in_force = self.in_force().map(|(digest, _)| digest.clone());
        if self.is_overdue(now)
            && matches!(&wanted.chosen, Ok(Some(source)) if Some(&source.digest) != in_force.as_ref())
        {
            // What goes on coming in must not put off the end of the wait.
            self.await_word(now)?;
            return self.attempt(reach, now);
        }
        self.status.desired = wanted.desired.or_else(|| in_force.clone());
        // What is in force is looked after before anything new is read, however long that may take. A snapshot that
        // cannot be used leaves it in force.
        let (mut journal, mut looked_after) = (journal, None);
        let (new, mut refused) = match wanted.chosen {
            Ok(Some(source)) if Some(&source.digest) != in_force.as_ref() => {
                if in_force.is_some() {
                    looked_after = Some(self.keep(journal.clone(), now));
                    journal = journal.filter(|_| !matches!(looked_after, Some(Ok(_))));
                }
                match self.load_wanted(&source, now) {
                    Ok(new) => (new, None),
                    Err(error) => (None, Some(error)),
                }
            }
            Ok(_) => {
                self.hold.release();
                (None, None)
            }
            Err(error) => (None, Some(error)),
        };
        let held = self.hold.is_any() || refused.is_some() || wanted.overruled || self.kept_back().is_some();
        self.status.sync = match (&self.status.desired, &in_force) {
            (Some(desired), Some(good)) if desired == good && refused.is_none() => Sync::Synced,
            _ if held => Sync::Held,
            _ => Sync::Pending,
        };
        let done = match new {
            Some(new) => match self.change_to(new, journal.clone(), now) {
                Err(error) if self.in_force().is_some() && error.nothing_was_changed() => {
                    refused = Some(error);
                    self.stay(journal, now)
                }
                done => done,
            },
            None if self.in_force().is_some() => match looked_after {
                Some(done) if self.awaited.is_none() => done,
                _ => self.stay(journal, now),
            },
            None => {
                let done = self.nothing(journal);
                match &self.lost {
                    Some(lost) => done.and(Err(ServiceError::Lost(lost.clone()))),
                    None => done,
                }
            }
        };
        match done {
            Ok(done) => {
                self.note(done);
                refused.map_or(Ok(()), Err)
            }
            Err(error) => {
                self.status.enforce = match &error {
                    ServiceError::Apply(ApplyError::Undone { .. }) => Enforce::RolledBack,
                    ServiceError::Apply(ApplyError::Unfinished { .. }) => Enforce::Drifted,
                    _ => Enforce::Unknown,
                };
                Err(error)
            }
        }
    }

    /// Looks after what is in force.
    fn stay(&mut self, journal: Option<Journal>, now: Instant) -> Result<Done, ServiceError> {
        if self.awaited.is_some() { self.await_word(now) } else { self.keep(journal, now) }
    }

    /// The snapshot that the kernel is kept at.
    fn in_force(&self) -> Option<(&Sha256Hex, &Rc<Desired>)> {
        let awaited = self.awaited.as_ref().map(|awaited| (&awaited.journal.to, &awaited.desired));
        awaited.or_else(|| self.good.as_ref().map(|good| (&good.digest, &good.desired)))
    }

    /// Why the wanted snapshot may not come again yet.
    fn kept_back(&self) -> Option<&Setback> {
        let wanted = self.status.desired.as_ref();
        self.setback
            .as_ref()
            .filter(|setback| wanted == Some(&setback.digest) && self.is_set_back(&setback.digest))
    }

    fn note(&mut self, done: Done) {
        self.status.checked = Some(self.date());
        let failed = self.hold.is_any() || self.kept_back().is_some();
        let rolled_back = self.status.enforce == Enforce::RolledBack && failed;
        self.status.enforce = match done.enforce {
            // As long as the snapshot that failed is the wanted one.
            Enforce::Enforcing if rolled_back => Enforce::RolledBack,
            Enforce::Enforcing
                if self.awaited.is_none() && self.good.as_ref().is_some_and(Good::is_closed) =>
            {
                Enforce::Closed
            }
            Enforce::Enforcing if self.in_force().is_some_and(|(_, desired)| desired.observes()) => {
                Enforce::Observing
            }
            enforce => enforce,
        };
        self.status.drift = done.drift.len();
        self.status.drift_lines = done.drift.iter().take(LINES_TOLD).map(ToString::to_string).collect();
    }

    fn alarms(&self) -> Vec<String> {
        let mut alarms: Vec<String> = self.withdrawn.iter().cloned().collect();
        alarms.extend(self.alarm_of_good());
        if let Some(error) = &self.uncut {
            alarms.push(format!("flows that the rules refuse may go on: {error}"));
        }
        alarms.extend(self.kept.iter().map(ToString::to_string));
        if self.fight.has_truce() {
            alarms.push(format!(
                "another program keeps moving the jump in FORWARD; its place ({}) is given up for an hour, and packets may \
                 pass before it",
                self.settings.config.jump
            ));
        }
        alarms
    }

    fn write_status(&self) {
        let path = self.settings.paths.status();
        let folder = files::make_dir(&self.settings.paths.run());
        if let Err(error) = folder.and_then(|()| files::replace_volatile(&path, &self.status.json())) {
            tracing::warn!(%error, "the status is not up to date");
        }
    }

    /// What a run that did not end has left. A damaged journal is told and taken away: the way forward needs none.
    fn interrupted(&self) -> Option<Journal> {
        match Journal::read(&self.settings.paths) {
            Ok(journal) => journal,
            Err(error) => {
                tracing::error!(%error, "an interrupted change cannot be undone, only finished");
                if let Err(error) = Journal::end(&self.settings.paths) {
                    tracing::warn!(%error, "the damaged journal stays");
                }
                None
            }
        }
    }

    /// What the kernel held a moment ago, where nothing was to be done about it.
    fn take_look(&mut self) -> Option<Live> {
        match std::mem::replace(&mut self.seen, Seen::Nothing) {
            Seen::Unchanged { at, live } if at.elapsed() < LOOK_IS_FRESH => Some(live),
            Seen::Unchanged { .. } | Seen::Changed | Seen::Nothing => None,
        }
    }

    /// What the clock of the host says, for people.
    fn date(&self) -> String {
        (self.settings.clock.now)().to_string()
    }

    /// How many packets were denied, where rules count them in a chain of their own. That this is not known is no reason to
    /// stop.
    fn denied(&mut self) -> BTreeMap<String, u64> {
        let Some((_, desired)) = self.in_force() else { return BTreeMap::new() };
        let counting = |(family, table): (&Family, &DesiredTable)| {
            let counts = table.chains.keys().any(|chain| chain.as_str() == DENY_CHAIN);
            counts.then_some(*family)
        };
        let families: Vec<Family> = desired.tables.iter().filter_map(counting).collect();
        let skipped = |family: &Family| {
            let Status { skipped, degraded, .. } = &self.status;
            skipped.contains(&family.to_string()) || degraded.contains_key(&family.to_string())
        };
        let families = families.into_iter().filter(|family| !skipped(family)).collect::<Vec<_>>();
        let mut denied = BTreeMap::new();
        for family in families {
            match self.kernel.denied(family) {
                Ok(packets) => drop(denied.insert(family.to_string(), packets)),
                Err(error) => tracing::debug!(%error, "denied packets are not counted"),
            }
        }
        denied
    }

    /// Finds out which families cannot be enforced. The others are.
    fn survey(&mut self) -> Result<(), ServiceError> {
        let unusable = self.kernel.survey().map_err(|error| {
            self.status.enforce = Enforce::Unknown;
            ServiceError::Read(error)
        })?;
        let degraded: BTreeMap<_, _> =
            unusable.into_iter().map(|(family, reason)| (family.to_string(), reason)).collect();
        for (family, reason) in
            degraded.iter().filter(|(family, _)| !self.status.degraded.contains_key(*family))
        {
            tracing::error!(family, "the rules of this family are not enforced: {reason}");
        }
        self.status.degraded = degraded;
        Ok(())
    }

    /// Notes what the kernel does not let this program do.
    fn note_limits(&mut self, desired: &Desired, live: &Live) {
        let kept = kept_chains(desired, live);
        for chain in kept.iter().filter(|chain| !self.kept.contains(chain)) {
            tracing::warn!("{chain}");
        }
        self.kept = kept;
        let skipped = Family::ALL.iter().filter(|family| !live.tables.contains_key(family));
        let skipped =
            skipped.map(Family::to_string).filter(|family| !self.status.degraded.contains_key(family));
        self.status.skipped = skipped.collect();
    }

    fn provenance(&self, digest: Option<&Sha256Hex>) -> Provenance {
        let (Some(digest), Some((_, desired))) = (digest, self.in_force()) else {
            return Provenance::default();
        };
        let path = self.settings.paths.kept(digest).join("provenance.json");
        let text = files::read_short(&path, PROVENANCE_BYTES).ok().flatten();
        Provenance::of(desired, text.as_deref().unwrap_or_default())
    }

    /// Where the lines come from of a snapshot that is not in force any more, as long as there is a copy of it.
    fn provenance_of_kept(&self, digest: &Sha256Hex) -> Provenance {
        match spool::load_kept(&self.settings.paths, digest, &self.settings.node) {
            Ok(Loaded { desired, provenance, .. }) => {
                Provenance::of(&desired, provenance.as_deref().unwrap_or_default())
            }
            Err(error) => {
                tracing::warn!(%error, "it is not known which policies the lines that go come from");
                Provenance::default()
            }
        }
    }
}

fn milliseconds(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
