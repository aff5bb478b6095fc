//! Rules as data: chains, matches, targets and sets of one node. Nothing here knows a policy; nothing here is text yet.

mod check;
mod rule;
mod set;
mod text;

use std::collections::BTreeMap;
use std::rc::Rc;

use chainmail_contract::{ChainName, Family, Level};

pub use check::{CHAINS_ON_A_PATH_MAX, longest_path};
pub use rule::{
    Comment, ConnState, Match, PortRange, Ports, Protocol, Rule, SetRef, Side, SideOrder, Target,
};
pub use set::IpSet;

/// Our chains of one family, in table `filter`. Chains that are alike on several nodes are shared, not copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// The family.
    pub family: Family,
    /// The chains by name.
    pub chains: BTreeMap<ChainName, Rc<Vec<Rule>>>,
}

impl Ruleset {
    /// The grammar level of a snapshot with these rules.
    #[must_use]
    pub fn level(&self) -> Level {
        let rules = self.chains.values().flat_map(|rules| rules.iter());
        rules.flat_map(|rule| &rule.matches).map(Match::level).max().unwrap_or_default()
    }
}
