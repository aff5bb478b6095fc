//! One cycle of the service: what is wanted, what the kernel holds, and what is done about the difference.

use std::rc::Rc;
use std::time::{Duration, Instant};

use chainmail_snapshot::{Family, Joined, NodeName, Sha256Hex};
use thiserror::Error;

use crate::apply::{ApplyError, Change, Progress, bring, destroy_orphans, go_back};
use crate::audit::Audit;
use crate::changes::{self, Line};
use crate::clock::Moment;
use crate::config::{Config, Drift, Trial};
use crate::cut;
use crate::desired::Desired;
use crate::fight::Fight;
use crate::files::{self, FileError};
use crate::flip::Edge;
use crate::journal::{self, Journal, JournalError, Old};
use crate::kernel::backend::Backend;
use crate::kernel::{Kernel, KernelError};
use crate::live::Live;
use crate::paths::Paths;
use crate::plan::{Plan, plan};
use crate::preflight::PreflightError;
use crate::provenance::Provenance;
use crate::report;
use crate::spool::{self, Loaded, SpoolError};
use crate::state::{Event, State};
use crate::status::{Enforce, Heal, Status, Sync};
use crate::step::{Stage, Step};

/// The first wait before a snapshot that failed is tried again; it doubles each time.
const HOLD_FIRST: Duration = Duration::from_secs(30);
/// The longest such wait.
const HOLD_LONGEST: Duration = Duration::from_secs(60 * 60);
/// The first wait after any other failure; it doubles up to the interval.
const RETRY_FIRST: Duration = Duration::from_secs(1);
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

