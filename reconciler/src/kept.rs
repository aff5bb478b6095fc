//! Chains of ours that are not needed any more, and that a rule of others keeps the kernel from deleting.

use std::fmt;

use chainmail_contract::{ChainName, Family};

use crate::desired::Desired;
use crate::live::Live;

/// A chain that stays, without rules and so without effect, as long as a rule of others leads into it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptChain {
    /// The family of its table.
    pub family: Family,
    /// The chain.
    pub chain: ChainName,
    /// The rules of others, as `iptables-save` prints them.
    pub rules: Vec<String>,
}

impl fmt::Display for KeptChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, chain, rules } = self;
        write!(
            f,
            "{family}: chain {chain} is not needed any more and cannot be deleted, so it stays empty; delete the rule \
             that leads into it: {}",
            rules.join("; ")
        )
    }
}

/// The chains that stay once what is desired is in force.
#[must_use]
pub fn kept_chains(desired: &Desired, live: &Live) -> Vec<KeptChain> {
    let mut kept = Vec::new();
    for (&family, table) in &live.tables {
        let needed = |chain: &ChainName| {
            desired.tables.get(&family).is_some_and(|table| table.chains.contains_key(chain))
        };
        for (chain, rules) in table.held().into_iter().filter(|(chain, _)| !needed(chain)) {
            let rules = rules.into_iter().map(str::to_owned).collect();
            kept.push(KeptChain { family, chain, rules });
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel as _;
    use crate::testing::{applied, policy};

    #[test]
    fn a_chain_that_is_not_needed_is_told_with_the_rule_that_keeps_it() {
        let desired = policy(&["10.0.0.1"], 80);
        let mut kernel = applied(&desired).with_rules(
            Family::V4,
            "*filter\n:CM-OLD - [0:0]\n:FOO - [0:0]\n-A FOO -j CM-OLD\n-A FOO -j CM-INGRESS\nCOMMIT\n",
        );
        let kept = kept_chains(&desired, &kernel.live().unwrap());
        let told: Vec<_> = kept.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "CM-INGRESS is needed: {told:?}");
        assert!(told[0].contains("chain CM-OLD") && told[0].ends_with(": -A FOO -j CM-OLD"), "{told:?}");
    }
}
