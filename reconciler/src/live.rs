//! What the kernel holds of ours, parsed from `iptables-save` and `ipset save`. Rules are text here, not judged.

mod sets;

use std::collections::BTreeMap;

use chainmail_contract::{CHAIN_PREFIX, ChainName, FORWARD_CHAIN, Family, SetName};
use chainmail_verdict::record::{Record, records, words};
use thiserror::Error;

pub use self::sets::{LiveSet, LiveSets, SetReader};

/// The kernel's state as far as it is ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The table `filter` of each family. A family that the kernel does not have is missing.
    pub tables: BTreeMap<Family, LiveTable>,
    /// Our sets.
    pub sets: LiveSets,
}

/// One family's table `filter`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveTable {
    /// Our chains and the rules in them, as `iptables-save` prints what follows `-A CHAIN `. A chain whose name only begins like ours was made by no version of this
    /// program and is not listed.
    pub chains: BTreeMap<ChainName, Vec<String>>,
    /// Where in FORWARD the plain jumps to [`FORWARD_CHAIN`] stand, counted from 1.
    pub jumps: Vec<usize>,
    /// The other rules of FORWARD, in order, as `iptables-save` prints what follows `-A FORWARD `.
    pub forward: Vec<String>,
    /// Rules of others that lead into our chains, as printed. They keep a chain from being deleted.
    pub strangers: Vec<String>,
}

/// A text that cannot be read as the kernel's state.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LiveError {
    /// A native nftables rule stands in the table, and `iptables` neither prints nor changes such a table.
    #[error("table filter holds native nftables rules that iptables cannot work with: {0}")]
    Incompatible(String),
    /// The text of a table has no end.
    #[error("the table is cut off: its last line is {0:?}")]
    CutOff(String),
    /// A line of `ipset save` that is none of the kind.
    #[error("{0:?} is not a line of ipset save")]
    Set(String),
}

impl Live {
    /// Whether a rule of ours matches on a set.
    #[must_use]
    pub fn refers_to(&self, set: &SetName) -> bool {
        let asks = |rule: &String| {
            rule.contains(set.as_str())
                && words(rule).is_some_and(|words| {
                    words
                        .array_windows()
                        .any(|[option, name]| option == "--match-set" && *name == set.as_str())
                })
        };
        self.tables.values().flat_map(|table| table.chains.values().flatten()).any(asks)
    }
}

impl LiveTable {
    /// Reads what `iptables-save -t filter` printed; nothing at all is an empty table.
    ///
    /// # Errors
    /// When the tool says that it cannot print the table, which it does with exit code 0, or the text breaks off.
    pub fn parse(text: &str) -> Result<Self, LiveError> {
        let mut table = Self::default();
        let mut position = 0;
        let mut is_open = false;
        let mut current: Option<(ChainName, Vec<String>)> = None;
        for line in records(text) {
            match line.record {
                Record::Chain { name, .. } => {
                    if let Ok(chain) = name.parse() {
                        table.chains.insert(chain, Vec::new());
                    }
                }
                Record::Rule { chain, text, body } => {
                    // Rules come chain by chain.
                    if current.as_ref().is_none_or(|(name, _)| name.as_str() != chain) {
                        table.chains.extend(current.take());
                        let ours = chain.parse().ok();
                        current = ours.and_then(|name: ChainName| table.chains.remove_entry(&name));
                    }
                    if let Some((_, rules)) = &mut current {
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
                        table.strangers.push(text.to_owned());
                    }
                }
                Record::Remark(remark) if remark.contains("is incompatible, use 'nft' tool") => {
                    return Err(LiveError::Incompatible(remark.to_owned()));
                }
                Record::Table(_) => is_open = true,
                Record::Commit => is_open = false,
                Record::Remark(_) | Record::Other(_) => {}
            }
        }
        if is_open {
            return Err(LiveError::CutOff(text.lines().last().unwrap_or_default().to_owned()));
        }
        table.chains.extend(current);
        Ok(table)
    }

    /// Our chains into which rules of others lead, with those rules as printed. The kernel deletes none of them.
    #[must_use]
    pub fn held(&self) -> BTreeMap<ChainName, Vec<&str>> {
        let mut held = BTreeMap::<_, Vec<_>>::new();
        for rule in &self.strangers {
            if let Some(chain) = our_target(rule).filter(|chain| self.chains.contains_key(chain)) {
                held.entry(chain).or_default().push(rule.as_str());
            }
        }
        held
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
        [option, target] if *option == "-j" || *option == "-g" => target.parse().ok(),
        _ => None,
    })
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
        let held: Vec<_> =
            table.held().into_iter().map(|(chain, rules)| (chain.to_string(), rules)).collect();
        assert_eq!(
            held,
            [
                ("CM-A".to_owned(), vec!["-A KUBE-FORWARD -g CM-A"]),
                ("CM-FORWARD".to_owned(), vec!["-A FORWARD -s 10.0.0.1/32 -j CM-FORWARD"]),
            ]
        );
    }

    #[test]
    fn a_comment_of_others_is_no_rule_chain_or_jump() {
        for comment in
            ["\n:CM-BAD - [0:0]", "\n-A CM-A -j ACCEPT", "\n-A FORWARD -j CM-FORWARD", "\nCOMMIT", "\n# x"]
        {
            let text = format!(
                "*filter\n:INPUT ACCEPT [0:0]\n:CM-A - [0:0]\n-A INPUT -m comment --comment \"a{comment}\" -j ACCEPT\n\
                 -A CM-A -j DROP\nCOMMIT\n"
            );
            let table = LiveTable::parse(&text).unwrap();
            let chains: Vec<_> =
                table.chains.iter().map(|(name, rules)| (name.as_str(), &rules[..])).collect();
            assert_eq!(chains, [("CM-A", &["-j DROP".to_owned()][..])], "{comment}");
            assert_eq!((&table.jumps[..], &table.strangers[..]), (&[][..], &[][..]), "{comment}");
        }
    }

    #[test]
    fn a_table_that_iptables_cannot_print_is_not_taken_for_an_empty_one() {
        let text = "# Table `filter' is incompatible, use 'nft' tool.\n";
        assert!(matches!(LiveTable::parse(text), Err(LiveError::Incompatible(_))));
        assert!(matches!(LiveTable::parse("*filter\n:CM-A - [0:0]\n"), Err(LiveError::CutOff(_))));
        assert_eq!(LiveTable::parse(""), Ok(LiveTable::default()));
    }
}
