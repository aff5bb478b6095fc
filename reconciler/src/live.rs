//! What the kernel holds of ours, parsed from `iptables-save` and `ipset save`. Rules are text here, not judged.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_snapshot::{CHAIN_PREFIX, ChainName, FORWARD_CHAIN, Family, Member, SetName, is_cut_set};
use thiserror::Error;

use crate::save::{Line, words};
use crate::set::{Shape, create_line};

/// The kernel's state as far as it is ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The table `filter` of each family. A family that the kernel does not have is missing.
    pub tables: BTreeMap<Family, LiveTable>,
    /// Our sets.
    pub sets: BTreeMap<SetName, LiveSet>,
}

/// One family's table `filter`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveTable {
    /// Our chains and the rules in them. A chain whose name only begins like ours was made by no version of this
    /// program and is not listed.
    pub chains: BTreeMap<ChainName, Vec<String>>,
    /// Where in FORWARD the plain jumps to [`FORWARD_CHAIN`] stand, counted from 1.
    pub jumps: Vec<usize>,
    /// The other rules of FORWARD, in order, as `iptables-save` prints what follows `-A FORWARD `.
    pub forward: Vec<String>,
    /// Rules of others that lead into our chains, as printed. They keep a chain from being deleted.
    pub strangers: Vec<String>,
}

/// One of our sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSet {
    /// Type, family and options.
    pub shape: Shape,
    /// The members that are members of this type.
    pub members: BTreeSet<Member>,
    /// What else is in it, as printed: entries with `nomatch` or a timeout, or of a type that rules do not use. The
    /// entries of a set of cut flows are a node's own and are not read.
    pub others: BTreeSet<String>,
}

/// A text that cannot be read as the kernel's state.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LiveError {
    /// A native nftables rule stands in the table, and `iptables` neither prints nor changes such a table.
    #[error("table filter holds native nftables rules that iptables cannot work with: {0}")]
    Incompatible(String),
    /// A line of `ipset save` that is none of the kind.
    #[error("{0:?} is not a line of ipset save")]
    Set(String),
}

impl Live {
    /// Whether a rule of ours matches on a set.
    #[must_use]
    pub fn refers_to(&self, set: &SetName) -> bool {
        let words = format!("--match-set {set} ");
        let mut rules = self.tables.values().flat_map(|table| table.chains.values().flatten());
        rules.any(|rule| rule.contains(&words))
    }
}

impl LiveTable {
    /// Reads what `iptables-save -t filter` printed; nothing at all is an empty table.
    ///
    /// # Errors
    /// When the tool says that it cannot print the table, which it does with exit code 0.
    pub fn parse(text: &str) -> Result<Self, LiveError> {
        let mut table = Self::default();
        let mut position = 0;
        for row in text.lines() {
            match Line::of(row) {
                Line::Chain { name, .. } => {
                    if let Ok(chain) = name.parse() {
                        table.chains.insert(chain, Vec::new());
                    }
                }
                Line::Rule { chain, body } => {
                    if let Some(rules) =
                        chain.parse().ok().and_then(|chain: ChainName| table.chains.get_mut(&chain))
                    {
                        rules.push(body.to_owned());
                        continue;
                    }
                    position += usize::from(chain == "FORWARD");
                    if chain == "FORWARD" && body.strip_prefix("-j ") == Some(FORWARD_CHAIN) {
                        table.jumps.push(position);
                        continue;
                    }
                    if chain == "FORWARD" {
                        table.forward.push(body.to_owned());
                    }
                    if our_target(body).is_some() {
                        table.strangers.push(row.to_owned());
                    }
                }
                Line::Remark(remark) if remark.contains("is incompatible, use 'nft' tool") => {
                    return Err(LiveError::Incompatible(remark.to_owned()));
                }
                Line::Table(_) | Line::Commit | Line::Remark(_) | Line::Other(_) => {}
            }
        }
        Ok(table)
    }

    /// Whether nothing of ours is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.jumps.is_empty()
    }
}

/// The chain of ours that a rule leads to, if any.
fn our_target(body: &str) -> Option<ChainName> {
    if !body.contains(CHAIN_PREFIX) {
        return None;
    }
    let words = words(body)?;
    words.windows(2).find_map(|pair| match pair {
        [option, target] if option == "-j" || option == "-g" => target.parse().ok(),
        _ => None,
    })
}

