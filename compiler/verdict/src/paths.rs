//! How chains lead to each other: no loops, and how deep the longest way goes.

use crate::ruleset::{ChainId, Ruleset, Target};

/// For each chain the longest way down from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Paths {
    /// How many chains that way has, the chain itself included.
    lengths: Vec<usize>,
    /// The next chain on it.
    next: Vec<Option<ChainId>>,
}

impl Paths {
    /// Measures all chains, callees first; gives a loop if there is one. It uses no recursion, as a text may nest
    /// chains deeper than the stack is.
    pub(crate) fn measure(rules: &Ruleset) -> Result<Self, Vec<ChainId>> {
        let callees: Vec<Vec<ChainId>> = rules.chains().iter().map(|chain| callees(&chain.rules)).collect();
        let mut callers: Vec<Vec<usize>> = vec![Vec::new(); callees.len()];
        let mut open: Vec<usize> = Vec::with_capacity(callees.len());
        for (caller, called) in callees.iter().enumerate() {
            open.push(called.len());
            for callee in called {
                callers[callee.index()].push(caller);
            }
        }
        let mut lengths = vec![0; callees.len()];
        let mut next = vec![None; callees.len()];
        let mut ready: Vec<usize> = (0..callees.len()).filter(|&chain| open[chain] == 0).collect();
        let mut measured = 0;
        while let Some(chain) = ready.pop() {
            measured += 1;
            let deepest = callees[chain].iter().copied().max_by_key(|callee| lengths[callee.index()]);
            lengths[chain] = 1 + deepest.map_or(0, |callee| lengths[callee.index()]);
            next[chain] = deepest;
            for &caller in &callers[chain] {
                open[caller] -= 1;
                if open[caller] == 0 {
                    ready.push(caller);
                }
            }
        }
        if measured == callees.len() {
            return Ok(Self { lengths, next });
        }
        Err(find_loop(&callees, &open))
    }

    /// The chains of the longest way down from one, itself first.
    pub(crate) fn longest_from(&self, chain: ChainId) -> Vec<ChainId> {
        let mut path = Vec::with_capacity(self.lengths[chain.index()]);
        let mut at = Some(chain);
        while let Some(chain) = at {
            path.push(chain);
            at = self.next[chain.index()];
        }
        path
    }
}

/// The chains that rules lead to, each once.
fn callees(rules: &[crate::Rule]) -> Vec<ChainId> {
    let mut callees: Vec<ChainId> = rules
        .iter()
        .filter_map(|rule| match rule.target {
            Target::Jump(chain) | Target::Goto(chain) => Some(chain),
            Target::Continue
            | Target::Return
            | Target::Accept
            | Target::Drop
            | Target::Reject(_)
            | Target::Nflog(_) => None,
        })
        .collect();
    callees.sort_unstable();
    callees.dedup();
    callees
}

/// A chain that could not be measured leads to another such: followed long enough, they come round.
fn find_loop(callees: &[Vec<ChainId>], open: &[usize]) -> Vec<ChainId> {
    let unmeasured = |chain: &usize| open[*chain] > 0;
    let mut seen_at: Vec<Option<usize>> = vec![None; callees.len()];
    let mut path: Vec<ChainId> = Vec::new();
    let mut at = (0..callees.len()).find(unmeasured);
    while let Some(chain) = at {
        if let Some(start) = seen_at[chain] {
            return path.split_off(start);
        }
        seen_at[chain] = Some(path.len());
        path.push(ChainId(u32::try_from(chain).expect("chain ids are 32 bits")));
        at = callees[chain].iter().map(|callee| callee.index()).find(unmeasured);
    }
    path
}
