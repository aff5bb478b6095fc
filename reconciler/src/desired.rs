//! What the kernel is to hold: a snapshot, verified to speak of our chains and our sets only.

use std::collections::BTreeMap;

use chainmail_contract::{DENY_CHAIN, Family, Joined, MemberLines, SetKind, SetName, is_cut_set};
use chainmail_verdict::record::Create;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::live::LiveTable;
use crate::rules::{self, Asked, Chains, RuleText, RulesError, SetKinds};
use crate::set::{DesiredSet, Members, Shape, family_of};

/// Everything of ours that the kernel is to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// The rules of each family.
    pub tables: BTreeMap<Family, DesiredTable>,
    /// The sets.
    pub sets: BTreeMap<SetName, DesiredSet>,
}

/// Our chains in the table `filter` of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DesiredTable {
    /// Each chain's rules.
    pub chains: Chains,
    /// How packets get there.
    pub jump: Jump,
}

/// The jump from FORWARD into our chains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jump {
    /// None.
    #[default]
    Absent,
    /// One, in its place.
    Present,
}

/// The most members of one set.
pub const SET_MEMBERS_MAX: usize = 1 << 20;
/// The most members of all sets of a node.
pub const MEMBERS_MAX: usize = 1 << 21;

/// A snapshot that must not reach the kernel, although its digests hold. It names a place and a kind, and never quotes the
/// text, which another user has written.
#[derive(Debug, Error)]
pub enum DesiredError {
    /// The rules say something that the compiler does not write, or say it in other words.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A set's text is not what its name says.
    #[error("set {set}: {problem}")]
    Set {
        /// The set.
        set: SetName,
        /// What is wrong with it.
        problem: SetProblem,
    },
    /// The sets have more members than a node takes.
    #[error("the sets have {members} members in all, and a node takes {MEMBERS_MAX}")]
    Members {
        /// How many they are.
        members: usize,
    },
}

/// What is wrong with the text of a set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetProblem {
    /// It does not begin with its `create` line, or that names a type that rules do not use.
    #[error("its text does not begin with the create line of such a set")]
    Create,
    /// A line that adds no member to it, or one that is not of its type and family, in order, and as ipset prints it.
    #[error("line {0} adds no member to it that can stand there")]
    Member(usize),
    /// Its members are not those that its name says.
    #[error("its members hash to another name")]
    Name,
    /// It has more members than a set takes.
    #[error("it has {0} members, and a set takes {SET_MEMBERS_MAX}")]
    Members(usize),
    /// The same set is written with other bytes: another size or timeout, for instance.
    #[error("its text is not as this program writes it")]
    Spelling,
}

impl Desired {
    /// Reads a snapshot whose digests were verified.
    ///
    /// # Errors
    /// When it has a rule or a set that the compiler does not write, or the same spelled differently: see
    /// [`crate::rules`].
    pub fn of_snapshot(snapshot: &Joined) -> Result<Self, DesiredError> {
        Self::of_snapshot_after(snapshot, &Self::default())
    }

    /// Reads a snapshot as [`Self::of_snapshot`], with the help of another one that was read before: a set whose text is the
    /// one that is written of a set of that snapshot is that set, and not read again.
    ///
    /// # Errors
    /// As [`Self::of_snapshot`].
    pub fn of_snapshot_after(snapshot: &Joined, before: &Self) -> Result<Self, DesiredError> {
        let mut desired = Self::default();
        let mut kinds = SetKinds::new();
        let mut members = 0;
        for (name, text) in snapshot.sets() {
            let (asked, set) = match before.sets.get(name).and_then(|known| known_set(name, text, known)) {
                Some(known) => known,
                None => {
                    set(name, text).map_err(|problem| DesiredError::Set { set: name.clone(), problem })?
                }
            };
            members += set.members.len();
            kinds.insert(name.clone(), asked);
            desired.sets.insert(name.clone(), set);
        }
        if members > MEMBERS_MAX {
            return Err(DesiredError::Members { members });
        }
        for family in Family::ALL {
            let chains = rules::read(family, snapshot.rules(family), &kinds)?;
            let jump = if chains.is_empty() { Jump::Absent } else { Jump::Present };
            desired.tables.insert(family, DesiredTable { chains, jump });
        }
        Ok(desired)
    }
}

