//! Keeps the kernel at the snapshot in force, whatever others do to it.

use std::rc::Rc;
use std::time::Instant;

use super::watch::Watch;
use super::{Done, Good, LINES_TOLD, Seen, Service, ServiceError, milliseconds};
use crate::apply::{Change, Progress as _, bring, destroy_orphans, go_back};
use crate::changes::{self, Line, Sign};
use crate::config::Drift;
use crate::flip::Edge;
use crate::journal::Journal;
use crate::kernel::Kernel;
use crate::plan::{Plan, plan};
use crate::report;
use crate::state::Event;
use crate::status::{Enforce, Heal};
use crate::step::{Stage, Step};

impl<K: Kernel> Service<K> {
    /// Keeps the kernel at the snapshot in force. As long as that one waits to be confirmed, what the last good one needs
    /// stays.
    pub(super) fn keep(&mut self, journal: Option<Journal>, now: Instant) -> Result<Done, ServiceError> {
        let Some((digest, desired)) = self.in_force() else {
            return Ok(Done { enforce: Enforce::Nothing, drift: Vec::new() });
        };
        let (digest, desired) = (digest.clone(), Rc::clone(desired));
        let waits = self.awaited.is_some();
        let began = Instant::now();
        let live = self.kernel.live().map_err(ServiceError::Read)?;
        let place = self.fight.place(&self.settings.config.jump, now).clone();
        let plan = plan(&desired, &live, &place);
        let plan = if waits { plan.without_orphans() } else { plan };
        tracing::debug!(milliseconds = milliseconds(began), "the kernel was read and compared");
        let mut lines = changes::lines(&plan, &desired, &live);
        self.note_limits(&desired, &live);
        if plan.is_empty() && journal.is_none() {
            if self.uncut.is_some() && !waits && !self.good.as_ref().is_some_and(Good::is_closed) {
                self.cut_flows_again(&digest);
            }
            self.seen = Seen::Unchanged { at: Instant::now(), live };
            return Ok(Done { enforce: Enforce::Enforcing, drift: Vec::new() });
        }
        if journal.is_none() && !plan.is_settled() {
            let news = self.is_news(&lines);
            if news {
                tell_drift(&lines);
            }
            if self.settings.config.drift == Drift::Report {
                if news {
                    let known = self.provenance(Some(&digest));
                    self.audit.write(Event::Drifted, &digest, &lines, &known, &known);
                    self.state.remember(Event::Drifted, &digest, Some(&digest), report::summary(&plan.steps));
                }
                self.seen = Seen::Unchanged { at: Instant::now(), live };
                return Ok(Done { enforce: Enforce::Drifted, drift: lines });
            }
        }
        (self.settings.guard)(self.settings.backend)?;
        let paths = self.settings.paths.clone();
        let journalled = journal.is_some().then_some(&paths);
        let alive = self.settings.alive;
        let mut watch = Watch { journal: journalled, alive, desired: &desired, late: Vec::new() };
        let change = Change { desired: &desired, place: &place, old: None };
        let (settled, moved) = (plan.is_settled(), moved_jump(&plan));
        let in_force = bring(&mut self.kernel, change, &live, plan, &mut watch)?;
        tell_drift(&watch.late);
        lines.append(&mut watch.late);
        let mut outcome = in_force.outcome;
        if !waits {
            watch.begins(Stage::DestroyOrphans);
            destroy_orphans(&mut self.kernel, in_force.orphans, &mut outcome);
            if (journal.is_some() || !settled) && !self.good.as_ref().is_some_and(Good::is_closed) {
                watch.begins(Stage::CutFlows);
                self.cut_flows_again(&digest);
            }
        }
        if moved && self.fight.moved(now) {
            tracing::error!("the jump in FORWARD was moved too often; its place is given up for an hour");
        }
        let known = self.provenance(Some(&digest));
        let summary = report::summary(&outcome.steps);
        match &journal {
            Some(journal) if journal.to == digest && journal.awaits.is_some() => {
                tracing::info!(digest = digest.as_str(), "confirmed: {summary}");
                if !settled {
                    self.audit.write(Event::Healed, &digest, &lines, &known, &known);
                }
                self.state.remember(Event::Confirmed, &digest, journal.from.as_ref(), summary);
            }
            Some(journal) if journal.to == digest => {
                tracing::info!(digest = digest.as_str(), "an interrupted change was finished: {summary}");
                self.audit.write(Event::Applied, &digest, &lines, &known, &known);
                self.state.remember(Event::Applied, &digest, journal.from.as_ref(), summary);
            }
            Some(journal) => {
                let (event, why) = self.why_back(journal);
                tracing::warn!(digest = journal.to.as_str(), "{why}: {summary}");
                let gone = self.provenance_of_kept(&journal.to);
                self.audit.write(event, &digest, &lines, &gone, &known);
                self.state.remember(event, &journal.to, Some(&digest), format!("{why}: {summary}"));
            }
            None if !settled => {
                self.audit.write(Event::Healed, &digest, &lines, &known, &known);
                self.status.last_heal = Some(Heal { time: self.date(), lines: lines.len() });
                self.state.remember(Event::Healed, &digest, Some(&digest), summary);
            }
            None => {}
        }
        if journal.is_some() {
            Journal::end(&paths)?;
        }
        self.seen = Seen::Changed;
        Ok(Done { enforce: Enforce::Enforcing, drift: Vec::new() })
    }

    /// There is no snapshot, but a first one may have been interrupted, and cannot be finished any more.
    pub(super) fn nothing(&mut self, journal: Option<Journal>) -> Result<Done, ServiceError> {
        if let Some(journal) = journal {
            (self.settings.guard)(self.settings.backend)?;
            let live = self.kernel.live().map_err(ServiceError::Read)?;
            let place = &self.settings.config.jump;
            go_back(&mut self.kernel, &journal.old, place, &live).map_err(ServiceError::Undo)?;
            let (event, why) = self.why_back(&journal);
            tracing::warn!(digest = journal.to.as_str(), "{why}");
            self.state.remember(event, &journal.to, None, why);
            Journal::end(&self.settings.paths)?;
        }
        Ok(Done { enforce: Enforce::Nothing, drift: Vec::new() })
    }

    /// Why a change did not stay: what a history calls it, and in words.
    fn why_back(&self, journal: &Journal) -> (Event, String) {
        let since = journal.awaits.as_ref().map(|awaits| &awaits.since);
        match &self.setback {
            Some(setback) if since == Some(&setback.since) => (setback.event(), setback.reason.clone()),
            Some(_) | None => (Event::WentBack, "an interrupted change was undone".to_owned()),
        }
    }

    /// Whether drift is other than the last look found.
    fn is_news(&self, lines: &[Line]) -> bool {
        let told: Vec<String> = lines.iter().take(LINES_TOLD).map(ToString::to_string).collect();
        self.status.drift != lines.len() || self.status.drift_lines != told
    }
}

fn tell_drift(lines: &[Line]) {
    for line in lines.iter().take(LINES_TOLD) {
        tracing::warn!(family = %line.family, "drift: {}", describe(line));
    }
    if lines.len() > LINES_TOLD {
        tracing::warn!("drift: and {} more lines", lines.len() - LINES_TOLD);
    }
}

fn moved_jump(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step, Step::Flip { flip, .. } if flip.edge == Edge::Moved))
}

/// What others did: the opposite of what the plan does.
fn describe(line: &Line) -> String {
    match line.sign {
        Sign::Added => format!("{} is missing", line.text),
        Sign::Removed => format!("{} should not be there", line.text),
    }
}
