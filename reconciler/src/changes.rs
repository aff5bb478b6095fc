//! A plan as the exact lines that come and go, for people and for the audit log.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use chainmail_contract::{FORWARD_CHAIN, Family, SetName};

use crate::desired::Desired;
use crate::flip::Edge;
use crate::live::{Live, LiveSet};
use crate::members::MemberList;
use crate::plan::Plan;
use crate::set::{Members, family_of, is_temporary};
use crate::step::Step;

/// Whether a line comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// The kernel lacks it.
    Added,
    /// The kernel has it and should not.
    Removed,
}

/// One line that comes or goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The family that it is of.
    pub family: Family,
    /// Whether it comes or goes.
    pub sign: Sign,
    /// The line, as `iptables-restore` and `ipset restore` read it.
    pub text: String,
    /// The set that a member comes to under a new name: where it differs from an old set by few members, the two are
    /// compared, and not each member told twice.
    pub instead_of: Option<SetName>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.sign {
            Sign::Added => '+',
            Sign::Removed => '-',
        };
        write!(f, "{sign} {} {}", self.family, self.text)?;
        self.instead_of.iter().try_for_each(|old| write!(f, "  # compared with {old}"))
    }
}

/// The lines of a plan that was made from `live` to `desired`: sets first, then rules in the order of chains.
#[must_use]
pub fn lines(plan: &Plan, desired: &Desired, live: &Live) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut gone: BTreeSet<&SetName> = plan.orphans().iter().filter(|name| !is_temporary(name)).collect();
    for step in &plan.steps {
        match step {
            Step::ClearLeftovers { .. } | Step::ReadBack | Step::DestroyOrphans { .. } => {}
            Step::CreateSets { names, .. } | Step::HealSets { names, .. } => {
                for name in names {
                    let Some(wanted) = desired.sets.get(name).and_then(|set| exactly(&set.members)) else {
                        continue;
                    };
                    let found = live.sets.get(name).map(Rc::as_ref);
                    let closest = if found.is_none() { closest(name, wanted, &gone, live) } else { None };
                    if let Some(old) = closest {
                        gone.remove(old);
                    }
                    let compared = found.or_else(|| live.sets.get(closest?).map(Rc::as_ref));
                    set_lines(name, wanted, compared, closest, &mut lines);
                }
            }
            Step::Flip { family, flip } => {
                let line = |sign| {
                    move |text: &String| Line { family: *family, sign, text: text.clone(), instead_of: None }
                };
                lines.extend(flip.removed.iter().map(line(Sign::Removed)));
                lines.extend(flip.added.iter().map(line(Sign::Added)));
                lines.extend(jump_lines(*family, flip.edge, live));
            }
        }
    }
    for name in gone {
        let Some(set) = live.sets.get(name) else { continue };
        set_lines(name, &MemberList::default(), Some(set), None, &mut lines);
    }
    lines
}

fn exactly(members: &Members) -> Option<&MemberList> {
    match members {
        Members::Exactly { list, .. } => Some(list),
        Members::Kept => None,
    }
}

/// The set that goes and shares most members with one that comes. Sets of about its size are asked first: once one is
/// found that shares most, others are passed over after a few members.
fn closest<'a>(
    name: &SetName,
    wanted: &MemberList,
    gone: &BTreeSet<&'a SetName>,
    live: &Live,
) -> Option<&'a SetName> {
    let of_family = gone.iter().filter(|old| family_of(old) == family_of(name));
    let mut old: Vec<_> = of_family.filter_map(|old| Some((&live.sets.get(*old)?.members, *old))).collect();
    old.sort_by_key(|(members, _)| members.len().abs_diff(wanted.len()));
    let mut best = (0, None);
    for (members, old) in old {
        if let Some(shared) = wanted.shared_above(members, best.0) {
            best = (shared, Some(old));
        }
    }
    best.1
}

fn set_lines(
    name: &SetName,
    wanted: &MemberList,
    found: Option<&LiveSet>,
    instead_of: Option<&SetName>,
    lines: &mut Vec<Line>,
) {
    let none = MemberList::default();
    let held = found.map_or(&none, |set| &set.members);
    let line = |sign, entry: &dyn fmt::Display| Line {
        family: family_of(name),
        sign,
        text: format!("add {name} {entry}"),
        instead_of: instead_of.cloned(),
    };
    lines.extend(held.without(wanted).map(|member| line(Sign::Removed, member)));
    lines.extend(found.into_iter().flat_map(|set| &set.others).map(|other| line(Sign::Removed, other)));
    lines.extend(wanted.without(held).map(|member| line(Sign::Added, member)));
}

fn jump_lines(family: Family, edge: Edge, live: &Live) -> Vec<Line> {
    let jump = |sign| Line { family, sign, text: format!("-A FORWARD -j {FORWARD_CHAIN}"), instead_of: None };
    let found = live.tables.get(&family).map_or(0, |table| table.jumps.len());
    let removed = std::iter::repeat_with(|| jump(Sign::Removed)).take(found);
    match edge {
        Edge::Unchanged => Vec::new(),
        Edge::Removed => removed.collect(),
        Edge::Inserted | Edge::Moved => removed.chain([jump(Sign::Added)]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel as _;
    use crate::kernel::fake::FakeKernel;
    use crate::place::Place;
    use crate::plan::plan;
    use crate::testing::{applied, policy, set_of};

    fn told(desired: &Desired, kernel: &mut FakeKernel) -> Vec<String> {
        let live = kernel.live().unwrap();
        lines(&plan(desired, &live, &Place::First), desired, &live).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_set_that_replaces_another_is_compared_with_it() {
        let (old, _) = set_of(Family::V4, &["10.0.0.1", "10.0.0.2"]);
        let (new, _) = set_of(Family::V4, &["10.0.0.2", "10.0.0.3"]);
        let class = "-A CM-I-0000000000000050 -p tcp -m tcp --dport 80 -m set --match-set";
        let mut kernel = applied(&policy(&["10.0.0.1", "10.0.0.2"], 80));
        let expected = [
            format!("- v4 add {new} 10.0.0.1  # compared with {old}"),
            format!("+ v4 add {new} 10.0.0.3  # compared with {old}"),
            format!("- v4 {class} {old} src -j RETURN"),
            format!("+ v4 {class} {new} src -j RETURN"),
        ];
        assert_eq!(told(&policy(&["10.0.0.2", "10.0.0.3"], 80), &mut kernel), expected);
    }

    #[test]
    fn what_others_did_is_told_line_by_line() {
        let desired = policy(&["10.0.0.1"], 80);
        let (set, _) = set_of(Family::V4, &["10.0.0.1"]);
        let mut kernel = applied(&desired)
            .with_sets(&format!("create cm4-x hash:ip family inet\nadd cm4-x 10.0.0.7\nadd {set} 10.0.0.6\n"))
            .with_rules(
                Family::V6,
                "*filter\n-I FORWARD 1 -j DROP\n:CM-I-0000000000000050 - [0:0]\nCOMMIT\n",
            );
        let expected = [
            format!("- v4 add {set} 10.0.0.6"),
            "+ v6 -A CM-I-0000000000000050 -j DROP".to_owned(),
            "- v6 -A FORWARD -j CM-FORWARD".to_owned(),
            "+ v6 -A FORWARD -j CM-FORWARD".to_owned(),
            "- v4 add cm4-x 10.0.0.7".to_owned(),
        ];
        assert_eq!(told(&desired, &mut kernel), expected);
    }
}
