//! What `[lint]` of `chainmail.toml` says.

use std::collections::BTreeMap;

use crate::diagnostic::{Code, Findings, Severity};

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

impl LintSettings {
    /// Gives findings their levels; those that are off are gone.
    pub(super) fn apply(&self, findings: &mut Findings) {
        findings.retain_mut(|finding| match self.levels.get(&finding.code) {
            None => true,
            Some(Level::Off) => false,
            Some(Level::Report(severity)) => {
                finding.severity = *severity;
                true
            }
        });
    }
}
