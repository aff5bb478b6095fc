//! What a node's program costs its kernel.

use chainmail_snapshot::Family;

use super::{ChainOrigins, NodeProgram};

/// What one node's rules cost: time for each new connection, and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The rules of the longest class of egress and that of ingress together, which are crossed one by one.
    pub(crate) rules: usize,
    /// The place of the first policy with a rule in the longest class.
    pub(crate) longest: Option<usize>,
    /// Sets, beside those of cut flows.
    pub(crate) sets: usize,
    /// The members of all sets.
    pub(crate) members: usize,
}

impl Cost {
    /// Counts a node's program.
    pub(crate) fn of(program: &NodeProgram) -> Self {
        let longest = |family: Family, prefix: &str| {
            let of_side =
                |chain: &&ChainOrigins| chain.family == family && chain.chain.as_str().starts_with(prefix);
            program.provenance.iter().filter(of_side).max_by_key(|chain| chain.origins.len())
        };
        let of_family = |family| [longest(family, "CM-E-"), longest(family, "CM-I-")];
        let rules =
            |family| of_family(family).iter().flatten().map(|chain| chain.origins.len()).sum::<usize>();
        let chains = Family::ALL.into_iter().flat_map(of_family).flatten();
        let longest = chains.max_by_key(|chain| chain.origins.len());
        Self {
            rules: Family::ALL.into_iter().map(rules).max().unwrap_or_default(),
            longest: longest
                .and_then(|chain| chain.origins.iter().flatten().next())
                .map(|origin| origin.policy_index()),
            sets: program.sets.len(),
            members: program.sets.values().map(|set| set.members().len()).sum(),
        }
    }
}
