//! Which policy lines a rule or a member comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

use chainmail_contract::Family;
use serde::Deserialize;

use crate::changes::Line;
use crate::desired::Desired;

/// Where the lines of a snapshot come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    rules: BTreeMap<Family, BTreeMap<String, BTreeSet<String>>>,
    sets: BTreeMap<String, BTreeSet<String>>,
    chains: BTreeMap<Family, BTreeMap<String, BTreeSet<String>>>,
    /// The file of the inventory that each address stands in which no reviewed file has.
    inventory: BTreeMap<IpAddr, Rc<str>>,
}

/// An entry, which is one of a rule or one of a file of the inventory. Serde would hold an untagged enum whole before it
/// says which, and a node may have a hundred thousand members of the inventory.
#[derive(Deserialize)]
struct Entry {
    inventory: Option<String>,
    #[serde(default)]
    members: Vec<IpAddr>,
    family: Option<String>,
    chain: Option<String>,
    index: Option<usize>,
    #[serde(default)]
    from: Vec<Origin>,
}

#[derive(Deserialize)]
struct Origin {
    policy: String,
    rule: String,
    place: String,
}

impl Provenance {
    /// Reads `provenance.json`. It is outside the digest, so nothing depends on it: where it cannot be read, nothing is
    /// known.
    #[must_use]
    pub fn of(desired: &Desired, json: &str) -> Self {
        let entries: Vec<Entry> = serde_json::from_str(json).unwrap_or_default();
        let mut provenance = Self::default();
        let mut members = Vec::new();
        for entry in entries {
            if let Some(inventory) = entry.inventory {
                let inventory: Rc<str> = Rc::from(inventory);
                members.extend(entry.members.into_iter().map(|member| (member, Rc::clone(&inventory))));
                continue;
            }
            let Entry { family: Some(family), chain: Some(chain), index: Some(index), from, .. } = entry
            else {
                continue;
            };
            let Some(family) = Family::ALL.into_iter().find(|known| known.to_string() == family) else {
                continue;
            };
            let policies = from.iter().map(|origin| origin.policy.clone());
            let known = provenance.chains.entry(family).or_default();
            known.entry(chain.clone()).or_default().extend(policies);
            let chains = desired.tables.get(&family).map(|table| &table.chains);
            let rules = chains.and_then(|chains| chains.get(&chain.parse().ok()?));
            let Some(rule) = rules.and_then(|rules| rules.get(index)) else { continue };
            let places: BTreeSet<_> = from
                .into_iter()
                .map(|Origin { policy, rule, place }| format!("{policy} {rule} {place}"))
                .collect();
            if let Some(set) = rule.set() {
                provenance.sets.entry(set.into_owned()).or_default().extend(places.iter().cloned());
            }
            let known = provenance.rules.entry(family).or_default();
            known.entry(format!("-A {chain} {rule}")).or_default().extend(places);
        }
        provenance.inventory = members.into_iter().collect();
        provenance
    }

    /// The policies that have rules in a chain.
    #[must_use]
    pub fn policies(&self, family: Family, chain: &str) -> Vec<&str> {
        let policies = self.chains.get(&family).and_then(|chains| chains.get(chain));
        policies.into_iter().flatten().map(String::as_str).collect()
    }

    /// The file of the inventory that a set's member stands in, where no reviewed file has it.
    #[must_use]
    pub fn inventory(&self, line: &Line) -> Option<&str> {
        if self.inventory.is_empty() {
            return None;
        }
        let member = line.text.strip_prefix("add ")?.split(' ').nth(1)?;
        let address = member.split(',').next()?;
        self.inventory.get(&address.parse().ok()?).map(|file| &**file)
    }

    /// The policies, their rules and places that a line comes from.
    #[must_use]
    pub fn places(&self, line: &Line) -> Vec<&str> {
        let of_set = || self.sets.get(line.text.strip_prefix("add ")?.split(' ').next()?);
        let rule = self.rules.get(&line.family).and_then(|rules| rules.get(&line.text));
        let places = rule.or_else(of_set);
        places.into_iter().flatten().map(String::as_str).collect()
    }
}
