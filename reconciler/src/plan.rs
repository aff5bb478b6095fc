//! Compares what the kernel holds with what it is to hold. Pure: the same two states give the same plan.

use std::fmt::Write as _;

use chainmail_snapshot::{Family, SetName, is_cut_set};
use thiserror::Error;

use crate::desired::{Desired, DesiredTable};
use crate::flip::Flip;
use crate::live::{Live, LiveSet};
use crate::set::{DesiredSet, Members, Shape, family_of, is_temporary, temporary_name};
use crate::step::Step;

/// What is to be done, in order; empty when the kernel already holds what it should.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in the order that [`Step`] gives.
    pub steps: Vec<Step>,
}

/// A state from which no plan leads to the wanted one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// A set cannot be swapped with one of another type, and one that rules refer to cannot be destroyed.
    #[error(
        "set {name} exists as {found}, but must be {wanted}; destroy it by hand, or with `chainmaild uninstall` \
         when rules of ours refer to it"
    )]
    Shape {
        /// The set.
        name: SetName,
        /// What it is.
        found: Box<Shape>,
        /// What its name stands for.
        wanted: Box<Shape>,
    },
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether rules and sets are as they should be, apart from sets that wait for their destruction.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.steps.contains(&Step::ReadBack)
    }

    /// Sets that no rule of ours needs any more.
    #[must_use]
    pub fn orphans(&self) -> &[SetName] {
        let orphans = self.steps.iter().find_map(|step| match step {
            Step::DestroyOrphans { names } => Some(names.as_slice()),
            Step::ClearLeftovers { .. }
            | Step::CreateSets { .. }
            | Step::HealSets { .. }
            | Step::Flip { .. }
            | Step::ReadBack => None,
        });
        orphans.unwrap_or_default()
    }
}

/// Plans the way from `live` to `desired`. A family that the kernel does not have is passed by, with its sets.
///
/// # Errors
/// When a set has a type that its name does not stand for.
pub fn plan(desired: &Desired, live: &Live) -> Result<Plan, PlanError> {
    let mut steps = Vec::new();
    let wanted = || desired.sets.iter().filter(|(name, _)| live.tables.contains_key(&family_of(name)));
    let mut temporary = Temporary { live, next: 0 };
    let (mut missing, mut create) = (Vec::new(), String::new());
    let (mut wrong, mut heal) = (Vec::new(), String::new());
    for (name, set) in wanted() {
        match live.sets.get(name) {
            None => {
                let filling = temporary.free_name(name);
                set.write_create(&filling, &mut create);
                writeln!(create, "rename {filling} {name}").expect("a String takes all");
                missing.push(name.clone());
            }
            Some(found) if found.shape != set.shape => {
                let (found, wanted) = (Box::new(found.shape.clone()), Box::new(set.shape.clone()));
                return Err(PlanError::Shape { name: name.clone(), found, wanted });
            }
            Some(found) if !holds(found, set) => {
                let filling = temporary.free_name(name);
                set.write_create(&filling, &mut heal);
                writeln!(heal, "swap {filling} {name}\ndestroy {filling}").expect("a String takes all");
                wrong.push(name.clone());
            }
            Some(_) => {}
        }
    }
    let leftovers: Vec<_> = live.sets.keys().filter(|name| is_temporary(name)).cloned().collect();
    let orphans: Vec<_> = live
        .sets
        .keys()
        .filter(|name| !desired.sets.contains_key(name) && !is_cut_set(name) && !is_temporary(name))
        .cloned()
        .collect();

    if !leftovers.is_empty() {
        steps.push(Step::ClearLeftovers { names: leftovers });
    }
    let before = steps.len();
    if !missing.is_empty() {
        steps.push(Step::CreateSets { names: missing, text: create });
    }
    if !wrong.is_empty() {
        steps.push(Step::HealSets { names: wrong, text: heal });
    }
    let none = DesiredTable::default();
    for family in Family::ALL {
        let Some(table) = live.tables.get(&family) else { continue };
        let wanted = desired.tables.get(&family).unwrap_or(&none);
        steps.extend(Flip::between(table, wanted).map(|flip| Step::Flip { family, flip }));
    }
    if steps.len() > before {
        steps.push(Step::ReadBack);
    }
    if !orphans.is_empty() {
        steps.push(Step::DestroyOrphans { names: orphans });
    }
    Ok(Plan { steps })
}

fn holds(live: &LiveSet, desired: &DesiredSet) -> bool {
    match &desired.members {
        Members::Exactly(members) => live.members == *members && live.others.is_empty(),
        Members::Kept => true,
    }
}

/// Hands out names for sets that are being filled: a leftover that something keeps busy is in nobody's way.
struct Temporary<'a> {
    live: &'a Live,
    next: usize,
}

impl Temporary<'_> {
    fn free_name(&mut self, of: &SetName) -> SetName {
        loop {
            let name = temporary_name(family_of(of), self.next);
            self.next += 1;
            if !self.live.sets.contains_key(&name) {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests;
