//! Runs a plan: read, change, read back, and go back when it cannot be finished.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use chainmail_contract::{Family, SetName};
use thiserror::Error;

use crate::desired::Desired;
use crate::exit::Exit;
use crate::flip::Flip;
use crate::journal::Old;
use crate::kernel::{Kernel, KernelError};
use crate::live::Live;
use crate::place::Place;
use crate::plan::{Plan, plan};
use crate::report;
use crate::step::{Stage, Step};

/// How often a change is planned anew when another program changed the same table meanwhile. A set of a wrong type
/// takes two rounds by itself.
const ROUNDS: usize = 5;
/// How often a set that is still in use is tried to be destroyed.
const DESTROY_TRIES: usize = 5;
/// The wait between such tries. The kernel lets go of a set once the last packet has left the old rules.
const DESTROY_PAUSE: Duration = Duration::from_millis(100);

/// What the kernel is to be brought to, and what to do if it cannot be.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// What it is to hold.
    pub desired: &'a Desired,
    /// Where the jump is to stand.
    pub place: &'a Place,
    /// What to go back to. `None` where what others did is undone: the state from before is then no state to keep.
    pub old: Option<&'a Old>,
}

/// Is told what a change is at.
pub trait Progress {
    /// A stage begins.
    fn begins(&mut self, stage: Stage);

    /// The kernel was read again, and this is to be done now. A plan that is not settled undoes what others have done
    /// since the one before, or goes on from a detour.
    fn plans_again(&mut self, _plan: &Plan, _live: &Live) {}
}

/// Nobody is told.
impl Progress for () {
    fn begins(&mut self, _stage: Stage) {}
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The steps that were run, in order; none when there was nothing to change.
    pub steps: Vec<Step>,
    /// Sets that should be gone and are still in use. The next run tries again.
    pub stuck: Vec<SetName>,
}

/// A change that is verified to be in force, but for sets that nobody needs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// What was done.
    pub outcome: Outcome,
    /// The sets that nobody needs any more.
    pub orphans: Vec<SetName>,
}

/// A change that did not come about.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The kernel's state cannot be read, so nothing was changed.
    #[error("nothing was changed: {0}")]
    Read(#[source] KernelError),
    /// A step failed, and the state from before is in force.
    #[error("{step} failed, and the state from before was verified to be in force: {source}")]
    Undone {
        /// The step.
        step: String,
        /// Why it failed.
        source: Failure,
    },
    /// A step failed where there is no other state to go back to.
    #[error("{step} failed, and what others changed is only in part undone: {source}")]
    Unfinished {
        /// The step.
        step: String,
        /// Why it failed.
        source: KernelError,
    },
    /// A step failed, and so did the way back.
    #[error("{step} failed: {source}; the state from before is NOT in force: {undo}")]
    NotUndone {
        /// The step.
        step: String,
        /// Why it failed.
        source: Failure,
        /// Why the way back failed.
        undo: String,
    },
    /// The change was made, but then the kernel's state could not be read.
    #[error("the change was made but cannot be verified: {0}")]
    Unverified(#[source] KernelError),
    /// All steps succeeded, and the kernel still holds something else; there is no other state to go back to.
    #[error(transparent)]
    Unsettled(Failure),
}

/// Why a step failed.
#[derive(Debug, Error)]
pub enum Failure {
    /// A tool failed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// All steps succeeded, and the kernel holds something else.
    #[error(
        "all steps succeeded {rounds} times, but the kernel does not hold what was applied: {difference}"
    )]
    Unsettled {
        /// How often they did.
        rounds: usize,
        /// What is still to be done.
        difference: String,
    },
}

impl ApplyError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            ApplyError::Read(_) | ApplyError::Undone { .. } => Exit::OldStateInForce,
            ApplyError::Unfinished { .. }
            | ApplyError::NotUndone { .. }
            | ApplyError::Unverified(_)
            | ApplyError::Unsettled(_) => Exit::UnexpectedState,
        }
    }
}

