//! Ends the established flows that new rules refuse, and lets live again those that they allow again.

use chainmail_contract::{Family, Joined, SetName, cut_set_name, is_cut_set};
use chainmail_verdict::{Kernel as Rules, Ruleset, Sets};
use thiserror::Error;

use crate::files::{self, FileError};
use crate::flows::{self, Cut};
use crate::kernel::{Kernel, KernelError};
use crate::paths::Paths;

/// How often the flows are looked at: a packet between two of our steps may open one again, but then it is a member.
const ROUNDS: usize = 3;
/// How many cut flows are remembered. The oldest have left the set by themselves.
const REMEMBERED: usize = 65_536;

/// Why flows that the rules refuse may go on.
#[derive(Debug, Error)]
pub enum CutError {
    /// A tool failed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The list of cut flows cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The rules cannot be judged.
    #[error("the rules cannot be judged: {0}")]
    Rules(String),
    /// There are always new ones.
    #[error("flows that the rules refuse keep coming up")]
    Endless,
}

/// Ends the flows through this node that a snapshot, which is in force, refuses.
///
/// Each becomes a member of the set of cut flows before its entry is deleted: in between, its packets pass as before.
///
/// # Errors
/// When a tool fails; what was done so far stays.
pub fn cut(kernel: &mut dyn Kernel, paths: &Paths, snapshot: &Joined) -> Result<(), CutError> {
    let remembered = remembered(paths);
    let mut flows = kernel.flows()?;
    if flows.is_empty() && remembered.is_empty() {
        return Ok(());
    }
    let rules = rules(snapshot)?;
    let again = flows::allowed_again(&rules, &remembered);
    let sets: Vec<SetName> = snapshot.sets().keys().filter(|name| is_cut_set(name)).cloned().collect();
    let has_set = |family: Family| sets.contains(&cut_set_name(family));
    let text: String = again.iter().filter(|cut| has_set(cut.family())).map(Cut::removal).collect();
    restore(kernel, &text)?;
    let mut known: Vec<Cut> = remembered.into_iter().filter(|cut| !again.contains(cut)).collect();
    let node = kernel.host_addresses()?;
    for _ in 0..ROUNDS {
        let verdicts = flows::judge(&rules, flows, &node);
        if verdicts.refused.is_empty() {
            return remember(paths, &known);
        }
        let cuts: Vec<_> = verdicts.cut.into_iter().filter(|cut| has_set(cut.family())).collect();
        restore(kernel, &cuts.iter().map(Cut::addition).collect::<String>())?;
        kernel.forget_flows(&verdicts.refused)?;
        tracing::info!(flows = verdicts.refused.len(), "flows that the rules refuse were cut");
        known.extend(cuts);
        remember(paths, &known)?;
        flows = kernel.flows()?;
    }
    Err(CutError::Endless)
}

fn restore(kernel: &mut dyn Kernel, text: &str) -> Result<(), CutError> {
    if text.is_empty() { Ok(()) } else { Ok(kernel.restore_sets(text)?) }
}

/// The rules of a snapshot, to be judged by.
///
/// # Errors
/// When the kernel would not load them.
pub fn rules(snapshot: &Joined) -> Result<Rules, CutError> {
    let fail = |error: &dyn std::fmt::Display| CutError::Rules(error.to_string());
    let [v4, v6] = Family::ALL.map(|family| Ruleset::parse(family, snapshot.rules(family)));
    let sets = Sets::parse(&snapshot.ipsets()).map_err(|error| fail(&error))?;
    let rules = Rules::new(v4.map_err(|error| fail(&error))?, v6.map_err(|error| fail(&error))?, sets);
    rules.map_err(|problems| {
        CutError::Rules(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })
}

/// What can be read of it counts: a damaged file must not keep later flows from being ended.
fn remembered(paths: &Paths) -> Vec<Cut> {
    let text = files::read_lines(&paths.cut()).unwrap_or_else(|error| {
        tracing::warn!(%error, "it is not known which flows were ended before");
        None
    });
    text.unwrap_or_default().lines().filter_map(Cut::parse).collect()
}

fn remember(paths: &Paths, cuts: &[Cut]) -> Result<(), CutError> {
    let old = cuts.len().saturating_sub(REMEMBERED);
    let text: String = cuts.iter().skip(old).map(Cut::record).collect();
    if files::read(&paths.cut()).ok().flatten().unwrap_or_default() != text {
        files::replace(&paths.cut(), &text)?;
    }
    Ok(())
}
