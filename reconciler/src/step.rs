//! The steps from what the kernel holds to what it is to hold.

use std::fmt;

use chainmail_contract::{Family, SetName};

use crate::flip::Flip;

/// One step that changes the kernel.
///
/// A plan runs them in the order in which they stand here:
///
/// 1. [`Step::ClearLeftovers`]: half-made sets of a run that was killed go first; no rule refers to them. So do sets
///    of a wrong type that no rule of ours refers to any more.
/// 2. [`Step::CreateSets`]: rules cannot name a set that is not there. A set is filled under a temporary name and
///    renamed, so a set under its own name is always whole: `create -exist` and `add` would merge into a half-made
///    one and report success.
/// 3. [`Step::HealSets`]: sets whose members are not the ones in their name. Rules that are in force refer to them,
///    so they are swapped, which is one moment for every packet.
/// 4. [`Step::Flip`], IPv4 then IPv6: one commit a family, so that no packet meets a mix of two generations on one
///    node and family.
/// 5. [`Step::ReadBack`]: nft takes no lock, so only what is read afterwards is known to be in force.
/// 6. [`Step::DestroyOrphans`]: the kernel refuses to destroy a set that a rule refers to, and before the read-back
///    an old set may be needed to go back.
///
/// Each step may be run again after a crash: the next plan is made from what the kernel then holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Destroys half-made sets.
    ClearLeftovers {
        /// The sets.
        names: Vec<SetName>,
    },
    /// Creates missing sets.
    CreateSets {
        /// The sets.
        names: Vec<SetName>,
        /// `ipset restore` text.
        text: String,
    },
    /// Gives sets their members back.
    HealSets {
        /// The sets.
        names: Vec<SetName>,
        /// `ipset restore` text.
        text: String,
    },
    /// Changes the rules of a family in one commit.
    Flip {
        /// The family.
        family: Family,
        /// What changes, and the text that does it.
        flip: Flip,
    },
    /// Reads the kernel and compares.
    ReadBack,
    /// Destroys sets that no rule of ours needs any more.
    DestroyOrphans {
        /// The sets.
        names: Vec<SetName>,
    },
}

/// What a change is at, as its journal names it: the steps of the plan, and those around it that touch no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The snapshot is loaded into a network namespace of its own.
    Trial,
    /// [`Step::ClearLeftovers`].
    ClearLeftovers,
    /// [`Step::CreateSets`].
    CreateSets,
    /// [`Step::HealSets`].
    HealSets,
    /// [`Step::Flip`] of one family.
    Flip(Family),
    /// [`Step::ReadBack`].
    ReadBack,
    /// The snapshot is in force, and somebody is to say that it works.
    AwaitConfirm,
    /// The snapshot becomes the last good one.
    Record,
    /// [`Step::DestroyOrphans`].
    DestroyOrphans,
    /// Established flows that the new rules refuse are ended.
    CutFlows,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 11] = [
        Stage::Trial,
        Stage::ClearLeftovers,
        Stage::CreateSets,
        Stage::HealSets,
        Stage::Flip(Family::V4),
        Stage::Flip(Family::V6),
        Stage::ReadBack,
        Stage::AwaitConfirm,
        Stage::Record,
        Stage::DestroyOrphans,
        Stage::CutFlows,
    ];

    /// The stage that a step is.
    #[must_use]
    pub fn of(step: &Step) -> Self {
        match step {
            Step::ClearLeftovers { .. } => Stage::ClearLeftovers,
            Step::CreateSets { .. } => Stage::CreateSets,
            Step::HealSets { .. } => Stage::HealSets,
            Step::Flip { family, .. } => Stage::Flip(*family),
            Step::ReadBack => Stage::ReadBack,
            Step::DestroyOrphans { .. } => Stage::DestroyOrphans,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Trial => "trial",
            Stage::ClearLeftovers => "clear-leftovers",
            Stage::CreateSets => "create-sets",
            Stage::HealSets => "heal-sets",
            Stage::Flip(Family::V4) => "flip-v4",
            Stage::Flip(Family::V6) => "flip-v6",
            Stage::ReadBack => "read-back",
            Stage::AwaitConfirm => "await-confirm",
            Stage::Record => "record",
            Stage::DestroyOrphans => "destroy-orphans",
            Stage::CutFlows => "cut-flows",
        })
    }
}
