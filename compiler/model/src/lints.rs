//! What `[lint]` of `chainmail.toml` says, and what is held against it.

use std::collections::BTreeMap;

use chainmail_findings::{Code, Severity};

/// How a lint's findings are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As findings of this severity.
    Report(Severity),
    /// Not at all.
    Off,
}

/// What the rules of one node may come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Budget {
    /// Rules that a new connection of one pod crosses, of both directions together, beside those that find the pod's.
    pub rules: usize,
    /// Sets.
    pub sets: usize,
    /// Members of all sets.
    pub members: usize,
}

impl Default for Budget {
    /// A hundred rules that ask a set make a packet three times as slow to forward; 5,000 sets take a second to load, and
    /// 200,000 members another (measured on Linux 6.1 with iptables 1.8.9 and ipset 7.17).
    fn default() -> Self {
        Self { rules: 100, sets: 5_000, members: 200_000 }
    }
}

/// How lints are reported, and the budget that nodes are held against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LintSettings {
    /// The levels that differ from the codes' own.
    pub levels: BTreeMap<Code, Level>,
    /// What a node may cost.
    pub budget: Budget,
}

/// What one node's rules cost: time for each new connection, and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// The rules of the longest class of egress and that of ingress together, which are crossed one by one.
    pub rules: usize,
    /// The place of the first policy with a rule in the longest class, among the cluster's policies.
    pub longest: Option<usize>,
    /// Sets, beside those of cut flows.
    pub sets: usize,
    /// The members of all sets.
    pub members: usize,
}
