//! What is the same wherever it stands: the contents of sets, and chains that ask for the peer and the service only.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use chainmail_contract::{ChainName, Family, SetName};

use super::region::{Asked, Holding};
use super::traffic::Differences;
use super::{AddressSet, Ending, ServiceSet, Traffic};
use crate::{Chain, Denial, End, Match, Rule, Ruleset, Set, SetType, Target, Test};

/// What a chain makes of all traffic of a subject, whichever subject it is. The parts have nothing in common, and
/// together they are everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What returns to where the chain was entered from, at its end too.
    pub returned: Rc<Traffic>,
    /// What passes the whole table.
    pub accepted: Rc<Traffic>,
    /// What is dropped.
    pub dropped: Rc<Traffic>,
    /// What is told of as denied and dropped.
    pub logged: Rc<Traffic>,
    /// What is told of as denied and goes on.
    pub observed: Rc<Traffic>,
}

impl Summary {
    /// What ends in each way; what returns does so where the chain was entered from.
    #[must_use]
    pub fn parts<'s>(&'s self, returned: &'s Ending) -> [(&'s Traffic, &'s Ending); 5] {
        [
            (&self.returned, returned),
            (&self.accepted, &Ending::Accept),
            (&self.dropped, &Ending::Drop),
            (&self.logged, &Ending::Logged),
            (&self.observed, &Ending::Observed),
        ]
    }
}

/// Summaries of chains, and the contents of sets, kept for the next rules that hold the same: a node's neighbour has
/// most of its chains and sets.
#[derive(Debug, Default)]
pub struct Summaries {
    pub(super) contents: SetContents,
    differences: Differences,
    /// All addresses of each family.
    everyone: BTreeMap<Family, Rc<AddressSet>>,
    chains: BTreeMap<(Family, End, ChainName), Known>,
}

/// A chain that was summed up.
#[derive(Debug)]
struct Known {
    /// Its rules, and the sets they name: a name alone says nothing of what a kernel holds.
    rules: Vec<(Vec<Match>, Option<Outcome>)>,
    sets: Vec<Arc<Set>>,
    /// `None` where the chain asks for more than the peer and the service.
    summary: Option<Rc<Summary>>,
}

impl Summaries {
    /// What a chain makes of any subject's traffic, where that does not depend on the subject or the mode.
    pub(super) fn of(&mut self, asked: &Asked<'_>, chain: &Chain) -> Option<Rc<Summary>> {
        let family = asked.all.traffic.family();
        let rules = asked.kernel.rules(family);
        let key = (family, asked.subject, chain.name.clone());
        let sets = || {
            chain.rules.iter().flat_map(|rule| &rule.matches).filter_map(|m| match &m.test {
                Test::Set { set, .. } => Some(asked.kernel.set(family, *set)),
                _ => None,
            })
        };
        if let Some(known) = self.chains.get(&key)
            && known.rules.len() == chain.rules.len()
            && known.rules.iter().zip(&chain.rules).all(|(known, rule)| same_but_sets(rules, known, rule))
            && known.sets.len() == sets().count()
            && known.sets.iter().zip(sets()).all(|(a, b)| Arc::ptr_eq(a, b))
        {
            return known.summary.clone();
        }
        let summary = self.sum_up(asked, chain).map(Rc::new);
        let told = |rule: &Rule| (rule.matches.clone(), Outcome::of(rules, &rule.target));
        let known = Known {
            rules: chain.rules.iter().map(told).collect(),
            sets: sets().cloned().collect(),
            summary: summary.clone(),
        };
        self.chains.insert(key, known);
        summary
    }

