//! Runs a plan: read, change, read back, and go back when it cannot be finished.

use std::time::Duration;

use chainmail_snapshot::{Family, SetName};
use thiserror::Error;

use crate::desired::{Desired, DesiredTable};
use crate::exit::Exit;
use crate::flip::Flip;
use crate::kernel::{Kernel, KernelError};
use crate::live::Live;
use crate::plan::{Plan, PlanError, plan};
use crate::report;
use crate::step::Step;

/// How often a change is planned anew when another program changed the same table meanwhile.
const ROUNDS: usize = 3;
/// How often a set that is still in use is tried to be destroyed.
const DESTROY_TRIES: usize = 5;
/// The wait between such tries. The kernel lets go of a set once the last packet has left the old rules.
const DESTROY_PAUSE: Duration = Duration::from_millis(100);

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The steps that were run, in order; none when there was nothing to change.
    pub steps: Vec<Step>,
    /// Sets that should be gone and are still in use. The next run tries again.
    pub stuck: Vec<SetName>,
}

/// A change that did not come about.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The kernel's state cannot be read, so nothing was changed.
    #[error("nothing was changed: {0}")]
    Read(#[source] KernelError),
    /// There is no way from what the kernel holds, so nothing was changed.
    #[error("nothing was changed: {0}")]
    Plan(#[from] PlanError),
    /// A step failed, and the state from before is in force.
    #[error("{step} failed, and the state from before was verified to be in force: {source}")]
    Undone {
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
        source: KernelError,
        /// Why the way back failed.
        undo: String,
    },
    /// The change was made, but then the kernel's state could not be read.
    #[error("the change was made but cannot be verified: {0}")]
    Unverified(#[source] KernelError),
    /// All steps succeeded, and the kernel still holds something else.
    #[error(
        "all steps succeeded {ROUNDS} times, but the kernel does not hold what was applied: {difference}"
    )]
    Unsettled {
        /// What is still to be done.
        difference: String,
    },
}

impl ApplyError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            ApplyError::Read(_) | ApplyError::Plan(_) | ApplyError::Undone { .. } => Exit::OldStateInForce,
            ApplyError::NotUndone { .. } | ApplyError::Unverified(_) | ApplyError::Unsettled { .. } => {
                Exit::UnexpectedState
            }
        }
    }
}

/// Brings the kernel from `before`, which was read from it, to `desired`.
///
/// After the changes the state is read and planned from again. An empty plan proves the change; another one means
/// that somebody changed the same table meanwhile, and is run in turn.
///
/// # Errors
/// When a step fails (then the state from before is restored), or the kernel does not come to hold `desired`.
pub fn apply(kernel: &mut dyn Kernel, desired: &Desired, before: &Live) -> Result<Outcome, ApplyError> {
    let mut outcome = Outcome::default();
    let mut now = before.clone();
    for round in 1.. {
        let plan = plan(desired, &now)?;
        if round > ROUNDS && !plan.is_settled() {
            return Err(ApplyError::Unsettled { difference: report::difference(&plan.steps) });
        }
        match run(kernel, &plan, &mut outcome) {
            Ok(()) if plan.is_settled() => break,
            Ok(()) => now = kernel.live().map_err(ApplyError::Unverified)?,
            Err((step, source)) => match kernel.live() {
                Ok(seen) if round < ROUNDS && overtaken(step, &now, &seen) => {
                    tracing::warn!(error = %source, "another program changed the table meanwhile; planning anew");
                    now = seen;
                }
                Ok(seen) => return Err(go_back(kernel, before, &seen, step, source)),
                Err(undo) => return Err(not_undone(step, source, undo.to_string())),
            },
        }
    }
    Ok(outcome)
}

/// Runs the steps up to the read-back.
fn run<'a>(
    kernel: &mut dyn Kernel,
    plan: &'a Plan,
    outcome: &mut Outcome,
) -> Result<(), (&'a Step, KernelError)> {
    for step in &plan.steps {
        match step {
            Step::ClearLeftovers { names } | Step::DestroyOrphans { names } => {
                outcome.stuck.extend(destroy(kernel, names));
            }
            Step::CreateSets { text, .. } | Step::HealSets { text, .. } => {
                kernel.restore_sets(text).map_err(|error| (step, error))?;
            }
            Step::Flip { family, flip } => {
                kernel.restore_rules(*family, &flip.text).map_err(|error| (step, error))?;
                tracing::info!(%family, added = flip.added.len(), removed = flip.removed.len(), "rules changed");
                for rule in &flip.removed {
                    tracing::debug!(%family, "- {rule}");
                }
                for rule in &flip.added {
                    tracing::debug!(%family, "+ {rule}");
                }
            }
            Step::ReadBack => {}
        }
        outcome.steps.push(step.clone());
        if *step == Step::ReadBack {
            break;
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

/// Puts the families that were already changed back, then takes away the sets that came, and verifies.
fn go_back(
    kernel: &mut dyn Kernel,
    before: &Live,
    now: &Live,
    step: &Step,
    source: KernelError,
) -> ApplyError {
    for (family, flip) in way_back(before, now) {
        if let Err(undo) = kernel.restore_rules(family, &flip.text) {
            return not_undone(step, source, undo.to_string());
        }
    }
    let new_sets: Vec<_> = now.sets.keys().filter(|name| !before.sets.contains_key(name)).cloned().collect();
    for name in destroy(kernel, &new_sets) {
        tracing::warn!(set = %name, "a set of the failed change stays for now");
    }
    match kernel.live() {
        Err(undo) => not_undone(step, source, undo.to_string()),
        Ok(after) if !way_back(before, &after).is_empty() => {
            not_undone(step, source, "the rules are not the ones from before".to_owned())
        }
        Ok(_) => ApplyError::Undone { step: report::name(step), source },
    }
}

fn way_back(before: &Live, now: &Live) -> Vec<(Family, Flip)> {
    let differ = before.tables.iter().filter(|&(family, table)| now.tables.get(family) != Some(table));
    differ
        .filter_map(|(&family, table)| {
            let now = now.tables.get(&family)?;
            Some((family, Flip::between(now, &DesiredTable::of_live(table))?))
        })
        .collect()
}

fn not_undone(step: &Step, source: KernelError, undo: String) -> ApplyError {
    ApplyError::NotUndone { step: report::name(step), source, undo }
}

/// Destroys sets, and returns those that stay. Rules are in order by now, so this is no reason to fail.
pub(crate) fn destroy(kernel: &mut dyn Kernel, names: &[SetName]) -> Vec<SetName> {
    let mut stuck = names.to_vec();
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
