//! The lines of table `filter`: which chain each rule stands in, and its exact text. What rules say is not read here,
//! so a text can be compared with another even where no one can judge it.

use std::collections::BTreeMap;

use chainmail_contract::{Family, is_our_chain};

use crate::before;
use crate::error::{FileKind, ParseError, Place, Reason};
use crate::record::{Line, Record, records};

/// Table `filter` of one family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table<'t> {
    family: Family,
    ours: Vec<TableChain<'t>>,
    foreign: Vec<TableChain<'t>>,
}

/// A chain and its lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableChain<'t> {
    /// The chain's name.
    pub name: &'t str,
    /// The line that declares it; a rule alone is enough for chains of others, as with `--noflush`.
    pub declared: Option<u32>,
    /// What becomes of a packet at its end, for a built-in chain.
    pub policy: Option<Policy>,
    /// Its rules, in order.
    pub rules: Vec<TableRule<'t>>,
}

/// A rule as a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableRule<'t> {
    /// Its line, from 1.
    pub line: u32,
    /// Its text from `-A` to its end, without counters. A comment of others may hold newlines.
    pub text: &'t str,
}

/// What a built-in chain does with a packet at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// It passes.
    Accept,
    /// It is dropped.
    Drop,
}

impl<'t> Table<'t> {
    /// Reads `iptables-restore` or `iptables-save` text; tables other than `filter` are passed over.
    ///
    /// # Errors
    /// When a line of table `filter` is of no known form, or the table is cut off.
    pub fn read(family: Family, text: &'t str) -> Result<Self, ParseError> {
        let mut reader = Reader {
            place: Place { file: FileKind::Rules(family), line: 0 },
            filter_seen: false,
            chains: Vec::new(),
            index: BTreeMap::new(),
            last: 0,
        };
        let mut open: Option<(&'t str, Place)> = None;
        for line in records(text) {
            reader.place.line = line.number;
            match (open, line.record) {
                (_, Record::Remark(_)) => {}
                (None, Record::Table(table)) => {
                    reader.begin(table)?;
                    open = Some((table, reader.place));
                }
                (None, _) => return Err(reader.place.error(line.text, Reason::OutsideTable)),
                (Some(_), Record::Commit) => open = None,
                (Some(("filter", _)), _) => reader.line(line)?,
                (Some(_), _) => {}
            }
        }
        if let Some((table, place)) = open {
            return Err(place.error(&format!("*{table}"), Reason::NotCommitted));
        }
        let mut chains = reader.chains;
        chains.sort_by_key(|chain| chain.name);
        let (ours, foreign) = chains.into_iter().partition(|chain| is_our_chain(chain.name));
        Ok(Self { family, ours, foreign })
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Our chains, sorted by name.
    #[must_use]
    pub fn ours(&self) -> &[TableChain<'t>] {
        &self.ours
    }

    /// The chains of others and the built-in ones, sorted by name.
    #[must_use]
    pub fn foreign(&self) -> &[TableChain<'t>] {
        &self.foreign
    }

    /// The rules of others by which a packet may pass before it comes to our jump in FORWARD; also those in chains that
    /// are jumped to. None where no such jump takes every packet.
    #[must_use]
    pub fn passing_before_our_jump(&self) -> Vec<&'t str> {
        let chains = self.foreign.iter().map(|chain| {
            let rules = chain.rules.iter().map(|rule| rule.text).collect();
            (chain.name, (chain.policy, rules))
        });
        before::passing(&chains.collect())
    }
}

struct Reader<'t> {
    place: Place,
    filter_seen: bool,
    chains: Vec<TableChain<'t>>,
    index: BTreeMap<&'t str, usize>,
    /// Rules of a chain mostly follow each other: the last one is asked first.
    last: usize,
}

impl<'t> Reader<'t> {
    fn begin(&mut self, table: &'t str) -> Result<(), ParseError> {
        if table == "filter" && std::mem::replace(&mut self.filter_seen, true) {
            return Err(self.place.error(&format!("*{table}"), Reason::Twice));
        }
        Ok(())
    }

    fn line(&mut self, line: Line<'t>) -> Result<(), ParseError> {
        match line.record {
            Record::Chain { name, policy } => self.declaration(name, policy),
            Record::Rule { chain, text, .. } => {
                self.chain_of_rule(chain)?.rules.push(TableRule { line: line.number, text });
                Ok(())
            }
            _ => Err(self.place.error(line.text, Reason::UnknownLine)),
        }
    }

    fn declaration(&mut self, name: &'t str, policy: &'t str) -> Result<(), ParseError> {
        let word = policy.split([' ', '\t']).next().unwrap_or_default();
        let policy = match word {
            "-" => None,
            "ACCEPT" if !is_our_chain(name) => Some(Policy::Accept),
            "DROP" if !is_our_chain(name) => Some(Policy::Drop),
            _ => return Err(self.place.error(word, Reason::Policy)),
        };
        if self.index.contains_key(name) {
            return Err(self.place.error(name, Reason::Twice));
        }
        self.add(name, Some(self.place.line), policy);
        Ok(())
    }

    fn chain_of_rule(&mut self, name: &'t str) -> Result<&mut TableChain<'t>, ParseError> {
        if self.chains.get(self.last).is_none_or(|chain| chain.name != name) {
            self.last = match self.index.get(name) {
                Some(&chain) => chain,
                None if is_our_chain(name) => return Err(self.place.error(name, Reason::NoSuchChain)),
                None => self.add(name, None, None),
            };
        }
        let place = self.place;
        self.chains.get_mut(self.last).ok_or_else(|| place.error(name, Reason::NoSuchChain))
    }

    fn add(&mut self, name: &'t str, declared: Option<u32>, policy: Option<Policy>) -> usize {
        let chain = self.chains.len();
        self.chains.push(TableChain { name, declared, policy, rules: Vec::new() });
        self.index.insert(name, chain);
        chain
    }
}
