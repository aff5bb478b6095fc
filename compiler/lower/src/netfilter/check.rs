//! What the kernel demands of chains as a whole.

use std::collections::BTreeMap;

use chainmail_contract::ChainName;

use super::Ruleset;

/// The most chains on a path from FORWARD's jump. nft tables refuse 16 below FORWARD, gotos counted, and a host may
/// hook us one or two deeper.
pub const CHAINS_ON_A_PATH_MAX: usize = 12;

/// How many chains the longest path from a chain has, itself included; nothing where a chain is missing or on a loop.
#[must_use]
pub fn longest_path(rules: &Ruleset, from: &ChainName) -> Option<usize> {
    let mut known = BTreeMap::new();
    depth(rules, from, &mut known)
}

/// `None` in `known` marks a chain that is being walked: meeting it again is a loop.
fn depth<'a>(
    rules: &'a Ruleset,
    chain: &'a ChainName,
    known: &mut BTreeMap<&'a ChainName, Option<usize>>,
) -> Option<usize> {
    if let Some(depth) = known.get(chain) {
        return *depth;
    }
    known.insert(chain, None);
    let mut deepest = 0;
    for next in rules.chains.get(chain)?.iter().filter_map(super::Rule::next_chain) {
        deepest = deepest.max(depth(rules, next, known)?);
    }
    known.insert(chain, Some(deepest + 1));
    Some(deepest + 1)
}