/// Brings the kernel from `before`, which was read from it, to what is desired; `first` is the plan for that.
///
/// After the changes the state is read and planned from again. An empty plan proves the change; another one means
/// that somebody changed the same table meanwhile, and is run in turn. Where the same rules that nobody asked for are there
/// again after that, they are what the kernel makes of our text, and the change is undone at once.
///
/// # Errors
/// When a step fails, or the kernel does not come to hold what is desired (then the old state is restored).
pub fn bring(
    kernel: &mut dyn Kernel,
    change: Change<'_>,
    before: &Live,
    first: Plan,
    progress: &mut dyn Progress,
) -> Result<InForce, ApplyError> {
    let mut outcome = Outcome::default();
    let mut now = Cow::Borrowed(before);
    let mut next = first;
    let mut unasked: Vec<String> = Vec::new();
    let mut round = 0;
    loop {
        round += 1;
        let settled = next.is_settled();
        let found = if round == 1 { Vec::new() } else { rules_to_remove(&next) };
        let again = !found.is_empty() && found == unasked;
        if !settled && (round > ROUNDS || again) {
            let difference = report::difference(&next.steps);
            let failure = Failure::Unsettled { rounds: round - 1, difference };
            return Err(undone(kernel, change, &now, "reading back".to_owned(), failure));
        }
        unasked = found;
        let orphans = next.orphans().to_vec();
        match run(kernel, next, &mut outcome, progress) {
            Ok(()) if settled => return Ok(InForce { outcome, orphans }),
            Ok(()) => {
                // Sets of before that nothing is to refer to any more only matter in being there.
                let before = now.sets.iter().filter(|(name, _)| !change.desired.sets.contains_key(*name));
                let passed_by = before.map(|(name, set)| (name.clone(), Rc::clone(set))).collect();
                now = Cow::Owned(kernel.live_but(passed_by).map_err(ApplyError::Unverified)?);
            }
            Err(failed) => {
                let (step, source) = *failed;
                match kernel.live() {
                    Ok(seen) if round < ROUNDS && overtaken(&step, &now, &seen) => {
                        tracing::warn!(error = %source, "another program changed the table meanwhile; planning anew");
                        now = Cow::Owned(seen);
                    }
                    seen => return Err(step_failed(kernel, change, seen, &step, source)),
                }
            }
        }
        next = plan(change.desired, &now, change.place);
        progress.plans_again(&next, &now);
    }
}

/// The rules in chains of ours that a plan takes away.
fn rules_to_remove(plan: &Plan) -> Vec<String> {
    let removed = plan.steps.iter().filter_map(|step| match step {
        Step::Flip { flip, .. } => Some(&flip.removed),
        Step::ClearLeftovers { .. }
        | Step::CreateSets { .. }
        | Step::HealSets { .. }
        | Step::ReadBack
        | Step::DestroyOrphans { .. } => None,
    });
    removed.flatten().cloned().collect()
}

/// A step failed, and `seen` is what the kernel holds now.
fn step_failed(
    kernel: &mut dyn Kernel,
    change: Change<'_>,
    seen: Result<Live, KernelError>,
    step: &Step,
    source: KernelError,
) -> ApplyError {
    let step = report::name(step);
    match (seen, change.old) {
        (_, None) => ApplyError::Unfinished { step, source },
        (Ok(seen), Some(_)) => undone(kernel, change, &seen, step, source.into()),
        (Err(undo), Some(_)) => ApplyError::NotUndone { step, source: source.into(), undo: undo.to_string() },
    }
}

/// Goes back from what the kernel holds `now`, where there is a state to go back to.
fn undone(
    kernel: &mut dyn Kernel,
    change: Change<'_>,
    now: &Live,
    step: String,
    source: Failure,
) -> ApplyError {
    let Some(old) = change.old else { return ApplyError::Unsettled(source) };
    match go_back(kernel, old, change.place, now) {
        Ok(()) => ApplyError::Undone { step, source },
        Err(undo) => ApplyError::NotUndone { step, source, undo },
    }
}

/// Brings the kernel to what is desired, and takes away what nobody needs any more.
///
/// # Errors
/// As [`bring`].
pub fn apply(kernel: &mut dyn Kernel, change: Change<'_>, before: &Live) -> Result<Outcome, ApplyError> {
    let first = plan(change.desired, before, change.place);
    let InForce { mut outcome, orphans } = bring(kernel, change, before, first, &mut ())?;
    destroy_orphans(kernel, orphans, &mut outcome);
    Ok(outcome)
}

/// Destroys the sets that nobody needs any more.
pub fn destroy_orphans(kernel: &mut dyn Kernel, orphans: Vec<SetName>, outcome: &mut Outcome) {
    if !orphans.is_empty() {
        outcome.stuck.extend(destroy(kernel, &orphans));
        outcome.steps.push(Step::DestroyOrphans { names: orphans });
    }
}

