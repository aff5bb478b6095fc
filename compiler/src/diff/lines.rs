//! The rule lines of one node and family that come and go.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_snapshot::{Family, is_our_chain, is_our_set};
use similar::{Algorithm, ChangeTag, TextDiff};

use super::pairing::{self, SetPairs};
use super::{ChainDiff, Change, Line};

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
    old: &str,
    new: &str,
    sets: &mut SetPairs,
    asked: &mut BTreeSet<String>,
) -> Vec<ChainDiff> {
    let (old, new) = (parse(old), parse(new));
    for rule in old.values().chain(new.values()).flatten() {
        asked.extend(rule.split(' ').filter(|word| is_our_set(word)).map(ToOwned::to_owned));
    }
    let pairs = pairing::chains(&old, &new);
    let mut diffs = Vec::new();
    for (before, after) in &pairs {
        let renamed: Vec<String> = renamed(&old[before], &new[after], &pairs, sets);
        let lines = changed_lines(&renamed, &new[after]);
        if !lines.is_empty() {
            let was = (before != after).then(|| (*before).to_owned());
            let chain = (*after).to_owned();
            diffs.push(ChainDiff { family: family.to_string(), chain, was, change: Change::Changed, lines });
        }
    }
    for (name, rules) in old.iter().filter(|(name, _)| !pairs.contains_key(*name)) {
        diffs.push(whole(family, name, Change::Removed, rules, Line::Removed));
    }
    for (name, rules) in new.iter().filter(|(name, _)| !pairs.values().any(|paired| paired == *name)) {
        diffs.push(whole(family, name, Change::Added, rules, Line::Added));
    }
    diffs.sort_by(|a, b| a.chain.cmp(&b.chain));
    diffs
}

fn whole(family: Family, chain: &str, change: Change, rules: &[&str], line: fn(String) -> Line) -> ChainDiff {
    let lines = rules.iter().map(|rule| line((*rule).to_owned())).collect();
    ChainDiff { family: family.to_string(), chain: chain.to_owned(), was: None, change, lines }
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

fn changed_lines(old: &[String], new: &[&str]) -> Vec<Line> {
    let old: Vec<&str> = old.iter().map(String::as_str).collect();
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_slices(&old, new);
    let line = |change: similar::Change<&str>| match change.tag() {
        ChangeTag::Equal => None,
        ChangeTag::Delete => Some(Line::Removed(change.value().to_owned())),
        ChangeTag::Insert => Some(Line::Added(change.value().to_owned())),
    };
    diff.iter_all_changes().filter_map(line).collect()
}