impl Desired {
    /// Whether what policies deny passes, and is only told of.
    #[must_use]
    pub fn observes(&self) -> bool {
        let mut chains = self.tables.values().flat_map(|table| &table.chains);
        chains.any(|(chain, rules)| {
            chain.as_str() == DENY_CHAIN && rules.last().is_some_and(|rule| rule.as_str() == "-j RETURN")
        })
    }
}

impl DesiredTable {
    /// The state that a table was in, as something to go back to. A rule that others put into a chain of ours and that
    /// `iptables-restore` cannot read as one line is left out.
    #[must_use]
    pub fn of_live(live: &LiveTable) -> Self {
        let jump = if live.jumps.is_empty() { Jump::Absent } else { Jump::Present };
        let restorable =
            |rules: &Vec<String>| rules.iter().filter_map(|rule| RuleText::of_live(rule)).collect();
        let chains = live.chains.iter().map(|(chain, rules)| (chain.clone(), restorable(rules)));
        Self { chains: chains.collect(), jump }
    }
}

/// A set that was read before, where this is its text.
fn known_set(name: &SetName, text: &str, known: &DesiredSet) -> Option<(Asked, DesiredSet)> {
    let asked = match known.members {
        Members::Kept => Asked::Cut,
        Members::Exactly { .. } => Asked::Content(known.shape.kind()?),
    };
    is_written_so(name, text, known).then(|| (asked, known.clone()))
}

/// Whether this program writes a set with just these bytes.
fn is_written_so(name: &SetName, text: &str, set: &DesiredSet) -> bool {
    let mut anew = String::with_capacity(text.len());
    set.write_create(name, &mut anew);
    anew == text
}

/// Reads a set into values, and holds its text against the one that is written from them.
fn set(name: &SetName, text: &str) -> Result<(Asked, DesiredSet), SetProblem> {
    let family = family_of(name);
    let mut lines = text.lines();
    let create = lines.next().and_then(Create::parse).filter(|create| create.name == name.as_str());
    let shape = Shape::of(&create.ok_or(SetProblem::Create)?);
    let (asked, members) = if is_cut_set(name) {
        (Asked::Cut, Members::Kept)
    } else {
        let kind = shape.kind().ok_or(SetProblem::Create)?;
        (Asked::Content(kind), content(name, family, kind, lines)?)
    };
    let expected = match asked {
        Asked::Cut => Shape::of_cut(family),
        Asked::Content(kind) => Shape::of_content(family, kind),
    };
    if shape != expected {
        return Err(SetProblem::Create);
    }
    let set = DesiredSet { shape, members };
    if is_written_so(name, text, &set) { Ok((asked, set)) } else { Err(SetProblem::Spelling) }
}

fn content<'a>(
    name: &SetName,
    family: Family,
    kind: SetKind,
    lines: impl Iterator<Item = &'a str>,
) -> Result<Members, SetProblem> {
    let add = format!("add {name} ");
    let mut read = 0;
    let mut adds_none = false;
    let texts = lines.map_while(|line| {
        let member = line.strip_prefix(&*add);
        read += 1;
        adds_none = member.is_none();
        member
    });
    let written = MemberLines::parse(kind, texts);
    let line = read + 1;
    let (lines, members) = written.map_err(|_| SetProblem::Member(line))?;
    if adds_none || members.iter().any(|member| member.family() != family) {
        return Err(SetProblem::Member(line));
    }
    if members.len() > SET_MEMBERS_MAX {
        return Err(SetProblem::Members(members.len()));
    }
    if lines.content_name(family, kind) != *name {
        return Err(SetProblem::Name);
    }
    Ok(Members::Exactly { list: members.into(), lines })
}

#[cfg(test)]
mod tests;
