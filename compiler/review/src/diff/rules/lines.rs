//! The rule lines of one node and family that come and go.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_contract::{Family, OriginText, is_our_chain, is_our_set};
use serde::Deserialize;
use serde::de::IgnoredAny;
use similar::{Algorithm, ChangeTag, TextDiff};

use super::pairing::{self, SetPairs};
use super::{ChainDiff, Change, Line, NodeText, RuleLine};

/// One node's texts, and where its rules come from.
pub(super) struct Origins<'t> {
    node: Option<&'t NodeText>,
    /// By family, chain and place in it, from 0.
    of: BTreeMap<(String, String, usize), Vec<OriginText>>,
}

/// An entry of `provenance.json`; those that are not of rules change none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Rule(Rule),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct Rule {
    family: String,
    chain: String,
    index: usize,
    from: Vec<OriginText>,
}

impl<'t> Origins<'t> {
    /// Of a node, or of none. What a text does not say is not known.
    pub(super) fn of(node: Option<&'t NodeText>) -> Self {
        let text = node.map_or("", |node| &node.provenance);
        let entries: Vec<Entry> = serde_json::from_str(text).unwrap_or_default();
        let rules = entries.into_iter().filter_map(|entry| match entry {
            Entry::Rule(rule) => Some(rule),
            Entry::Other(IgnoredAny) => None,
        });
        let of = rules.map(|rule| ((rule.family, rule.chain, rule.index), rule.from));
        Self { node, of: of.collect() }
    }

    fn rules(&self, family: Family) -> &'t str {
        let [v4, v6] = self.node.map_or(["", ""], |node| node.rules.each_ref().map(String::as_str));
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }

    fn line(&self, family: Family, chain: &str, index: usize, line: Line) -> RuleLine {
        let from = self.of.get(&(family.to_string(), chain.to_owned(), index)).cloned();
        RuleLine { line, from: from.unwrap_or_default() }
    }
}

/// The chains of a rule text with their rules, each without `-A CHAIN`.
fn parse(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut chains: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        if let Some(chain) = line.strip_prefix(':').and_then(|rest| rest.split(' ').next()) {
            chains.entry(chain).or_default();
        } else if let Some((chain, rule)) = line.strip_prefix("-A ").and_then(|rest| rest.split_once(' ')) {
            chains.entry(chain).or_default().push(rule);
        }
    }
    chains
}

/// The chains that differ. A rule that only names a paired chain or set by its new name does not differ.
pub(super) fn chains(
    family: Family,
    base: &Origins<'_>,
    head: &Origins<'_>,
    sets: &mut SetPairs,
    asked: &mut BTreeSet<String>,
) -> Vec<ChainDiff> {
    let (old, new) = (parse(base.rules(family)), parse(head.rules(family)));
    for rule in old.values().chain(new.values()).flatten() {
        asked.extend(rule.split(' ').filter(|word| is_our_set(word)).map(ToOwned::to_owned));
    }
    let pairs = pairing::chains(&old, &new);
    let mut diffs = Vec::new();
    for (before, after) in &pairs {
        let renamed: Vec<String> = renamed(&old[before], &new[after], &pairs, sets);
        let lines: Vec<RuleLine> = changed_lines(&renamed, &new[after])
            .map(|(index, line)| match line {
                Line::Added(_) => head.line(family, after, index, line),
                Line::Removed(_) => base.line(family, before, index, line),
            })
            .collect();
        if !lines.is_empty() {
            let was = (before != after).then(|| (*before).to_owned());
            diffs.push(ChainDiff { family, chain: (*after).to_owned(), was, change: Change::Changed, lines });
        }
    }
    let whole = |chain: &str, change, rules: &[&str], origins: &Origins<'_>, line: fn(String) -> Line| {
        let rules = rules.iter().enumerate();
        let lines = rules.map(|(index, rule)| origins.line(family, chain, index, line((*rule).to_owned())));
        ChainDiff { family, chain: chain.to_owned(), was: None, change, lines: lines.collect() }
    };
    for (name, rules) in old.iter().filter(|(name, _)| !pairs.contains_key(*name)) {
        diffs.push(whole(name, Change::Removed, rules, base, Line::Removed));
    }
    let paired: BTreeSet<&str> = pairs.values().copied().collect();
    for (name, rules) in new.iter().filter(|(name, _)| !paired.contains(*name)) {
        diffs.push(whole(name, Change::Added, rules, head, Line::Added));
    }
    diffs.sort_by(|a, b| a.chain.cmp(&b.chain));
    diffs
}

/// The old rules in the new names: chains by their pairs, and sets where a new rule is the same but for the set.
fn renamed(old: &[&str], new: &[&str], chains: &BTreeMap<&str, &str>, sets: &mut SetPairs) -> Vec<String> {
    let mut unused: Vec<&str> = new.to_vec();
    let mut renamed = Vec::with_capacity(old.len());
    for rule in old {
        let words: Vec<&str> =
            rule.split(' ').map(|word| chains.get(word).copied().unwrap_or(word)).collect();
        let alike = |candidate: &&str, sets: &mut SetPairs| {
            let other: Vec<&str> = candidate.split(' ').collect();
            other.len() == words.len()
                && words.iter().zip(&other).all(|(a, b)| a == b || (is_our_set(a) && is_our_set(b)))
                && words.iter().zip(&other).all(|(a, b)| a == b || sets.same(a, b))
        };
        match unused.iter().position(|candidate| alike(candidate, sets)) {
            Some(index) => renamed.push(unused.remove(index).to_owned()),
            None => renamed.push(words.join(" ")),
        }
    }
    debug_assert!(chains.keys().all(|name| is_our_chain(name)));
    renamed
}

/// The lines that come and go, each with its place in its own chain.
fn changed_lines<'l>(old: &'l [String], new: &'l [&str]) -> impl Iterator<Item = (usize, Line)> + use<'l> {
    let old: Vec<&str> = old.iter().map(String::as_str).collect();
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_slices(&old, new);
    let line = |change: similar::Change<&str>| match change.tag() {
        ChangeTag::Equal => None,
        ChangeTag::Delete => Some((change.old_index()?, Line::Removed(change.value().to_owned()))),
        ChangeTag::Insert => Some((change.new_index()?, Line::Added(change.value().to_owned()))),
    };
    diff.iter_all_changes().filter_map(line).collect::<Vec<_>>().into_iter()
}
