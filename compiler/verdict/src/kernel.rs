//! Rules of both families and sets, tied together as the kernel ties them when they are loaded.

use std::collections::BTreeSet;
use std::sync::Arc;

use chainmail_contract::{ChainName, FORWARD_CHAIN, Family, SetName};
use thiserror::Error;

use crate::error::FileKind;
use crate::paths::Paths;
use crate::{Chain, Match, ParseError, Ruleset, Set, SetId, SetType, Sets, Test};

/// What a host's kernel would hold: `filter` tables of both families and the sets that their rules name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel {
    v4: Linked,
    v6: Linked,
    sets: Vec<Arc<Set>>,
}

/// One family's rules with what they refer to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Linked {
    rules: Ruleset,
    /// Where the set of each [`SetId`] stands in [`Kernel::sets`].
    sets: Vec<usize>,
    paths: Paths,
}

/// Why rules and sets do not fit together. The kernel refuses all but the wrong number of directions, which it loads
/// with another meaning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Problem {
    /// The rules of a family are of the other.
    #[error("{file} stands where rules of family {wanted} should")]
    Family {
        /// The rules.
        file: FileKind,
        /// The family they should have.
        wanted: Family,
    },
    /// A rule names a set that is not there.
    #[error("{file}:{line}: set {set} does not exist")]
    NoSuchSet {
        /// The rules.
        file: FileKind,
        /// The rule's line.
        line: u32,
        /// The set.
        set: SetName,
    },
    /// A rule names a set of the other family.
    #[error("{file}:{line}: set {set} holds {family} addresses")]
    SetFamily {
        /// The rules.
        file: FileKind,
        /// The rule's line.
        line: u32,
        /// The set.
        set: SetName,
        /// The set's family.
        family: Family,
    },
    /// A rule gives a set more or fewer directions than its members have parts.
    #[error("{file}:{line}: set {set} of type {set_type} takes {} directions, not {given}", set_type.dimension())]
    Directions {
        /// The rules.
        file: FileKind,
        /// The rule's line.
        line: u32,
        /// The set.
        set: SetName,
        /// The set's type.
        set_type: SetType,
        /// How many directions the rule gives.
        given: usize,
    },
    /// Chains lead back into themselves.
    #[error("{file}: chains lead in a loop: {}", names(chains))]
    Loop {
        /// The rules.
        file: FileKind,
        /// The chains, in the order in which they lead to each other.
        chains: Vec<ChainName>,
    },
}

fn names(chains: &[ChainName]) -> String {
    chains.iter().chain(chains.first()).map(ChainName::as_str).collect::<Vec<_>>().join(" -> ")
}

/// Why the texts of a node are no kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum ReadError {
    /// A text is not in the grammar.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Rules name sets that are not there, or the like: all such problems, sorted.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Link(Vec<Problem>),
}

impl Kernel {
    /// Reads the rules of both families, IPv4 first, and ties them to sets that were read before.
    ///
    /// # Errors
    /// When a text is not what a kernel would load.
    pub fn read([v4, v6]: [&str; 2], sets: Sets) -> Result<Self, ReadError> {
        let v4 = Ruleset::parse(Family::V4, v4)?;
        let v6 = Ruleset::parse(Family::V6, v6)?;
        Self::new(v4, v6, sets).map_err(ReadError::Link)
    }

    /// Ties rules and sets together.
    ///
    /// # Errors
    /// When a rule names a set that is not there or is named wrongly, or chains lead in a loop: all such problems,
    /// sorted.
    pub fn new(v4: Ruleset, v6: Ruleset, sets: Sets) -> Result<Self, Vec<Problem>> {
        let sets = sets.into_vec();
        let mut problems = BTreeSet::new();
        let v4 = link(Family::V4, v4, &sets, &mut problems);
        let v6 = link(Family::V6, v6, &sets, &mut problems);
        match (v4, v6) {
            (Some(v4), Some(v6)) if problems.is_empty() => Ok(Self { v4, v6, sets }),
            _ => Err(problems.into_iter().collect()),
        }
    }

    /// The rules of one family.
    #[must_use]
    pub fn rules(&self, family: Family) -> &Ruleset {
        &self.linked(family).rules
    }

    /// All sets, sorted by name, whether a rule names them or not.
    #[must_use]
    pub fn sets(&self) -> &[Arc<Set>] {
        &self.sets
    }

    /// The set that rules of one family mean by an id.
    ///
    /// # Panics
    /// When the id is of other rules, with more sets.
    #[must_use]
    pub fn set(&self, family: Family, id: SetId) -> &Arc<Set> {
        &self.sets[self.linked(family).sets[id.0 as usize]]
    }

    /// The longest way of chains down from CM-FORWARD, itself first, whatever packets take it: jumps and gotos both
    /// count, as nft counts them against its 16. Empty where CM-FORWARD is not loaded.
    #[must_use]
    pub fn longest_path(&self, family: Family) -> Vec<&Chain> {
        let Linked { rules, paths, .. } = self.linked(family);
        let path = rules.find(FORWARD_CHAIN).map(|entry| paths.longest_from(entry));
        path.unwrap_or_default().into_iter().map(|chain| rules.chain(chain)).collect()
    }

    fn linked(&self, family: Family) -> &Linked {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

fn link(
    wanted: Family,
    rules: Ruleset,
    sets: &[Arc<Set>],
    problems: &mut BTreeSet<Problem>,
) -> Option<Linked> {
    let file = FileKind::Rules(rules.family());
    if rules.family() != wanted {
        problems.insert(Problem::Family { file, wanted });
        return None;
    }
    let found: Vec<Option<usize>> =
        rules.sets().iter().map(|name| sets.binary_search_by(|set| set.name().cmp(name)).ok()).collect();
    for rule in rules.chains().iter().flat_map(|chain| &chain.rules) {
        for Match { test, .. } in &rule.matches {
            let Test::Set { set: id, ends } = test else { continue };
            let set = || rules.set_name(*id).clone();
            let line = rule.line;
            match found[id.0 as usize].map(|at| &sets[at]) {
                None => drop(problems.insert(Problem::NoSuchSet { file, line, set: set() })),
                Some(held) if held.family() != wanted => {
                    problems.insert(Problem::SetFamily { file, line, set: set(), family: held.family() });
                }
                Some(held) if held.set_type().dimension() != ends.len() => {
                    let (set_type, given) = (held.set_type(), ends.len());
                    problems.insert(Problem::Directions { file, line, set: set(), set_type, given });
                }
                Some(_) => {}
            }
        }
    }
    match (Paths::measure(&rules), found.into_iter().collect()) {
        (Ok(paths), Some(sets)) => Some(Linked { rules, sets, paths }),
        (Ok(_), None) => None,
        (Err(chains), _) => {
            let chains = chains.into_iter().map(|chain| rules.chain(chain).name.clone()).collect();
            problems.insert(Problem::Loop { file, chains });
            None
        }
    }
}
