//! The steps from what the kernel holds to what it is to hold.

use chainmail_snapshot::{Family, SetName};

use crate::flip::Flip;

/// One step.
///
/// A plan runs them in the order in which they stand here:
///
/// 1. [`Step::ClearLeftovers`]: half-made sets of a run that was killed go first; no rule refers to them.
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
