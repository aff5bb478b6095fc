//! The lines of table `filter`: which chain each rule stands in, and its exact text. What rules say is not read here,
//! so a text can be compared with another even where no one can judge it.

use std::collections::BTreeMap;

use chainmail_snapshot::{Family, is_our_chain};

use crate::error::{FileKind, ParseError, Place, Reason};

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
    /// Its text from `-A` to the end of the line, without counters.
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
        for line in text.lines() {
            reader.place.line = reader.place.line.saturating_add(1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match open {
                None => open = Some((reader.table_line(line)?, reader.place)),
                Some(_) if line == "COMMIT" => open = None,
                Some(("filter", _)) => reader.line(line)?,
                Some(_) => {}
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
    fn table_line(&mut self, line: &'t str) -> Result<&'t str, ParseError> {
        let table =
            line.strip_prefix('*').ok_or_else(|| self.place.error(line, Reason::OutsideTable))?.trim_end();
        if table == "filter" && std::mem::replace(&mut self.filter_seen, true) {
            return Err(self.place.error(line, Reason::Twice));
        }
        Ok(table)
    }

    fn line(&mut self, line: &'t str) -> Result<(), ParseError> {
        if let Some(declaration) = line.strip_prefix(':') {
            return self.declaration(declaration);
        }
        // "[packets:bytes] " before a rule, of iptables-save -c.
        let text = match line.strip_prefix('[').and_then(|counted| counted.split_once("] ")) {
            Some((_, rule)) => rule,
            None => line,
        };
        // A quoted or missing name would be a rule of ours that passes for another's.
        let rule = text.strip_prefix("-A ");
        let name = rule.and_then(|rule| rule.split([' ', '\t']).next());
        let name = name.filter(|name| !name.is_empty() && !name.contains('"'));
        let name = name.ok_or_else(|| self.place.error(line, Reason::UnknownLine))?;
        let line = self.place.line;
        self.chain_of_rule(name)?.rules.push(TableRule { line, text });
        Ok(())
    }

    fn declaration(&mut self, text: &'t str) -> Result<(), ParseError> {
        let mut words = text.split([' ', '\t']);
        let name = words.next().unwrap_or_default();
        let word = words.next().unwrap_or_default();
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
