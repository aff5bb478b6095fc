//! The text that takes our part of one table `filter` from one state to another, in one commit.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::iter::Peekable;

use chainmail_contract::{ChainName, FORWARD_CHAIN};

use crate::desired::{DesiredTable, Jump};
use crate::live::LiveTable;
use crate::place::Place;
use crate::rules::RuleText;

/// A change of one family's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flip {
    /// Rules that come, as `-A CHAIN …`.
    pub added: Vec<String>,
    /// Rules that go, as `-A CHAIN …`.
    pub removed: Vec<String>,
    /// What becomes of the jump in FORWARD.
    pub edge: Edge,
    /// `iptables-restore --noflush` text.
    pub text: String,
}

/// What becomes of the jump in FORWARD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// There is one and it is in its place, or there is none and none is wanted.
    Unchanged,
    /// There was none.
    Inserted,
    /// It was not in its place, or there was more than one.
    Moved,
    /// It goes.
    Removed,
}

impl Flip {
    /// Compares, and writes the text; `None` when there is nothing to change.
    ///
    /// A chain that is declared in the text is flushed and filled again. One that has the right rules is not
    /// declared, so it keeps its counters and costs nothing. Stale chains are declared too: flushed, they refer to
    /// each other no more and can be deleted in any order, whether or not they still exist. The jump is deleted
    /// exactly as often as it was seen: one deletion too many fails the whole commit.
    ///
    /// The kernel refuses to delete a chain into which a rule of others leads, and with it the whole commit. A stale
    /// one is then flushed and stays: a chain without rules returns, so that rule has no effect. It is deleted once
    /// that rule is gone.
    #[must_use]
    pub fn between(live: &LiveTable, desired: &DesiredTable, place: &Place) -> Option<Self> {
        let edge = edge(live, desired.jump, place);
        let held = live.held();
        let stale = live.chains.iter().filter(|(chain, _)| !desired.chains.contains_key(chain));
        let (kept, gone): (Vec<_>, Vec<_>) = stale.partition(|(chain, _)| held.contains_key(chain));
        let deleted: Vec<_> = gone.into_iter().map(|(chain, _)| chain).collect();
        let emptied = kept.into_iter().filter(|(_, rules)| !rules.is_empty()).map(|(chain, _)| chain);
        let stale: Vec<_> = deleted.iter().copied().chain(emptied).collect();
        let refilled: BTreeMap<_, _> =
            desired.chains.iter().filter(|(chain, rules)| !holds(live, chain, rules)).collect();
        if edge == Edge::Unchanged && stale.is_empty() && refilled.is_empty() {
            return None;
        }
        let (added, removed) = difference(live, &stale, &refilled);

        let mut text = "*filter\n".to_owned();
        for chain in refilled.keys().chain(&stale) {
            writeln!(text, ":{chain} - [0:0]").expect("a String takes all");
        }
        for (chain, rules) in &refilled {
            for rule in *rules {
                text.push_str(&rule_line(chain, rule.as_str()));
                text.push('\n');
            }
        }
        if edge != Edge::Unchanged {
            for _ in &live.jumps {
                writeln!(text, "-D FORWARD -j {FORWARD_CHAIN}").expect("a String takes all");
            }
            if desired.jump == Jump::Present {
                let number = place.number(live);
                writeln!(text, "-I FORWARD {number} -j {FORWARD_CHAIN}").expect("a String takes all");
            }
        }
        for chain in &deleted {
            writeln!(text, "-X {chain}").expect("a String takes all");
        }
        text.push_str("COMMIT\n");
        Some(Self { added, removed, edge, text })
    }
}

fn edge(live: &LiveTable, desired: Jump, place: &Place) -> Edge {
    match (live.jumps.is_empty(), desired) {
        (true, Jump::Absent) => Edge::Unchanged,
        (false, Jump::Absent) => Edge::Removed,
        (true, Jump::Present) => Edge::Inserted,
        (false, Jump::Present) if place.is_kept(live) => Edge::Unchanged,
        (false, Jump::Present) => Edge::Moved,
    }
}

/// Whether a chain has these rules and no others.
fn holds(live: &LiveTable, chain: &ChainName, rules: &[RuleText]) -> bool {
    let found = live.chains.get(chain);
    found.is_some_and(|found| found.iter().map(String::as_str).eq(rules.iter().map(RuleText::as_str)))
}

fn rule_line(chain: &ChainName, rule: &str) -> String {
    let blank = if rule.is_empty() { "" } else { " " };
    ["-A ", chain.as_str(), blank, rule].concat()
}

/// The rules that come and go, chain by chain, in the order in which they stand; equal rules are paired off.
fn difference(
    live: &LiveTable,
    stale: &[&ChainName],
    refilled: &BTreeMap<&ChainName, &Vec<RuleText>>,
) -> (Vec<String>, Vec<String>) {
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    let changed = refilled.iter().map(|(&chain, rules)| (chain, rules.as_slice()));
    for (chain, new) in changed.chain(stale.iter().map(|&chain| (chain, &[][..]))) {
        let old = live.chains.get(chain).into_iter().flatten().map(String::as_str);
        let (comes, goes) = unpaired(new.iter().map(RuleText::as_str), old);
        added.extend(comes.into_iter().map(|rule| rule_line(chain, rule)));
        removed.extend(goes.into_iter().map(|rule| rule_line(chain, rule)));
    }
    (added, removed)
}

/// The rules that one side has and the other has not, or not as often, in the order in which they stand.
fn unpaired<'a>(
    new: impl Iterator<Item = &'a str>,
    old: impl Iterator<Item = &'a str>,
) -> (Vec<&'a str>, Vec<&'a str>) {
    fn by_text<'a>(rules: impl Iterator<Item = &'a str>) -> Peekable<impl Iterator<Item = (&'a str, usize)>> {
        let mut rules: Vec<_> = rules.enumerate().map(|(place, rule)| (rule, place)).collect();
        rules.sort_unstable();
        rules.into_iter().peekable()
    }
    let (mut news, mut olds) = (by_text(new), by_text(old));
    let (mut comes, mut goes) = (Vec::new(), Vec::new());
    loop {
        let order = match (news.peek(), olds.peek()) {
            (Some((new, _)), Some((old, _))) => new.cmp(old),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        if order.is_le() {
            comes.extend(news.next().filter(|_| order.is_ne()));
        }
        if order.is_ge() {
            goes.extend(olds.next().filter(|_| order.is_ne()));
        }
    }
    let in_order = |mut rules: Vec<(&'a str, usize)>| {
        rules.sort_unstable_by_key(|(_, place)| *place);
        rules.into_iter().map(|(rule, _)| rule).collect()
    };
    (in_order(comes), in_order(goes))
}
