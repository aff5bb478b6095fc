//! Brings another snapshot into force.

use std::rc::Rc;
use std::time::Instant;

use super::watch::Watch;
use super::{Done, Good, Seen, Service, ServiceError, milliseconds};
use crate::apply::{ApplyError, Change, Progress as _, bring, destroy_orphans};
use crate::changes;
use crate::config::Trial;
use crate::journal::{Journal, Old};
use crate::kernel::Kernel;
use crate::plan::plan;
use crate::provenance::Provenance;
use crate::report;
use crate::spool::Loaded;
use crate::state::Event;
use crate::status::{Enforce, Sync};
use crate::step::Stage;

impl<K: Kernel> Service<K> {
    /// Brings another snapshot into force.
    pub(super) fn change_to(
        &mut self,
        new: Loaded,
        journal: Option<Journal>,
        now: Instant,
    ) -> Result<Done, ServiceError> {
        let began = Instant::now();
        let Loaded { snapshot, desired, provenance } = new;
        let desired = Rc::new(desired);
        (self.settings.guard)(self.settings.backend)?;
        let live = match self.take_look() {
            Some(live) => live,
            None => self.kernel.live().map_err(ServiceError::Read)?,
        };
        self.note_limits(&desired, &live);
        let from = self.in_force().map(|(digest, _)| digest.clone());
        let awaited = self.awaited.as_ref().map(|awaited| awaited.journal.clone());
        let before = awaited.as_ref().and_then(|journal| journal.awaits.clone());
        // One that waits is no state to go back to.
        let interrupted = awaited.or_else(|| journal.filter(|journal| Some(&journal.to) != from.as_ref()));
        let old = match (&interrupted, &self.good) {
            // What the interrupted change began from; the kernel may hold a mix by now.
            (Some(journal), _) => journal.old.clone(),
            (_, Some(good)) => Old::of_desired(&good.desired, &live),
            (_, None) => Old::of_live(&live),
        };
        let place = self.fight.place(&self.settings.config.jump, now).clone();
        let first = plan(&desired, &live, &place);
        let mut lines = changes::lines(&first, &desired, &live);
        let paths = self.settings.paths.clone();
        let digest = &snapshot.manifest().digest;
        self.state.keep(&snapshot, provenance.as_deref())?;
        let journal = Journal { from: from.clone(), to: digest.clone(), old, awaits: None };
        journal.begin(&paths)?;
        let alive = self.settings.alive;
        let mut watch = Watch { journal: Some(&paths), alive, desired: &desired, late: Vec::new() };
        if self.settings.config.trial == Trial::Auto {
            watch.begins(Stage::Trial);
            if let Some(Err(error)) = self.kernel.load_elsewhere(&desired) {
                // Nothing has changed, so an interrupted change is still to be undone.
                match interrupted {
                    Some(journal) => journal.begin(&paths)?,
                    None => Journal::end(&paths)?,
                }
                let error = ServiceError::Trial(error);
                self.state.remember(Event::WentBack, digest, from.as_ref(), error.to_string());
                self.hold.failed(digest, error.to_string(), now);
                self.status.sync = Sync::Held;
                return Err(error);
            }
        }
        let change = Change { desired: &desired, place: &place, old: Some(&journal.old) };
        let in_force = match bring(&mut self.kernel, change, &live, first, &mut watch) {
            Ok(in_force) => in_force,
            Err(error) => {
                self.awaited = None;
                let undone = matches!(error, ApplyError::Undone { .. });
                let event = if undone { Event::WentBack } else { Event::Failed };
                if undone {
                    Journal::end(&paths)?;
                }
                self.state.remember(event, digest, from.as_ref(), error.to_string());
                self.hold.failed(digest, error.to_string(), now);
                self.status.sync = Sync::Held;
                return Err(error.into());
            }
        };
        self.seen = Seen::Changed;
        let after = Provenance::of(&desired, provenance.as_deref().unwrap_or_default());
        lines.append(&mut watch.late);
        self.status.since = Some(self.date());
        self.hold.release();
        if self.needs_confirmation(digest) {
            let known = self.provenance(from.as_ref());
            self.begin_waiting(journal, Rc::clone(&desired), before, now)?;
            let summary = report::summary(&in_force.outcome.steps);
            tracing::info!(digest = digest.as_str(), "applied, and waits to be confirmed: {summary}");
            self.audit.write(Event::Applied, digest, &lines, &known, &after);
            self.state.remember(Event::Applied, digest, from.as_ref(), format!("{summary}; to be confirmed"));
            return Ok(Done { enforce: Enforce::Enforcing, drift: Vec::new() });
        }
        watch.begins(Stage::Record);
        self.state.record_good(digest, &desired).map_err(ServiceError::Record)?;
        let known = self.provenance(from.as_ref());
        self.awaited = None;
        self.good = Some(Good::named(digest.clone(), Rc::clone(&desired)));
        self.take_word_up(digest);
        // A person may have chosen another one than fetch wants.
        let wanted = self.status.desired.as_ref() == Some(digest);
        self.status.sync = if wanted { Sync::Synced } else { Sync::Held };
        let mut outcome = in_force.outcome;
        watch.begins(Stage::DestroyOrphans);
        destroy_orphans(&mut self.kernel, in_force.orphans, &mut outcome);
        watch.begins(Stage::CutFlows);
        self.cut_flows(&snapshot);
        let summary = report::summary(&outcome.steps);
        tracing::info!(digest = digest.as_str(), milliseconds = milliseconds(began), "applied: {summary}");
        self.audit.write(Event::Applied, digest, &lines, &known, &after);
        self.state.remember(Event::Applied, digest, from.as_ref(), summary);
        Journal::end(&paths)?;
        Ok(Done { enforce: Enforce::Enforcing, drift: Vec::new() })
    }
}