/// Why a cycle did not end as it should.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The wanted snapshot, or the last good one, cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The state folder cannot be read or written.
    #[error("nothing was changed: {0}")]
    State(#[from] FileError),
    /// The journal cannot be written.
    #[error("nothing was changed: {0}")]
    Journal(#[from] JournalError),
    /// Something that must hold before a change does not.
    #[error("nothing was changed: {0}")]
    Preflight(#[from] PreflightError),
    /// The kernel cannot be read.
    #[error("the kernel cannot be read: {0}")]
    Read(#[source] KernelError),
    /// The kernel refuses the snapshot also where nothing else is.
    #[error("nothing was changed: the snapshot does not load into a network namespace of its own: {0}")]
    Trial(#[source] ApplyError),
    /// The change failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The snapshot is in force, but this cannot be recorded.
    #[error("the snapshot is in force, but this cannot be recorded: {0}")]
    Record(#[source] FileError),
    /// A change that a crash interrupted cannot be undone.
    #[error("a change that was interrupted cannot be undone: {0}")]
    Undo(String),
}

impl ServiceError {
    fn nothing_was_changed(&self) -> bool {
        match self {
            ServiceError::Spool(_)
            | ServiceError::State(_)
            | ServiceError::Journal(_)
            | ServiceError::Preflight(_)
            | ServiceError::Trial(_)
            | ServiceError::Read(_) => true,
            ServiceError::Apply(_) | ServiceError::Record(_) | ServiceError::Undo(_) => false,
        }
    }
}

/// The snapshot in force.
struct Good {
    digest: Sha256Hex,
    desired: Rc<Desired>,
}

/// A snapshot that failed.
struct Held {
    digest: Sha256Hex,
    wait: Duration,
    until: Instant,
    why: String,
}

/// The service between two cycles.
pub struct Service<K> {
    kernel: K,
    settings: Settings,
    state: State,
    audit: Audit,
    good: Option<Good>,
    held: Option<Held>,
    fight: Fight,
    /// Why refused flows could not be ended.
    uncut: Option<String>,
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
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn open(kernel: K, settings: Settings) -> Result<Self, FileError> {
        let state = State::open(&settings.paths, settings.config.keep)?;
        let history = state.history()?;
        let since =
            history.iter().rfind(|entry| entry.event == Event::Applied).map(|entry| entry.time.clone());
        let status = Status {
            sync: Sync::Pending,
            enforce: Enforce::Unknown,
            node: settings.node.to_string(),
            backend: settings.backend.to_string(),
            desired: None,
            enforced: None,
            since,
            checked: None,
            drift: 0,
            drift_lines: Vec::new(),
            last_heal: None,
            alarms: Vec::new(),
            last_error: None,
            skipped: Vec::new(),
        };
        let audit = Audit::new(settings.paths.audit(), settings.config.audit);
        let (good, held, uncut) = (None, None, None);
        let (fight, retry) = (Fight::default(), RETRY_FIRST);
        Ok(Self { kernel, settings, state, audit, good, held, fight, uncut, status, retry })
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Runs one cycle, and returns how long the next one may wait. Whatever goes wrong stands in the status: the
    /// service goes on, since only it can put things right.
    pub fn cycle(&mut self, reach: Reach, now: Instant) -> Duration {
        let result = self.attempt(reach, now);
        let interval = self.settings.config.interval;
        let (error, next) = match result {
            Ok(()) => {
                self.retry = RETRY_FIRST;
                (self.held.as_ref().map(|held| held.why.clone()), interval)
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
        self.status.enforced = self.good.as_ref().map(|good| good.digest.clone());
        self.status.alarms = self.alarms();
        self.write_status();
        let held = self.held.as_ref().map(|held| held.until.saturating_duration_since(now));
        held.map_or(next, |held| held.max(RETRY_FIRST).min(next))
    }

    fn attempt(&mut self, reach: Reach, now: Instant) -> Result<(), ServiceError> {
        let journal = self.interrupted();
        let loaded = self.load_good();
        let wanted = match reach {
            Reach::Spool => spool::wanted(&self.settings.paths),
            Reach::LastGood => Ok(None),
        };
        self.status.desired = match &wanted {
            Ok(Some(digest)) => Some(digest.clone()),
            Ok(None) | Err(_) => self.good.as_ref().map(|good| good.digest.clone()),
        };
        let in_force = self.good.as_ref().map(|good| good.digest.clone());
        // A snapshot that cannot be used leaves the last good one in force, which is looked after all the same.
        let (new, mut refused) = match wanted {
            Ok(Some(digest)) if Some(&digest) != in_force.as_ref() => match self.load_wanted(&digest, now) {
                Ok(new) => (new, None),
                Err(error) => (None, Some(ServiceError::from(error))),
            },
            Ok(_) => (None, None),
            Err(error) => (None, Some(ServiceError::from(error))),
        };
        let held = self.held.is_some() || refused.is_some();
        self.status.sync = match (&self.status.desired, &in_force) {
            (Some(desired), Some(good)) if desired == good && refused.is_none() => Sync::Synced,
            _ if held => Sync::Held,
            _ => Sync::Pending,
        };
        let done = match new {
            Some(new) => match self.change_to(new, journal.clone(), now) {
                Err(error) if self.good.is_some() && error.nothing_was_changed() => {
                    refused = Some(error);
                    self.keep(journal, now)
                }
                done => done,
            },
            None if self.good.is_some() => self.keep(journal, now),
            None => {
                loaded?;
                self.nothing(journal)
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

    fn note(&mut self, done: Done) {
        self.status.checked = Some(Moment::now().to_string());
        let rolled_back = self.status.enforce == Enforce::RolledBack && self.held.is_some();
        self.status.enforce = match done.enforce {
            // As long as the snapshot that failed is the wanted one.
            Enforce::Enforcing if rolled_back => Enforce::RolledBack,
            enforce => enforce,
        };
        self.status.drift = done.drift.len();
        self.status.drift_lines = done.drift.iter().take(LINES_TOLD).map(ToString::to_string).collect();
    }

    fn alarms(&self) -> Vec<String> {
        let mut alarms = Vec::new();
        if let Some(error) = &self.uncut {
            alarms.push(format!("flows that the rules refuse may go on: {error}"));
        }
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

    /// What a run that did not end has left. A damaged journal is told and passed over: the way forward needs none.
    fn interrupted(&self) -> Option<Journal> {
        match Journal::read(&self.settings.paths) {
            Ok(journal) => journal,
            Err(error) => {
                tracing::error!(%error, "an interrupted change cannot be undone, only finished");
                None
            }
        }
    }

    /// Loads the last good snapshot, once. Where the copy is damaged, the spool may still have it.
    fn load_good(&mut self) -> Result<(), ServiceError> {
        let Some(digest) = self.state.good_digest()? else { return Ok(()) };
        if self.good.as_ref().is_some_and(|good| good.digest == digest) {
            return Ok(());
        }
        let Settings { paths, node, .. } = &self.settings;
        let loaded = match spool::load(&paths.kept(&digest), &digest, node) {
            Ok(loaded) => loaded,
            Err(damage) => {
                let loaded = spool::load(&paths.spooled(&digest), &digest, node).map_err(|_| damage)?;
                files::remove_folder(&paths.kept(&digest))?;
                self.state.keep(&loaded.snapshot, loaded.provenance.as_deref())?;
                loaded
            }
        };
        self.good = Some(Good { digest, desired: Rc::new(loaded.desired) });
        Ok(())
    }

    /// Loads a snapshot that is not in force; `None` while one that failed waits.
    fn load_wanted(&mut self, digest: &Sha256Hex, now: Instant) -> Result<Option<Loaded>, SpoolError> {
        match &self.held {
            Some(held) if held.digest == *digest && now < held.until => return Ok(None),
            Some(held) if held.digest != *digest => self.held = None,
            Some(_) | None => {}
        }
        spool::load(&self.settings.paths.spooled(digest), digest, &self.settings.node).map(Some)
    }

    fn hold(&mut self, digest: &Sha256Hex, why: String, now: Instant) {
        let wait = self.held.as_ref().map_or(HOLD_FIRST, |held| (held.wait * 2).min(HOLD_LONGEST));
        self.held = Some(Held { digest: digest.clone(), wait, until: now + wait, why });
    }

    /// Brings another snapshot into force.
    fn change_to(
        &mut self,
        new: Loaded,
        journal: Option<Journal>,
        now: Instant,
    ) -> Result<Done, ServiceError> {
        let began = Instant::now();
        let Loaded { snapshot, desired, provenance } = new;
        let desired = Rc::new(desired);
        (self.settings.guard)(self.settings.backend)?;
        let live = self.kernel.live().map_err(ServiceError::Read)?;
        self.skip_families(&live);
        let from = self.good.as_ref().map(|good| good.digest.clone());
        let interrupted = journal.filter(|journal| Some(&journal.to) != from.as_ref());
        let old = match (&interrupted, &self.good) {
            // What the interrupted change began from; the kernel may hold a mix by now.
            (Some(journal), _) => journal.old.clone(),
            (_, Some(good)) => Old::of_desired(&good.desired, &live),
            (_, None) => Old::of_live(&live),
        };
        let place = self.fight.place(&self.settings.config.jump, now).clone();
        let first = plan(&desired, &live, &place);
        let lines = changes::lines(&first, &desired, &live);
        let paths = self.settings.paths.clone();
        let digest = &snapshot.manifest().digest;
        self.state.keep(&snapshot, provenance.as_deref())?;
        let journal = Journal { from: from.clone(), to: digest.clone(), old };
        journal.begin(&paths)?;
        let mut stages = Stages { paths: &paths, alive: self.settings.alive };
        if self.settings.config.trial == Trial::Auto {
            stages.begins(Stage::Trial);
            if let Some(Err(error)) = self.kernel.load_elsewhere(&desired) {
                // Nothing has changed, so an interrupted change is still to be undone.
                match interrupted {
                    Some(journal) => journal.begin(&paths)?,
                    None => Journal::end(&paths)?,
                }
                let error = ServiceError::Trial(error);
                self.state.remember(Event::WentBack, digest, from.as_ref(), error.to_string());
                self.hold(digest, error.to_string(), now);
                self.status.sync = Sync::Held;
                return Err(error);
            }
        }
        let change = Change { desired: &desired, place: &place, old: Some(&journal.old) };
        let in_force = match bring(&mut self.kernel, change, &live, first, &mut stages) {
            Ok(in_force) => in_force,
            Err(error) => {
                let undone = matches!(error, ApplyError::Undone { .. });
                let event = if undone { Event::WentBack } else { Event::Failed };
                if undone {
                    Journal::end(&paths)?;
                }
                self.state.remember(event, digest, from.as_ref(), error.to_string());
                self.hold(digest, error.to_string(), now);
                self.status.sync = Sync::Held;
                return Err(error.into());
            }
        };
        stages.begins(Stage::Record);
        self.state.record_good(digest).map_err(ServiceError::Record)?;
        let before = self.provenance(from.as_ref());
        self.good = Some(Good { digest: digest.clone(), desired: Rc::clone(&desired) });
        self.held = None;
        self.status.sync = Sync::Synced;
        self.status.since = Some(Moment::now().to_string());
        let mut outcome = in_force.outcome;
        stages.begins(Stage::DestroyOrphans);
        destroy_orphans(&mut self.kernel, in_force.orphans, &mut outcome);
        stages.begins(Stage::CutFlows);
        self.cut_flows(&snapshot);
        let summary = report::summary(&outcome.steps);
        tracing::info!(digest = digest.as_str(), milliseconds = milliseconds(began), "applied: {summary}");
        let after = Provenance::of(&desired, provenance.as_deref().unwrap_or_default());
        self.audit.write(Event::Applied, digest, &lines, &before, &after);
        self.state.remember(Event::Applied, digest, from.as_ref(), summary);
        Journal::end(&paths)?;
        Ok(Done { enforce: Enforce::Enforcing, drift: Vec::new() })
    }

    /// Keeps the kernel at the last good snapshot.
    fn keep(&mut self, journal: Option<Journal>, now: Instant) -> Result<Done, ServiceError> {
        let Some(good) = &self.good else { return Ok(Done { enforce: Enforce::Nothing, drift: Vec::new() }) };
        let digest = good.digest.clone();
        let began = Instant::now();
        let live = self.kernel.live().map_err(ServiceError::Read)?;
        let place = self.fight.place(&self.settings.config.jump, now).clone();
        let plan = plan(&good.desired, &live, &place);
        tracing::debug!(milliseconds = milliseconds(began), "the kernel was read and compared");
        let lines = changes::lines(&plan, &good.desired, &live);
        let desired = Rc::clone(&good.desired);
        self.skip_families(&live);
        if plan.is_empty() && journal.is_none() {
            if self.uncut.is_some() {
                self.cut_flows_again(&digest);
            }
            return Ok(Done { enforce: Enforce::Enforcing, drift: Vec::new() });
        }
        if journal.is_none() && !plan.is_settled() {
            self.tell_drift(&lines);
            if self.settings.config.drift == Drift::Report {
                return Ok(Done { enforce: Enforce::Drifted, drift: lines });
            }
        }
        (self.settings.guard)(self.settings.backend)?;
        let paths = self.settings.paths.clone();
        let mut stages: Box<dyn Progress> = match &journal {
            Some(_) => Box::new(Stages { paths: &paths, alive: self.settings.alive }),
            None => Box::new(Alive(self.settings.alive)),
        };
        let change = Change { desired: &desired, place: &place, old: None };
        let (settled, moved) = (plan.is_settled(), moved_jump(&plan));
        let in_force = bring(&mut self.kernel, change, &live, plan, stages.as_mut())?;
        let mut outcome = in_force.outcome;
        stages.begins(Stage::DestroyOrphans);
        destroy_orphans(&mut self.kernel, in_force.orphans, &mut outcome);
        if journal.is_some() || !settled {
            stages.begins(Stage::CutFlows);
            drop(stages);
            self.cut_flows_again(&digest);
        }
        if moved && self.fight.moved(now) {
            tracing::error!("the jump in FORWARD was moved too often; its place is given up for an hour");
        }
        let known = self.provenance(Some(&digest));
        let summary = report::summary(&outcome.steps);
        match &journal {
            Some(journal) if journal.to == digest => {
                tracing::info!(digest = digest.as_str(), "an interrupted change was finished: {summary}");
                self.audit.write(Event::Applied, &digest, &lines, &known, &known);
                self.state.remember(Event::Applied, &digest, journal.from.as_ref(), summary);
            }
            Some(journal) => {
                tracing::warn!(digest = journal.to.as_str(), "an interrupted change was undone: {summary}");
                self.audit.write(Event::WentBack, &digest, &lines, &known, &known);
                self.state.remember(Event::WentBack, &journal.to, Some(&digest), summary);
            }
            None if !settled => {
                self.audit.write(Event::Healed, &digest, &lines, &known, &known);
                self.status.last_heal = Some(Heal { time: Moment::now().to_string(), lines: lines.len() });
                self.state.remember(Event::Healed, &digest, Some(&digest), summary);
            }
            None => {}
        }
        if journal.is_some() {
            Journal::end(&paths)?;
        }
        Ok(Done { enforce: Enforce::Enforcing, drift: Vec::new() })
    }

    /// There is no snapshot, but a first one may have been interrupted, and cannot be finished any more.
    fn nothing(&mut self, journal: Option<Journal>) -> Result<Done, ServiceError> {
        if let Some(journal) = journal {
            (self.settings.guard)(self.settings.backend)?;
            let live = self.kernel.live().map_err(ServiceError::Read)?;
            let place = &self.settings.config.jump;
            go_back(&mut self.kernel, &journal.old, place, &live).map_err(ServiceError::Undo)?;
            self.state.remember(
                Event::WentBack,
                &journal.to,
                None,
                "an interrupted change was undone".to_owned(),
            );
            Journal::end(&self.settings.paths)?;
        }
        Ok(Done { enforce: Enforce::Nothing, drift: Vec::new() })
    }

    fn cut_flows_again(&mut self, digest: &Sha256Hex) {
        let Settings { paths, node, .. } = &self.settings;
        match spool::load(&paths.kept(digest), digest, node) {
            Ok(loaded) => self.cut_flows(&loaded.snapshot),
            Err(error) => self.uncut = Some(error.to_string()),
        }
    }

    /// Ends the flows that a snapshot refuses. That this fails leaves old flows alive, but the rules are in force: it is
    /// an alarm, and tried again.
    fn cut_flows(&mut self, snapshot: &Joined) {
        let done = cut::cut(&mut self.kernel, &self.settings.paths, snapshot);
        self.uncut = done.err().map(|error| error.to_string());
    }

    fn tell_drift(&self, lines: &[Line]) {
        let told: Vec<String> = lines.iter().take(LINES_TOLD).map(ToString::to_string).collect();
        if self.status.drift == lines.len() && self.status.drift_lines == told {
            return;
        }
        for line in lines.iter().take(LINES_TOLD) {
            tracing::warn!(family = %line.family, "drift: {}", describe(line));
        }
        if lines.len() > LINES_TOLD {
            tracing::warn!("drift: and {} more lines", lines.len() - LINES_TOLD);
        }
    }

    fn skip_families(&mut self, live: &Live) {
        let skipped = Family::ALL.iter().filter(|family| !live.tables.contains_key(family));
        self.status.skipped = skipped.map(Family::to_string).collect();
    }

    fn provenance(&self, digest: Option<&Sha256Hex>) -> Provenance {
        let (Some(digest), Some(good)) = (digest, &self.good) else { return Provenance::default() };
        let text = files::read(&self.settings.paths.kept(digest).join("provenance.json")).ok().flatten();
        Provenance::of(&good.desired, text.as_deref().unwrap_or_default())
    }
}

fn milliseconds(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn moved_jump(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step, Step::Flip { flip, .. } if flip.edge == Edge::Moved))
}

/// What others did: the opposite of what the plan does.
fn describe(line: &Line) -> String {
    match line.sign {
        changes::Sign::Added => format!("{} is missing", line.text),
        changes::Sign::Removed => format!("{} should not be there", line.text),
    }
}

/// Writes the stages into the journal.
struct Stages<'a> {
    paths: &'a Paths,
    alive: fn(),
}

impl Progress for Stages<'_> {
    fn begins(&mut self, stage: Stage) {
        (self.alive)();
        journal::note(self.paths, stage);
    }
}

/// Only shows that there is work.
struct Alive(fn());

impl Progress for Alive {
    fn begins(&mut self, _stage: Stage) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests;
