//! Compares what the kernel holds with what it is to hold. Pure: the same two states give the same plan.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chainmail_contract::{Family, SetName, is_cut_set};

use crate::desired::{Desired, DesiredTable};
use crate::flip::Flip;
use crate::live::{Live, LiveSet};
use crate::place::Place;
use crate::set::{DesiredSet, Members, family_of, is_temporary, salted_name, temporary_name};
use crate::step::Step;

/// What is to be done, in order; empty when the kernel already holds what it should.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in the order that [`Step`] gives.
    pub steps: Vec<Step>,
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

    /// The same, but sets that no rule needs stay.
    #[must_use]
    pub fn without_orphans(mut self) -> Self {
        self.steps.retain(|step| !matches!(step, Step::DestroyOrphans { .. }));
        self
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
/// A set that exists with another type can be neither swapped nor, while rules refer to it, destroyed. The plan then
/// leads to the same rules with that set under another name; the plan after it, made from what the kernel then holds,
/// destroys the wrong set and leads back to its own name.
#[must_use]
pub fn plan(desired: &Desired, live: &Live, place: &Place) -> Plan {
    let mistyped: BTreeSet<&SetName> = desired
        .sets
        .iter()
        .filter(|(name, set)| live.sets.get(*name).is_some_and(|found| found.shape != set.shape))
        .map(|(name, _)| name)
        .collect();
    let (in_use, free): (Vec<_>, Vec<_>) = mistyped.into_iter().partition(|name| live.refers_to(name));
    let desired =
        if in_use.is_empty() { Cow::Borrowed(desired) } else { Cow::Owned(detour(desired, live, &in_use)) };
    let mut steps = Vec::new();
    let wanted = || desired.sets.iter().filter(|(name, _)| live.tables.contains_key(&family_of(name)));
    let mut temporary = Temporary { live, next: 0 };
    let (mut missing, mut create) = (Vec::new(), String::new());
    let (mut wrong, mut heal) = (Vec::new(), String::new());
    for (name, set) in wanted() {
        match live.sets.get(name).filter(|_| !free.contains(&name)) {
            None => {
                let filling = temporary.free_name(name);
                set.write_create(&filling, &mut create);
                writeln!(create, "rename {filling} {name}").expect("a String takes all");
                missing.push(name.clone());
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
    let leftovers: Vec<_> =
        live.sets.keys().filter(|name| is_temporary(name) || free.contains(name)).cloned().collect();
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
        steps.extend(Flip::between(table, wanted, place).map(|flip| Step::Flip { family, flip }));
    }
    if steps.len() > before {
        steps.push(Step::ReadBack);
    }
    if !orphans.is_empty() {
        steps.push(Step::DestroyOrphans { names: orphans });
    }
    Plan { steps }
}

/// The same rules with some of their sets under names that are free, or hold the same already.
fn detour(desired: &Desired, live: &Live, in_use: &[&SetName]) -> Desired {
    let mut detour = desired.clone();
    let mut names = BTreeMap::new();
    for &name in in_use {
        let Some(set) = detour.sets.remove(name) else { continue };
        let fits = |salted: &SetName| live.sets.get(salted).is_none_or(|found| holds(found, &set));
        let salted = (0..=u16::MAX)
            .map(|salt| salted_name(name, salt))
            .find(fits)
            .expect("a kernel holds 65,472 sets");
        names.insert(name, salted.clone());
        detour.sets.insert(salted, set);
    }
    for rule in detour.tables.values_mut().flat_map(|table| table.chains.values_mut().flatten()) {
        let asked = rule.set();
        if let Some((old, new)) = names.iter().find(|(old, _)| asked.as_deref() == Some(old.as_str())) {
            *rule = rule.asking(old, new);
        }
    }
    detour
}

fn holds(live: &LiveSet, desired: &DesiredSet) -> bool {
    live.shape == desired.shape
        && match &desired.members {
            Members::Exactly { list, .. } => live.members == *list && live.others.is_empty(),
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
