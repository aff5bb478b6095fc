//! What a node's program costs its kernel.

use chainmail_contract::Family;
use chainmail_model::Cost;

use super::{ChainOrigins, NodeProgram};

impl NodeProgram {
    /// Counts what the rules and sets cost the node.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let longest = |family: Family, prefix: &str| {
            let of_side =
                |chain: &&ChainOrigins| chain.family == family && chain.chain.as_str().starts_with(prefix);
            self.provenance.iter().filter(of_side).max_by_key(|chain| chain.origins.len())
        };
        let of_family = |family| [longest(family, "CM-E-"), longest(family, "CM-I-")];
        let rules =
            |family| of_family(family).iter().flatten().map(|chain| chain.origins.len()).sum::<usize>();
        let chains = Family::ALL.into_iter().flat_map(of_family).flatten();
        let longest = chains.max_by_key(|chain| chain.origins.len());
        Cost {
            rules: Family::ALL.into_iter().map(rules).max().unwrap_or_default(),
            longest: longest
                .and_then(|chain| chain.origins.iter().flatten().next())
                .map(|origin| origin.policy_index()),
            sets: self.sets.len(),
            members: self.sets.values().map(|set| set.members().len()).sum(),
        }
    }
}
