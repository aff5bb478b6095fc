//! The one way out: takes away all that is ours, and nothing else.

use chainmail_contract::SetName;
use thiserror::Error;

use crate::apply::{Outcome, destroy};
use crate::desired::DesiredTable;
use crate::exit::Exit;
use crate::flip::Flip;
use crate::kernel::{Kernel, KernelError};
use crate::live::LiveTable;
use crate::place::Place;
use crate::step::Step;

/// What kept something of ours in the kernel.
#[derive(Debug, Error)]
pub enum UninstallError {
    /// The kernel's state cannot be read, so nothing was changed.
    #[error("nothing was changed: {0}")]
    Read(#[source] KernelError),
    /// Rules of others lead into our chains. Deleting those rules is not ours to do.
    #[error("nothing was changed: rules of others lead into our chains; delete them first: {}", .rules.join("; "))]
    Strangers {
        /// The rules, as `iptables-save` prints them.
        rules: Vec<String>,
    },
    /// A family's rules could not be removed.
    #[error("some rules are still in force; run it again: {0}")]
    Rules(#[source] KernelError),
    /// All steps succeeded, and rules of ours are still there.
    #[error(
        "rules of ours came back while they were being removed; stop what applies them, then run it again"
    )]
    CameBack,
    /// The sets cannot be read.
    #[error("all rules are removed, but not the sets: {0}")]
    SetsUnread(#[source] KernelError),
    /// A set is still in use by a rule that is not ours.
    #[error("all rules are removed, but these sets are still in use by rules of others: {}", .sets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Sets {
        /// The sets.
        sets: Vec<SetName>,
    },
}

impl UninstallError {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            UninstallError::Read(_) | UninstallError::Strangers { .. } => Exit::OldStateInForce,
            UninstallError::Rules(_)
            | UninstallError::CameBack
            | UninstallError::SetsUnread(_)
            | UninstallError::Sets { .. } => Exit::UnexpectedState,
        }
    }
}

/// Removes the jump and our chains from the tables of one backend.
///
/// # Errors
/// When the kernel refuses, or a rule of others leads into our chains.
pub fn remove_rules(kernel: &mut dyn Kernel, outcome: &mut Outcome) -> Result<(), UninstallError> {
    let tables = kernel.tables().map_err(UninstallError::Read)?;
    let rules: Vec<_> = tables.values().flat_map(|table| table.strangers.iter().cloned()).collect();
    if !rules.is_empty() {
        return Err(UninstallError::Strangers { rules });
    }
    let nothing = DesiredTable::default();
    for (&family, table) in &tables {
        if let Some(flip) = Flip::between(table, &nothing, &Place::Anywhere) {
            kernel.restore_rules(family, &flip.text).map_err(UninstallError::Rules)?;
            outcome.steps.push(Step::Flip { family, flip });
        }
    }
    let left = kernel.tables().map_err(UninstallError::Rules)?;
    if left.values().all(LiveTable::is_empty) { Ok(()) } else { Err(UninstallError::CameBack) }
}

/// Destroys all our sets, the ones of cut flows among them. No rule of ours may be left.
///
/// # Errors
/// When a set stays in use.
pub fn remove_sets(kernel: &mut dyn Kernel, outcome: &mut Outcome) -> Result<(), UninstallError> {
    let names: Vec<_> = kernel.sets().map_err(UninstallError::SetsUnread)?.into_keys().collect();
    if names.is_empty() {
        return Ok(());
    }
    let sets = destroy(kernel, &names);
    outcome.steps.push(Step::DestroyOrphans { names });
    if sets.is_empty() { Ok(()) } else { Err(UninstallError::Sets { sets }) }
}

#[cfg(test)]
mod tests {
    use chainmail_contract::Family;

    use super::*;
    use crate::apply::{Change, apply};
    use crate::kernel::fake::FakeKernel;
    use crate::testing::policy;

    fn foreign() -> FakeKernel {
        FakeKernel::new().with_sets("create KUBE-X hash:ip family inet\n").with_rules(
            Family::V4,
            "*filter\n:KUBE - [0:0]\n-A KUBE -j ACCEPT\n-I FORWARD 1 -j KUBE\nCOMMIT\n",
        )
    }

    fn applied() -> FakeKernel {
        let mut kernel = foreign();
        let live = kernel.live().unwrap();
        let change = Change { desired: &policy(&["10.0.0.1"], 80), place: &Place::First, old: None };
        apply(&mut kernel, change, &live).unwrap();
        kernel
    }

    #[test]
    fn only_what_is_ours_goes_and_twice_is_once() {
        let mut kernel = applied();
        for _ in 0..2 {
            let mut outcome = Outcome::default();
            remove_rules(&mut kernel, &mut outcome).unwrap();
            remove_sets(&mut kernel, &mut outcome).unwrap();
            assert_eq!(kernel.tables, foreign().tables);
            assert_eq!(kernel.sets, foreign().sets);
        }
    }

    #[test]
    fn a_rule_of_others_into_our_chains_is_named() {
        let mut kernel =
            applied().with_rules(Family::V4, "*filter\n:KUBE - [0:0]\n-A KUBE -j CM-INGRESS\nCOMMIT\n");
        let before = kernel.tables.clone();
        let error = remove_rules(&mut kernel, &mut Outcome::default()).unwrap_err();
        assert!(error.to_string().contains("-A KUBE -j CM-INGRESS"), "{error}");
        assert_eq!(kernel.tables, before);
    }
}
