//! What the kernel is to hold: a snapshot, verified to speak of our chains and our sets only.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_snapshot::{
    ChainName, DENY_CHAIN, FORWARD_CHAIN, Family, Joined, MemberLines, NameError, SetName, is_cut_set,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::grammar::{GrammarError, check_rule};
use crate::live::LiveTable;
use crate::save::Line;
use crate::set::{DesiredSet, Members, Shape, create_line, family_of};

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
    /// Each chain's rules, as `iptables-save` prints what follows `-A CHAIN `.
    pub chains: BTreeMap<ChainName, Vec<String>>,
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

/// A snapshot that must not reach the kernel, although its digests hold.
#[derive(Debug, Error)]
pub enum DesiredError {
    /// The rule text has a line that is none of `*filter`, chain, rule or `COMMIT`, or has it in the wrong place.
    #[error("{file}:{line}: {text:?} is not expected here")]
    Line {
        /// The rule file.
        file: &'static str,
        /// The line's number.
        line: usize,
        /// The line.
        text: String,
    },
    /// A chain has a name that is not ours.
    #[error("{file}:{line}: {source}")]
    Chain {
        /// The rule file.
        file: &'static str,
        /// The line's number.
        line: usize,
        /// What is wrong with the name.
        source: NameError,
    },
    /// A rule does what a snapshot may not do.
    #[error("{file}:{line}: a rule of {chain} is refused: {source}")]
    Rule {
        /// The rule file.
        file: &'static str,
        /// The line's number.
        line: usize,
        /// The rule's chain.
        chain: ChainName,
        /// What is wrong with it.
        source: GrammarError,
    },
    /// There are chains, but not the one that FORWARD jumps to.
    #[error("{file} declares chains but not {FORWARD_CHAIN}, so nothing would enter them")]
    NoEntry {
        /// The rule file.
        file: &'static str,
    },
    /// A set's text is not what its name says.
    #[error("set {set}: {problem}")]
    Set {
        /// The set.
        set: SetName,
        /// What is wrong with it.
        problem: String,
    },
}

impl Desired {
    /// Reads a snapshot whose digests were verified.
    ///
    /// # Errors
    /// When it names anything outside table `filter`, chains `CM-…` and sets `cm4-…`, `cm6-…`, uses an option that
    /// no snapshot needs, or has a set whose members do not hash to its name.
    pub fn of_snapshot(snapshot: &Joined) -> Result<Self, DesiredError> {
        let sets = snapshot.sets();
        let mut desired = Self::default();
        for family in Family::ALL {
            let names = sets.keys().filter(|name| family_of(name) == family).map(SetName::as_str).collect();
            desired.tables.insert(family, table(family.rules_file(), snapshot.rules(family), &names)?);
        }
        for (name, text) in sets {
            let set = set(name, text).map_err(|problem| DesiredError::Set { set: name.clone(), problem })?;
            desired.sets.insert(name.clone(), set);
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
            chain.as_str() == DENY_CHAIN && rules.last().is_some_and(|rule| rule == "-j RETURN")
        })
    }
}

impl DesiredTable {
    /// The state that a table was in, as something to go back to.
    #[must_use]
    pub fn of_live(live: &LiveTable) -> Self {
        let jump = if live.jumps.is_empty() { Jump::Absent } else { Jump::Present };
        Self { chains: live.chains.clone(), jump }
    }
}

