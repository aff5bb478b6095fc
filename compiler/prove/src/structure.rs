//! What must hold of chains and sets whatever packets there are.

use std::collections::BTreeSet;

use chainmail_contract::{FORWARD_CHAIN, Family, cut_set_name, is_cut_set};
use chainmail_verdict::{ChainId, Condition, ForwardJump, Kernel, Rule, Ruleset, Target};

use super::Flaw;

/// The most chains on a path from FORWARD's jump. nft tables refuse 16 below FORWARD, gotos counted, and a host may hook
/// the jump one or two chains deeper. The writer has this limit for itself: the judge takes no figure from it.
const CHAINS_ON_A_PATH_MAX: usize = 12;

/// Everything that is wrong with how chains and sets hang together. That each name that is used exists, and that no chain
/// leads back into itself, was seen when the kernel was put together.
pub(super) fn flaws(kernel: &Kernel) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let mut named = BTreeSet::new();
    for family in Family::ALL {
        let rules = kernel.rules(family);
        let chains = kernel.longest_path(family).len();
        if chains > CHAINS_ON_A_PATH_MAX {
            flaws.push(Flaw::Deep { family, chains });
        }
        let reached = reached(kernel, family);
        for (at, chain) in (0..).map(ChainId::at).zip(rules.chains()) {
            if !reached.contains(&at) {
                flaws.push(Flaw::Unreachable { family, chain: chain.name.clone() });
            }
            flaws.extend(twice(&chain.rules).map(|rule| Flaw::Twice { family, rule: rule.text.clone() }));
        }
        named.extend(rules.sets());
        let cut = cut_set_name(family);
        if !kernel.sets().iter().any(|set| *set.name() == cut) {
            flaws.push(Flaw::NoCutSet(cut));
        }
    }
    let unused =
        kernel.sets().iter().map(|set| set.name()).filter(|name| !named.contains(name) && !is_cut_set(name));
    flaws.extend(unused.map(|name| Flaw::UnusedSet(name.clone())));
    flaws
}

/// The first rule that another one behind it repeats, but for its comment.
fn twice(rules: &[Rule]) -> Option<&Rule> {
    let mut sorted: Vec<_> =
        rules.iter().enumerate().map(|(place, rule)| (&rule.target, &rule.matches, place)).collect();
    sorted.sort_unstable();
    let repeated = sorted.windows(2).filter(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1));
    repeated.map(|pair| pair[0].2).min().map(|place| &rules[place])
}

/// The chains that packets can come to.
fn reached(kernel: &Kernel, family: Family) -> BTreeSet<ChainId> {
    let rules = kernel.rules(family);
    let mut waiting: Vec<ChainId> = rules.find(FORWARD_CHAIN).into_iter().collect();
    let mut reached = BTreeSet::new();
    while let Some(chain) = waiting.pop() {
        if reached.insert(chain) {
            waiting.extend(rules.chain(chain).rules.iter().filter_map(|rule| match rule.target {
                Target::Jump(to) | Target::Goto(to) => Some(to),
                _ => None,
            }));
        }
    }
    reached
}

/// Rules that let packets go nowhere, in rules that are only to be observed.
pub(super) fn refusals(rules: &Ruleset) -> impl Iterator<Item = &Rule> {
    let all = rules.chains().iter().flat_map(|chain| &chain.rules);
    all.filter(|rule| matches!(rule.target, Target::Drop | Target::Reject(_)))
}

/// Rules of others, where there should be none.
pub(super) fn others(kernel: &Kernel) -> Vec<Flaw> {
    let of = |family| {
        let foreign = kernel.rules(family).foreign().iter().filter(|chain| !chain.rules.is_empty());
        foreign.map(move |chain| Flaw::Foreign { family, chain: chain.name.clone() })
    };
    Family::ALL.into_iter().flat_map(of).collect()
}

/// Sets of ours that do not hold what their names say.
pub(super) fn wrong_names(kernel: &Kernel) -> Vec<Flaw> {
    let sets = kernel.sets().iter();
    let wrong = sets.filter(|set| set.content_name().is_some_and(|name| name != *set.name()));
    wrong.map(|set| Flaw::Content { set: set.name().clone() }).collect()
}

/// Families where FORWARD does not send every packet to our chains once, and rules by which one may pass before.
pub(super) fn wrong_jumps(kernel: &Kernel) -> Vec<Flaw> {
    let wrong = |family: Family| {
        let rules = kernel.rules(family);
        let jumps = rules.forward_jumps();
        let is_right = matches!(jumps[..], [ForwardJump { condition: Condition::Always, .. }]);
        let passing = rules.passing_before_our_jump().into_iter();
        let passing = passing.map(move |rule| Flaw::PassesBefore { family, rule: rule.into() });
        (!is_right).then_some(Flaw::Jump(family)).into_iter().chain(passing)
    };
    Family::ALL.into_iter().flat_map(wrong).collect()
}