/// Reads what `ipset save` printed, and leaves out sets that are not ours.
///
/// # Errors
/// When a line is neither `create` nor `add`.
pub fn parse_sets(text: &str) -> Result<BTreeMap<SetName, LiveSet>, LiveError> {
    let mut sets: BTreeMap<SetName, LiveSet> = BTreeMap::new();
    let mut current: Option<(SetName, LiveSet)> = None;
    for line in text.lines() {
        let bad = || LiveError::Set(line.to_owned());
        if let Some(rest) = line.strip_prefix("add ") {
            let (name, entry) = rest.split_once(' ').ok_or_else(bad)?;
            if let Some((current, set)) = &mut current
                && current.as_str() == name
                && !is_cut_set(current)
            {
                set.take(entry);
            }
            continue;
        }
        sets.extend(current.take());
        let create = create_line(line).ok_or_else(bad)?;
        if let Ok(name) = create.name.parse() {
            current = Some((name, LiveSet::empty(create.shape)));
        }
    }
    sets.extend(current);
    Ok(sets)
}

impl LiveSet {
    /// A set without members.
    #[must_use]
    pub fn empty(shape: Shape) -> Self {
        Self { shape, members: BTreeSet::new(), others: BTreeSet::new() }
    }

    fn take(&mut self, entry: &str) {
        match self.shape.kind().and_then(|kind| Member::parse(kind, entry).ok()) {
            Some(member) => {
                self.members.insert(member);
            }
            None => {
                self.others.insert(entry.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_our_chains_our_jumps_and_who_else_leads_to_us() {
        let table = LiveTable::parse(
            "# Generated by iptables-nft-save\n*filter\n:INPUT ACCEPT [7:8]\n:FORWARD DROP [0:0]\n\
             :CM-FORWARD - [0:0]\n:CM-A - [0:0]\n:CM-odd:name - [0:0]\n:KUBE-FORWARD - [0:0]\n\
             -A INPUT -m comment --comment \"-j CM-A\" -j DROP\n\
             -A FORWARD -j KUBE-FORWARD\n-A FORWARD -j CM-FORWARD\n\
             -A FORWARD -s 10.0.0.1/32 -j CM-FORWARD\n-A FORWARD -j CM-FORWARD\n\
             -A CM-FORWARD -m comment --comment \"a b\" -j CM-A\n-A KUBE-FORWARD -g CM-A\nCOMMIT\n",
        )
        .unwrap();
        let chain = |name: &str| table.chains.get(&name.parse().unwrap()).cloned();
        assert_eq!(table.chains.len(), 2, "{table:?}");
        assert_eq!(chain("CM-FORWARD").unwrap(), ["-m comment --comment \"a b\" -j CM-A"]);
        assert_eq!(chain("CM-A").unwrap(), [""; 0]);
        assert_eq!(table.jumps, [2, 4]);
        assert_eq!(table.strangers, ["-A FORWARD -s 10.0.0.1/32 -j CM-FORWARD", "-A KUBE-FORWARD -g CM-A"]);
    }

    #[test]
    fn a_table_that_iptables_cannot_print_is_not_taken_for_an_empty_one() {
        let text = "# Table `filter' is incompatible, use 'nft' tool.\n";
        assert!(matches!(LiveTable::parse(text), Err(LiveError::Incompatible(_))));
        assert_eq!(LiveTable::parse(""), Ok(LiveTable::default()));
    }

    #[test]
    fn sets_of_others_are_left_out_and_strange_entries_are_kept_apart() {
        let sets = parse_sets(
            "create KUBE-X hash:ip family inet hashsize 64\nadd KUBE-X 10.0.0.9\n\
             create cm4-a hash:net family inet hashsize 64 maxelem 10 bucketsize 12 initval 0x1\n\
             add cm4-a 10.0.0.0/8\nadd cm4-a 10.1.0.0/16 nomatch\n\
             create cm4-CUT hash:ip,port,ip family inet timeout 86400\nadd cm4-CUT 1.1.1.1,tcp:1,2.2.2.2 timeout 9\n",
        )
        .unwrap();
        assert_eq!(sets.len(), 2);
        let a = &sets[&"cm4-a".parse().unwrap()];
        assert_eq!(a.members.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8"]);
        assert_eq!(a.others.iter().collect::<Vec<_>>(), ["10.1.0.0/16 nomatch"]);
        assert!(sets[&"cm4-CUT".parse().unwrap()].others.is_empty());
        assert!(parse_sets("Name: cm4-a\n").is_err());
    }
}
