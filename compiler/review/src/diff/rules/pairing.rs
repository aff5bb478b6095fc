//! Which old set and chain is which new one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, FleetText, Line, SetDiff};

/// The sets of both fleets by name, and which of those that one side lacks were paired.
pub(super) struct SetPairs {
    gone: BTreeMap<String, SetText>,
    fresh: BTreeMap<String, SetText>,
    pairs: BTreeMap<String, String>,
}

/// A set's type and members.
struct SetText {
    kind: String,
    members: BTreeSet<String>,
}

fn parse(text: &str) -> SetText {
    let mut lines = text.lines();
    let kind = lines.next().and_then(|create| create.split(' ').nth(2)).unwrap_or_default().to_owned();
    let members = lines.filter_map(|add| add.split(' ').nth(2)).map(ToOwned::to_owned).collect();
    SetText { kind, members }
}

impl SetPairs {
    pub(super) fn new(old: &FleetText, new: &FleetText) -> Self {
        let only = |a: &FleetText, b: &FleetText| {
            let missing = a.sets.iter().filter(|(name, _)| !b.sets.contains_key(name));
            missing.map(|(name, text)| (name.to_string(), parse(text))).collect::<BTreeMap<_, _>>()
        };
        Self { gone: only(old, new), fresh: only(new, old), pairs: BTreeMap::new() }
    }

    /// Whether an old set stands for a new one: the same, or paired before, or both alone on their side and of one type,
    /// which pairs them.
    pub(super) fn same(&mut self, old: &str, new: &str) -> bool {
        if old == new || self.pairs.get(old).is_some_and(|known| known == new) {
            return true;
        }
        let (Some(before), Some(after)) = (self.gone.get(old), self.fresh.get(new)) else { return false };
        let free = !self.pairs.contains_key(old) && !self.pairs.values().any(|known| known == new);
        let family = |name: &str| name.get(..4).map(ToOwned::to_owned);
        if free && before.kind == after.kind && family(old) == family(new) {
            self.pairs.insert(old.to_owned(), new.to_owned());
            return true;
        }
        false
    }

    /// The sets that change: pairs, then those that only one side has.
    pub(super) fn diffs(&self) -> Vec<SetDiff> {
        let mut diffs = Vec::new();
        for (old, new) in &self.pairs {
            let (before, after) = (&self.gone[old], &self.fresh[new]);
            let removed = before.members.difference(&after.members).cloned().map(Line::Removed);
            let added = after.members.difference(&before.members).cloned().map(Line::Added);
            diffs.push(SetDiff {
                set: new.clone(),
                was: Some(old.clone()),
                change: Change::Changed,
                kind: after.kind.clone(),
                members: removed.chain(added).collect(),
            });
        }
        for (change, line, sets) in [
            (Change::Removed, Line::Removed as fn(String) -> Line, &self.gone),
            (Change::Added, Line::Added as fn(String) -> Line, &self.fresh),
        ] {
            let paired =
                |name: &String| self.pairs.contains_key(name) || self.pairs.values().any(|new| new == name);
            for (name, set) in sets.iter().filter(|(name, _)| !paired(name)) {
                diffs.push(SetDiff {
                    set: name.clone(),
                    was: None,
                    change,
                    kind: set.kind.clone(),
                    members: set.members.iter().cloned().map(line).collect(),
                });
            }
        }
        diffs.sort_by(|a, b| a.set.cmp(&b.set));
        diffs
    }
}

/// Pairs old chains with new ones: those of one name, and of the rest those that most addresses are sent to by both.
pub(super) fn chains<'t>(
    old: &BTreeMap<&'t str, Vec<&'t str>>,
    new: &BTreeMap<&'t str, Vec<&'t str>>,
) -> BTreeMap<&'t str, &'t str> {
    let mut pairs: BTreeMap<&str, &str> =
        old.keys().filter(|name| new.contains_key(*name)).map(|name| (*name, *name)).collect();
    let (before, after) = (served(old), served(new));
    let mut votes: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (leaf, class) in &before {
        if let Some(other) = after.get(leaf)
            && !pairs.contains_key(class)
            && !old.contains_key(other)
        {
            *votes.entry((class, other)).or_default() += 1;
        }
    }
    let mut ranked: Vec<((&str, &str), usize)> = votes.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    for ((class, other), _) in ranked {
        if !pairs.contains_key(class) && !pairs.values().any(|known| *known == other) {
            pairs.insert(class, other);
        }
    }
    pairs
}

/// Which class each pod's rule of a dispatch tree goes to, by direction and address.
fn served<'t>(chains: &BTreeMap<&'t str, Vec<&'t str>>) -> BTreeMap<(char, &'t str), &'t str> {
    let mut served = BTreeMap::new();
    for rule in chains.values().flatten() {
        let words: Vec<&str> = rule.split(' ').collect();
        if let [side, address, "-g", class] = words[..] {
            let direction = match side {
                "-s" => 'E',
                _ => 'I',
            };
            served.insert((direction, address), class);
        }
    }
    served
}
