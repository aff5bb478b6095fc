//! A walk that takes all packets at once.

use std::ops::Range;
use std::rc::Rc;

use chainmail_snapshot::{ChainName, FORWARD_CHAIN, Family};
use thiserror::Error;

use super::region::{Asked, Holding, Part, split};
use super::{AddressSet, ModeSet, Modes, Summaries, Summary, Traffic};
use crate::ruleset::{ChainId, RejectWith, Rule, Target};
use crate::{End, Kernel};

/// Where packets end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// They come to the rule of CM-FORWARD behind the stretch that was walked.
    Through,
    /// They leave our chains for FORWARD's next rule.
    Pass,
    /// They pass the whole table.
    Accept,
    /// They are gone.
    Drop,
    /// They are gone and their sender told.
    Reject(RejectWith),
    /// A chain decides by peer and service, which its summary says of all traffic, so of this; `returned` is where what
    /// returns from it comes to.
    Chain {
        /// The chain.
        name: ChainName,
        /// What it makes of traffic.
        summary: Rc<Summary>,
        /// Where what returns comes to: [`Ending::Through`] or [`Ending::Pass`].
        returned: Box<Ending>,
    },
}

/// Packets that end alike: those of each of the subjects, in each of the modes, with the traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The addresses at the end that the walk is about.
    pub subjects: AddressSet,
    /// What else the packets are.
    pub modes: ModeSet,
    /// The other end, and the service.
    pub traffic: Rc<Traffic>,
    /// Where they end.
    pub ending: Ending,
}

/// A rule that cannot be judged for all packets at once, though for each single one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unprovable {
    /// A test that looks at more than can be told apart.
    #[error("line {line}: {rule}: what this rule asks cannot be judged for all packets at once")]
    Rule {
        /// Its line.
        line: u32,
        /// Its text.
        rule: Box<str>,
    },
    /// The rules do not hold the chain that FORWARD jumps to.
    #[error("rules of family {0} have no chain {FORWARD_CHAIN}")]
    NoForwardChain(Family),
}

/// What to walk.
#[derive(Debug, Clone)]
pub struct Stretch<'m> {
    /// The family of the packets.
    pub family: Family,
    /// The end that the walk is about: its addresses are told apart as far as rules do.
    pub subject: End,
    /// The rules of CM-FORWARD to walk, by their places from 0.
    pub rules: Range<usize>,
    /// What else of packets is told apart.
    pub modes: &'m Modes,
}

/// A place in a chain: the next rule to evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    chain: ChainId,
    rule: usize,
}

/// Packets on their way.
struct Group {
    subjects: AddressSet,
    parts: Vec<Part>,
    at: At,
    returns: Vec<At>,
}

impl Kernel {
    /// Walks every packet of a family over a stretch of CM-FORWARD, and says where each ends: the pieces have nothing in
    /// common, and together they are all packets.
    ///
    /// # Errors
    /// When a rule asks what cannot be judged for all packets at once, or CM-FORWARD is not loaded.
    pub fn pieces(&self, stretch: &Stretch<'_>, known: &mut Summaries) -> Result<Vec<Piece>, Unprovable> {
        let family = stretch.family;
        let entry = self.rules(family).find(FORWARD_CHAIN).ok_or(Unprovable::NoForwardChain(family))?;
        let everything = Part { modes: stretch.modes.all(), traffic: Rc::new(Traffic::all(family)) };
        let asked =
            Asked { kernel: self, modes: stretch.modes, all: everything.clone(), subject: stretch.subject };
        let start = At { chain: entry, rule: stretch.rules.start };
        let mut walk = Walk {
            asked,
            known,
            behind: At { chain: entry, rule: stretch.rules.end },
            waiting: Vec::new(),
            pieces: Vec::new(),
        };
        let subjects = AddressSet::all(family);
        walk.waiting.push(Group { subjects, parts: vec![everything], at: start, returns: Vec::new() });
        // No loops, so this ends: the chains were measured when they were linked.
        while let Some(group) = walk.waiting.pop() {
            walk.go(group)?;
        }
        Ok(walk.pieces)
    }
}