fn table(file: &'static str, text: &str, sets: &BTreeSet<&str>) -> Result<DesiredTable, DesiredError> {
    #[derive(PartialEq)]
    enum Place {
        Before,
        Chains,
        Rules,
        After,
    }
    let mut place = Place::Before;
    let mut chains: BTreeMap<ChainName, Vec<String>> = BTreeMap::new();
    let mut rules: Vec<(usize, ChainName, &str)> = Vec::new();
    for (index, row) in text.lines().enumerate() {
        let line = index + 1;
        let unexpected = || DesiredError::Line { file, line, text: row.to_owned() };
        let chain = |name: &str| {
            name.parse::<ChainName>().map_err(|source| DesiredError::Chain { file, line, source })
        };
        match Line::of(row) {
            Line::Remark(_) => {}
            Line::Table("filter") if place == Place::Before => place = Place::Chains,
            Line::Chain { name, policy: "- [0:0]" } if place == Place::Chains => {
                if chains.insert(chain(name)?, Vec::new()).is_some() {
                    return Err(unexpected());
                }
            }
            Line::Rule { chain: name, body } if matches!(place, Place::Chains | Place::Rules) => {
                place = Place::Rules;
                // Rules come chain by chain.
                let chain = match rules.last() {
                    Some((_, last, _)) if last.as_str() == name => last.clone(),
                    _ => chain(name)?,
                };
                chains.get_mut(&chain).ok_or_else(unexpected)?.push(body.to_owned());
                rules.push((line, chain, body));
            }
            Line::Commit if matches!(place, Place::Chains | Place::Rules) => place = Place::After,
            Line::Table(_) | Line::Chain { .. } | Line::Rule { .. } | Line::Commit | Line::Other(_) => {
                return Err(unexpected());
            }
        }
    }
    if matches!(place, Place::Chains | Place::Rules) {
        return Err(DesiredError::Line { file, line: text.lines().count(), text: "no COMMIT".to_owned() });
    }
    let names = chains.keys().map(ChainName::as_str).collect();
    for (line, chain, body) in rules {
        check_rule(body, &names, sets).map_err(|source| DesiredError::Rule { file, line, chain, source })?;
    }
    let entry = chains.keys().any(|chain| chain.as_str() == FORWARD_CHAIN);
    match (chains.is_empty(), entry) {
        (true, _) => Ok(DesiredTable::default()),
        (false, true) => Ok(DesiredTable { chains, jump: Jump::Present }),
        (false, false) => Err(DesiredError::NoEntry { file }),
    }
}

fn set(name: &SetName, text: &str) -> Result<DesiredSet, String> {
    let mut lines = text.lines();
    let create = lines.next().and_then(create_line).filter(|create| create.name == name.as_str());
    let create = create.ok_or("its text does not begin with its create line")?;
    let tuning = tuning(&create.options)?;
    let family = family_of(name);
    if is_cut_set(name) {
        if create.shape != Shape::of_cut(family) {
            return Err(format!("it is a {}, not a {}", create.shape, Shape::of_cut(family)));
        }
        if lines.next().is_some() {
            return Err("a set of cut flows is created empty".to_owned());
        }
        return Ok(DesiredSet { shape: create.shape, tuning, members: Members::Kept });
    }
    let kind = create.shape.kind().filter(|&kind| create.shape == Shape::of_content(family, kind));
    let kind = kind.ok_or_else(|| format!("{} is no type that rules use", create.shape))?;
    let add = format!("add {name} ");
    let mut other = None;
    let written = MemberLines::parse(
        kind,
        lines.map_while(|line| {
            let member = line.strip_prefix(&*add);
            if member.is_none() {
                other = Some(line);
            }
            member
        }),
    );
    if let Some(line) = other {
        return Err(format!("{line:?} adds no member to it"));
    }
    let (lines, members) = written.map_err(|error| error.to_string())?;
    if let Some(member) = members.iter().find(|member| member.family() != family) {
        return Err(format!("{member} is of the other family"));
    }
    let named = lines.content_name(family, kind);
    if named != *name {
        return Err(format!("its members hash to {named}"));
    }
    let members = Members::Exactly { list: members.into(), lines };
    Ok(DesiredSet { shape: create.shape, tuning, members })
}

/// The options with a number that `ipset create` takes; what else there is would change the set's shape.
fn tuning(options: &[(&str, Option<&str>)]) -> Result<String, String> {
    let mut text = String::new();
    for (option, value) in options {
        let number = value.and_then(|value| value.parse::<u32>().ok());
        match (*option, number) {
            ("hashsize" | "maxelem" | "bucketsize" | "timeout", Some(number)) => {
                text.push_str(&format!(" {option} {number}"));
            }
            _ => return Err(format!("option {option:?} is not expected")),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
