//! The proof that rules do what policies say, for every packet.
//!
//! ```text
//! text of a node ─► Kernel ─► pieces: where every packet ends ─┐
//!                                                              ├─► compare ─► Flaw, with a packet that shows it
//! cluster ─► Meaning ─► Contract: what must become of it ──────┘
//! ```
//!
//! CM-FORWARD is proven in two halves: all that it asks before the destination's policies, for every source, and the rest
//! for every destination. A packet that is not refused by the first half and not let out by it meets the second, so a
//! node whose halves both do as they must lets through what both ends allow, and nothing else.

// What others wrote never ends the program: it becomes an error that names its place.
#![warn(clippy::panic, clippy::unreachable, clippy::get_unwrap, clippy::string_slice)]

mod compare;
mod contract;
mod flaw;
pub mod live;
mod meaning;
mod structure;

use std::collections::BTreeMap;
use std::rc::Rc;

use chainmail_contract::{FORWARD_CHAIN, Family, INGRESS_CHAIN, NodeSnapshot, SetName};
use chainmail_findings::Places;
use chainmail_model::{Cluster, Direction, Node, Refusal};
use chainmail_verdict::exact::{Modes, Stretch, Summaries, Summary, Traffic};
use chainmail_verdict::{End, Kernel, ReadError, Rule, Ruleset, Sets, Target};

pub use contract::{Exit, Expected, Way};
pub use flaw::{Difference, Flaw, FlawText};
pub use meaning::Meaning;

use compare::Compare;
use contract::{Contract, Ends};

/// Proves nodes one after the other; what they share is proven once.
pub struct Prover<'a> {
    cluster: &'a Cluster,
    places: &'a dyn Places,
    meaning: Meaning<'a>,
    summaries: Summaries,
    /// Every set that was read so far.
    sets: Sets,
    agreements: Agreements,
}

/// Chains and policies that were held against each other, each by its one copy in memory, and what denied packets come to.
type Agreements = BTreeMap<(*const Summary, *const Traffic, Refusal), (Rc<Summary>, Rc<Traffic>, bool)>;

impl<'a> Prover<'a> {
    /// Works out what the policies say.
    #[must_use]
    pub fn new(cluster: &'a Cluster, places: &'a dyn Places) -> Self {
        let (summaries, agreements) = (Summaries::default(), Agreements::new());
        Self { cluster, places, meaning: Meaning::new(cluster), summaries, sets: Sets::default(), agreements }
    }

    /// Proves a node's text as it was rendered.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn snapshot(&mut self, node: &Node, snapshot: &NodeSnapshot) -> Result<(), Vec<Flaw>> {
        let texts = snapshot.sets.iter().map(|(name, text)| (name, &**text));
        let rules = [&*snapshot.rules_v4, &*snapshot.rules_v6];
        let kernel = self.read(node, rules, texts)?;
        self.ours(node, &kernel, structure::others(&kernel))
    }

    /// Proves a node's text as it was found in files: also that each set holds what its name says.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn text<'t>(
        &mut self,
        node: &Node,
        rules: [&str; 2],
        sets: impl Iterator<Item = (&'t SetName, &'t str)>,
    ) -> Result<(), Vec<Flaw>> {
        let kernel = self.read(node, rules, sets)?;
        let flaws = structure::others(&kernel).into_iter().chain(structure::wrong_names(&kernel));
        self.ours(node, &kernel, flaws.collect())
    }

    /// Proves what a node's kernel holds: also that packets come to our chains at all. Chains of others are theirs.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn live(&mut self, node: &Node, kernel: &Kernel) -> Result<(), Vec<Flaw>> {
        let flaws = structure::wrong_jumps(kernel).into_iter().chain(structure::wrong_names(kernel));
        self.ours(node, kernel, flaws.collect())
    }

    /// Reads a node's text back; a set that another node has too is read once.
    fn read<'t>(
        &mut self,
        node: &Node,
        rules: [&str; 2],
        sets: impl Iterator<Item = (&'t SetName, &'t str)>,
    ) -> Result<Kernel, Vec<Flaw>> {
        let unreadable = |error| vec![Flaw::Unreadable { node: node.name.clone(), error }];
        let mut names = Vec::new();
        for (name, text) in sets {
            if self.sets.get(name).is_none() {
                let read = Sets::parse(text).map_err(ReadError::Parse);
                self.sets.extend(read.map_err(unreadable)?);
            }
            names.push(name);
        }
        Kernel::read(rules, self.sets.only(names)).map_err(unreadable)
    }

    /// Proves our chains and sets, and what packets they let through, beside what was found already.
    fn ours(&mut self, node: &Node, kernel: &Kernel, mut flaws: Vec<Flaw>) -> Result<(), Vec<Flaw>> {
        flaws.extend(structure::flaws(kernel));
        for family in Family::ALL {
            self.family(node, kernel, family, &mut flaws);
        }
        if flaws.is_empty() { Ok(()) } else { Err(flaws) }
    }

    fn family(&mut self, node: &Node, kernel: &Kernel, family: Family, flaws: &mut Vec<Flaw>) {
        let rules = kernel.rules(family);
        let Some(forward) = rules.find(FORWARD_CHAIN).map(|id| rules.chain(id)) else {
            flaws.push(Flaw::NoForwardChain(family));
            return;
        };
        let refusal = node.settings.refusal();
        if matches!(refusal, Refusal::Observe(_)) {
            flaws.extend(
                structure::refusals(rules).map(|rule| Flaw::Refuses { family, rule: rule.text.clone() }),
            );
        }
        let modes = Modes::of(rules, &contract::asked(node));
        let ends = Ends::new(&self.meaning, node, family);
        let halfway = second_half(rules, &forward.rules);
        let halves = [
            (Direction::Egress, End::Src, 0..halfway),
            (Direction::Ingress, End::Dst, halfway..forward.rules.len()),
        ];
        for (direction, subject, rules) in halves {
            let stretch = Stretch { family, subject, rules, modes: &modes };
            let mut pieces = match kernel.pieces(&stretch, &mut self.summaries) {
                Ok(pieces) => pieces,
                Err(error) => {
                    flaws.push(Flaw::Unprovable { family, error });
                    continue;
                }
            };
            if direction == Direction::Ingress {
                pieces.iter_mut().for_each(|piece| piece.ending.at_the_end());
            }
            let contract = Contract::new(&self.meaning, node, &ends, &modes, direction);
            let mut compare = Compare::new(&contract, &mut self.agreements, modes.all(), refusal);
            let found = pieces.iter().find_map(|piece| compare.piece(piece));
            flaws.extend(found.map(|found| {
                let context = flaw::Context {
                    cluster: self.cluster,
                    places: self.places,
                    meaning: &self.meaning,
                    node,
                    kernel,
                    modes: &modes,
                };
                Flaw::Difference(Box::new(context.difference(direction, found)))
            }));
        }
    }
}

/// Where CM-FORWARD begins to ask for the destination's policies: the last of its rules that do so, and those that
/// accept what passed. What stands before is all of the first half.
fn second_half(rules: &Ruleset, forward: &[Rule]) -> usize {
    let is_last = |rule: &&Rule| match rule.target {
        Target::Accept => true,
        Target::Jump(to) | Target::Goto(to) => rules.chain(to).name.as_str() == INGRESS_CHAIN,
        Target::Continue | Target::Return | Target::Drop | Target::Reject(_) | Target::Nflog(_) => false,
    };
    forward.len() - forward.iter().rev().take_while(is_last).count()
}