struct Walk<'k, 's> {
    asked: Asked<'k>,
    known: &'s mut Summaries,
    /// Behind the last rule of the stretch.
    behind: At,
    waiting: Vec<Group>,
    pieces: Vec<Piece>,
}

impl<'k> Walk<'k, '_> {
    /// Walks a group until it ends, splits, or has left the chain.
    fn go(&mut self, mut group: Group) -> Result<(), Unprovable> {
        let kernel = self.asked.kernel;
        let chain = kernel.rules(group.subjects.family()).chain(group.at.chain);
        loop {
            if group.at == self.behind && group.returns.is_empty() {
                self.end(&group.subjects, group.parts, &Ending::Through);
                return Ok(());
            }
            let Some(rule) = chain.rules.get(group.at.rule) else {
                self.give_back(group);
                return Ok(());
            };
            let mut within = group.parts.clone();
            for condition in &rule.matches {
                if within.is_empty() {
                    break;
                }
                let holding = self
                    .asked
                    .holding(condition, &group.subjects, &mut self.known.contents)
                    .map_err(|_| Unprovable::Rule { line: rule.line, rule: rule.text.clone() })?;
                match holding {
                    Holding::Of(parts) => within = split(&within, &parts).0,
                    Holding::Split(inside) => {
                        let outside = group.subjects.difference(&inside);
                        for subjects in [inside, outside] {
                            let (parts, returns) = (group.parts.clone(), group.returns.clone());
                            self.waiting.push(Group { subjects, parts, at: group.at, returns });
                        }
                        return Ok(());
                    }
                }
            }
            if !within.is_empty() && !matches!(rule.target, Target::Continue | Target::Nflog(_)) {
                group.parts = split(&group.parts, &within).1;
                self.take(&group, rule, within);
            }
            if group.parts.is_empty() {
                return Ok(());
            }
            group.at.rule += 1;
        }
    }

    /// Lets a rule have the packets that match it.
    fn take(&mut self, group: &Group, rule: &Rule, parts: Vec<Part>) {
        let next = At { chain: group.at.chain, rule: group.at.rule + 1 };
        let subjects = &group.subjects;
        match rule.target {
            Target::Accept => self.end(subjects, parts, &Ending::Accept),
            Target::Drop => self.end(subjects, parts, &Ending::Drop),
            Target::Reject(with) => self.end(subjects, parts, &Ending::Reject(with)),
            Target::Return => {
                self.give_back(Group {
                    subjects: subjects.clone(),
                    parts,
                    at: next,
                    returns: group.returns.clone(),
                });
            }
            Target::Jump(to) => {
                let returns = group.returns.iter().copied().chain([next]).collect();
                self.enter(to, Group { subjects: subjects.clone(), parts, at: next, returns });
            }
            Target::Goto(to) => {
                let returns = group.returns.clone();
                self.enter(to, Group { subjects: subjects.clone(), parts, at: next, returns });
            }
            Target::Continue | Target::Nflog(_) => {}
        }
    }

    fn enter(&mut self, to: ChainId, mut group: Group) {
        let chain = self.asked.kernel.rules(group.subjects.family()).chain(to);
        let returned = match group.returns[..] {
            [] => Some(Ending::Pass),
            [at] if at == self.behind => Some(Ending::Through),
            _ => None,
        };
        if let Some(returned) = returned
            && let Some(summary) = self.known.of(&self.asked, chain)
        {
            let ending = Ending::Chain { name: chain.name.clone(), summary, returned: Box::new(returned) };
            self.end(&group.subjects, group.parts, &ending);
            return;
        }
        group.at = At { chain: to, rule: 0 };
        self.waiting.push(group);
    }

    /// Packets at the end of a chain, or that return from it.
    fn give_back(&mut self, mut group: Group) {
        match group.returns.pop() {
            Some(at) => self.waiting.push(Group { at, ..group }),
            None => self.end(&group.subjects, group.parts, &Ending::Pass),
        }
    }

    fn end(&mut self, subjects: &AddressSet, parts: Vec<Part>, ending: &Ending) {
        self.pieces.extend(parts.into_iter().map(|Part { modes, traffic }| Piece {
            subjects: subjects.clone(),
            modes,
            traffic,
            ending: ending.clone(),
        }));
    }
}