/// Runs the steps up to the read-back, which is the caller's.
fn run(
    kernel: &mut dyn Kernel,
    plan: Plan,
    outcome: &mut Outcome,
    progress: &mut dyn Progress,
) -> Result<(), Box<(Step, KernelError)>> {
    for step in plan.steps.into_iter().filter(|step| !matches!(step, Step::DestroyOrphans { .. })) {
        progress.begins(Stage::of(&step));
        let done = match &step {
            Step::ClearLeftovers { names } => {
                outcome.stuck.extend(destroy(kernel, names));
                Ok(())
            }
            Step::CreateSets { text, .. } | Step::HealSets { text, .. } => kernel.restore_sets(text),
            Step::Flip { family, flip } => kernel.restore_rules(*family, &flip.text).inspect(|()| {
                tracing::info!(%family, added = flip.added.len(), removed = flip.removed.len(), "rules changed");
                for rule in &flip.removed {
                    tracing::debug!(%family, "- {rule}");
                }
                for rule in &flip.added {
                    tracing::debug!(%family, "+ {rule}");
                }
            }),
            Step::ReadBack | Step::DestroyOrphans { .. } => Ok(()),
        };
        match done {
            Ok(()) => outcome.steps.push(step),
            Err(error) => return Err(Box::new((step, error))),
        }
    }
    Ok(())
}

/// Whether a flip failed because the table is no longer the one that it was made for.
fn overtaken(step: &Step, planned_on: &Live, seen: &Live) -> bool {
    match step {
        Step::Flip { family, .. } => planned_on.tables.get(family) != seen.tables.get(family),
        Step::ClearLeftovers { .. }
        | Step::CreateSets { .. }
        | Step::HealSets { .. }
        | Step::ReadBack
        | Step::DestroyOrphans { .. } => false,
    }
}

/// Puts the families that were changed back, then takes away the sets that came, and verifies.
///
/// # Errors
/// When the old state is not in force: why.
pub fn go_back(kernel: &mut dyn Kernel, old: &Old, place: &Place, now: &Live) -> Result<(), String> {
    for (family, flip) in way_back(old, place, now) {
        kernel.restore_rules(family, &flip.text).map_err(|error| error.to_string())?;
    }
    let new_sets: Vec<_> = now.sets.keys().filter(|name| !old.sets.contains(name)).cloned().collect();
    for name in destroy(kernel, &new_sets) {
        tracing::warn!(set = %name, "a set of the failed change stays for now");
    }
    let after = kernel.live().map_err(|error| error.to_string())?;
    if way_back(old, place, &after).is_empty() {
        Ok(())
    } else {
        Err("the rules are not the ones from before".to_owned())
    }
}

fn way_back(old: &Old, place: &Place, now: &Live) -> Vec<(Family, Flip)> {
    let flip = |(&family, table)| Some((family, Flip::between(now.tables.get(&family)?, table, place)?));
    old.tables.iter().filter_map(flip).collect()
}

/// Destroys sets, and returns those that stay. Rules are in order by now, so this is no reason to fail.
///
/// All are destroyed in one call of the tool. It stops at the first that is still in use, so those that are left then go
/// one by one.
pub(crate) fn destroy(kernel: &mut dyn Kernel, names: &[SetName]) -> Vec<SetName> {
    let text: String = names.iter().map(|name| format!("destroy {name}\n")).collect();
    if names.len() > 1 && kernel.restore_sets(&text).is_ok() {
        return Vec::new();
    }
    let mut stuck = names.to_vec();
    if names.len() > 1
        && let Ok(left) = kernel.sets()
    {
        stuck.retain(|name| left.contains_key(name));
    }
    for attempt in 1..=DESTROY_TRIES {
        stuck.retain(|name| match kernel.destroy_set(name) {
            Ok(()) => false,
            Err(error) => {
                if attempt == DESTROY_TRIES {
                    tracing::warn!(set = %name, %error, "a set that is not needed any more stays");
                }
                true
            }
        });
        if stuck.is_empty() {
            break;
        }
        if attempt < DESTROY_TRIES {
            kernel.pause(DESTROY_PAUSE);
        }
    }
    stuck
}

#[cfg(test)]
mod tests;