    fn sum_up(&mut self, asked: &Asked<'_>, chain: &Chain) -> Option<Summary> {
        let family = asked.all.traffic.family();
        let everyone = self.everyone.entry(family).or_insert_with(|| Rc::new(AddressSet::all(family)));
        let everyone = Rc::clone(everyone);
        let mut left = Traffic::of(Rc::clone(&everyone), &ServiceSet::all());
        let nothing = || Traffic::none(family);
        let (mut returned, mut accepted, mut dropped) = (nothing(), nothing(), nothing());
        let (mut logged, mut observed) = (nothing(), nothing());
        for rule in &chain.rules {
            // What is left may have thousands of runs, and all conditions together ask for few.
            let mut wanted: Option<Rc<Traffic>> = None;
            for condition in &rule.matches {
                match asked.holding(condition, &everyone, &mut self.contents) {
                    Ok(Holding::Always) => {}
                    Ok(Holding::Never) => wanted = Some(Rc::new(nothing())),
                    Ok(Holding::Traffic(traffic)) => {
                        wanted = Some(match wanted {
                            None => traffic,
                            Some(wanted) => Rc::new(wanted.intersection(&traffic)),
                        });
                    }
                    Ok(Holding::Of(_) | Holding::Split(_)) | Err(_) => return None,
                }
            }
            let within = wanted.map_or_else(|| left.clone(), |wanted| left.intersection(&wanted));
            let into = match Outcome::of(asked.kernel.rules(family), &rule.target)? {
                Outcome::Return => &mut returned,
                Outcome::Accept => &mut accepted,
                Outcome::Drop => &mut dropped,
                Outcome::Logged => &mut logged,
                Outcome::Observed => &mut observed,
                Outcome::Continue => continue,
            };
            into.add(&within);
            left.remove_known(&within, &mut self.differences);
        }
        returned.add(&left);
        let [returned, accepted, dropped, logged, observed] =
            [returned, accepted, dropped, logged, observed].map(Rc::new);
        Some(Summary { returned, accepted, dropped, logged, observed })
    }
}

/// What a target makes of a packet, whatever chains are called or counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Return,
    Accept,
    Drop,
    Logged,
    Observed,
    Continue,
}

impl Outcome {
    /// `None` where it takes more than this rule to tell.
    fn of(rules: &Ruleset, target: &Target) -> Option<Self> {
        match target {
            Target::Return => Some(Outcome::Return),
            Target::Accept => Some(Outcome::Accept),
            Target::Drop => Some(Outcome::Drop),
            Target::Continue | Target::Nflog(_) => Some(Outcome::Continue),
            Target::Jump(to) | Target::Goto(to) => rules.chain(*to).denial().map(|denial| match denial {
                Denial::Logged => Outcome::Logged,
                Denial::Observed => Outcome::Observed,
            }),
            Target::Reject(_) => None,
        }
    }
}

/// Whether rules of two kernels say the same, but for which sets they name.
fn same_but_sets(rules: &Ruleset, (matches, outcome): &(Vec<Match>, Option<Outcome>), rule: &Rule) -> bool {
    let same = |(a, b): (&Match, &Match)| match (&a.test, &b.test) {
        (Test::Set { ends, .. }, Test::Set { ends: others, .. }) => a.sense == b.sense && ends == others,
        _ => a == b,
    };
    *outcome == Outcome::of(rules, &rule.target)
        && matches.len() == rule.matches.len()
        && matches.iter().zip(&rule.matches).all(same)
}

/// What sets hold.
#[derive(Debug, Default)]
pub(super) struct SetContents {
    addresses: BTreeMap<SetName, (Arc<Set>, Rc<AddressSet>)>,
    services: BTreeMap<SetName, (Arc<Set>, Rc<Traffic>)>,
}

impl SetContents {
    /// The addresses of a set of one dimension.
    pub(super) fn addresses(&mut self, set: &Arc<Set>) -> Rc<AddressSet> {
        let nobody = || AddressSet::none(set.family());
        known(&mut self.addresses, set, || AddressSet::of_set(set).unwrap_or_else(nobody))
    }

    /// The services of a set of two dimensions.
    pub(super) fn services(&mut self, set: &Arc<Set>) -> Rc<Traffic> {
        debug_assert_eq!(set.set_type(), SetType::HashIpPort);
        known(&mut self.services, set, || Traffic::of_set(set).unwrap_or_else(|| Traffic::none(set.family())))
    }
}

fn known<T>(
    all: &mut BTreeMap<SetName, (Arc<Set>, Rc<T>)>,
    set: &Arc<Set>,
    read: impl FnOnce() -> T,
) -> Rc<T> {
    match all.get(set.name()) {
        Some((of, contents)) if Arc::ptr_eq(of, set) => Rc::clone(contents),
        _ => {
            let contents = Rc::new(read());
            all.insert(set.name().clone(), (Arc::clone(set), Rc::clone(&contents)));
            contents
        }
    }
}
