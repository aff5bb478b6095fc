//! A walk that takes all packets at once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use chainmail_contract::{ChainName, FORWARD_CHAIN, Family};
use thiserror::Error;

use super::region::{Asked, Holding, Part, split};
use super::{AddressSet, Modes, Summaries, Summary, Traffic};
use crate::ruleset::{ChainId, Denial, RejectWith, Rule, Target};
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
    /// They are told of as denied, and gone.
    Logged,
    /// They are told of as denied. Whatever comes after is not followed: nothing there is meant for them.
    Observed,
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

impl Ending {
    /// The same ending where the stretch was the last of CM-FORWARD: who comes through is out.
    pub fn at_the_end(&mut self) {
        match self {
            Ending::Through => *self = Ending::Pass,
            Ending::Chain { returned, .. } => returned.at_the_end(),
            Ending::Pass
            | Ending::Accept
            | Ending::Drop
            | Ending::Reject(_)
            | Ending::Logged
            | Ending::Observed => {}
        }
    }
}

/// Packets that end alike: those of each of the subjects, in each of the modes, with the traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The addresses at the end that the walk is about.
    pub subjects: AddressSet,
    /// What they are, beside that: in one of these parts.
    pub parts: Rc<[Part]>,
    /// And of this traffic. Most parts of a rule set look at no more than the peer and the service, so that packets of
    /// all modes take one way there.
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
    /// Packets in one of these parts, and of the traffic.
    parts: Rc<[Part]>,
    traffic: Rc<Traffic>,
    at: At,
    returns: Vec<At>,
}

impl Group {
    /// Others of the same subjects at the same place.
    fn with(&self, parts: Rc<[Part]>, traffic: Rc<Traffic>) -> Self {
        let (subjects, returns) = (self.subjects.clone(), self.returns.clone());
        Self { subjects, parts, traffic, at: self.at, returns }
    }
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
            summaries: BTreeMap::new(),
            waiting: Vec::new(),
            pieces: Vec::new(),
        };
        let subjects = AddressSet::all(family);
        let (parts, traffic) = (Rc::from([everything.clone()]), everything.traffic);
        walk.waiting.push(Group { subjects, parts, traffic, at: start, returns: Vec::new() });
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
    /// The chains of these rules that were summed up, or could not be.
    summaries: BTreeMap<ChainId, Option<Rc<Summary>>>,
    waiting: Vec<Group>,
    pieces: Vec<Piece>,
}

impl Walk<'_, '_> {
    /// Walks a group until it ends, splits, or has left the chain.
    fn go(&mut self, mut group: Group) -> Result<(), Unprovable> {
        let chain = self.asked.kernel.rules(group.subjects.family()).chain(group.at.chain);
        loop {
            if group.at == self.behind && group.returns.is_empty() {
                self.end(group, Ending::Through);
                return Ok(());
            }
            let Some(rule) = chain.rules.get(group.at.rule) else {
                self.give_back(group);
                return Ok(());
            };
            group.at.rule += 1;
            let matching = match self.matching(rule, &group)? {
                Matching::All => {
                    let Some(target) = leading(rule) else { continue };
                    self.take(group, target);
                    return Ok(());
                }
                Matching::Split(inside) => {
                    group.at.rule -= 1;
                    let outside = group.subjects.difference(&inside);
                    let others = Group {
                        subjects: outside,
                        ..group.with(Rc::clone(&group.parts), Rc::clone(&group.traffic))
                    };
                    self.waiting.push(others);
                    self.waiting.push(Group { subjects: inside, ..group });
                    return Ok(());
                }
                Matching::Some { parts, traffic } => group.with(parts, traffic),
                Matching::None => continue,
            };
            let Some(target) = leading(rule) else { continue };
            // One of the two is the group's own, so what is left differs in the other.
            if Rc::ptr_eq(&matching.parts, &group.parts) {
                group.traffic = Rc::new(group.traffic.difference(&matching.traffic));
            } else {
                group.parts = split(&group.parts, &matching.parts).1.into();
            }
            self.take(matching, target);
            if group.parts.is_empty() || group.traffic.is_empty() {
                return Ok(());
            }
        }
    }

    /// Which packets of a group a rule's conditions hold of.
    fn matching(&mut self, rule: &Rule, group: &Group) -> Result<Matching, Unprovable> {
        let mut traffic: Option<Rc<Traffic>> = None;
        let mut parts: Option<Vec<Part>> = None;
        for condition in &rule.matches {
            let holding = self
                .asked
                .holding(condition, &group.subjects, &mut self.known.contents)
                .map_err(|_| Unprovable::Rule { line: rule.line, rule: rule.text.clone() })?;
            match holding {
                Holding::Always => {}
                Holding::Never => return Ok(Matching::None),
                Holding::Split(inside) => return Ok(Matching::Split(inside)),
                Holding::Traffic(some) => {
                    traffic = Some(traffic.map_or(Rc::clone(&some), |all| Rc::new(all.intersection(&some))));
                }
                Holding::Of(some) => {
                    parts = Some(split(parts.as_deref().unwrap_or(&group.parts), &some).0);
                }
            }
        }
        Ok(match (parts, traffic) {
            (None, None) => Matching::All,
            (None, Some(some)) => {
                let within = group.traffic.intersection(&some);
                if within.is_empty() {
                    Matching::None
                } else if within == *group.traffic {
                    Matching::All
                } else {
                    Matching::Some { parts: Rc::clone(&group.parts), traffic: Rc::new(within) }
                }
            }
            (Some(some), traffic) => {
                let also = traffic.map(|traffic| vec![Part { traffic, ..self.asked.all.clone() }]);
                let within = also.map_or_else(|| some.clone(), |also| split(&some, &also).0);
                if within.is_empty() {
                    Matching::None
                } else {
                    Matching::Some { parts: within.into(), traffic: Rc::clone(&group.traffic) }
                }
            }
        })
    }

    /// Lets a target have packets that match.
    fn take(&mut self, group: Group, target: &Target) {
        match *target {
            Target::Accept => self.end(group, Ending::Accept),
            Target::Drop => self.end(group, Ending::Drop),
            Target::Reject(with) => self.end(group, Ending::Reject(with)),
            Target::Return => self.give_back(group),
            Target::Jump(to) => {
                let returns = group.returns.iter().copied().chain([group.at]).collect();
                self.enter(to, Group { returns, ..group });
            }
            Target::Goto(to) => self.enter(to, group),
            Target::Continue | Target::Nflog(_) => {}
        }
    }

    fn enter(&mut self, to: ChainId, group: Group) {
        let chain = self.asked.kernel.rules(group.subjects.family()).chain(to);
        match chain.denial() {
            Some(Denial::Logged) => return self.end(group, Ending::Logged),
            Some(Denial::Observed) => return self.end(group, Ending::Observed),
            None => {}
        }
        let returned = match group.returns[..] {
            [] => Some(Ending::Pass),
            [at] if at == self.behind => Some(Ending::Through),
            _ => None,
        };
        let mut summary =
            || self.summaries.entry(to).or_insert_with(|| self.known.of(&self.asked, chain)).clone();
        if let Some(returned) = returned
            && let Some(summary) = summary()
        {
            let ending = Ending::Chain { name: chain.name.clone(), summary, returned: Box::new(returned) };
            self.end(group, ending);
            return;
        }
        self.waiting.push(Group { at: At { chain: to, rule: 0 }, ..group });
    }

    /// Packets at the end of a chain, or that return from it.
    fn give_back(&mut self, mut group: Group) {
        match group.returns.pop() {
            Some(at) => self.waiting.push(Group { at, ..group }),
            None => self.end(group, Ending::Pass),
        }
    }

    fn end(&mut self, group: Group, ending: Ending) {
        let Group { subjects, parts, traffic, .. } = group;
        self.pieces.push(Piece { subjects, parts, traffic, ending });
    }
}

/// Which packets of a group match.
enum Matching {
    All,
    None,
    Some {
        parts: Rc<[Part]>,
        traffic: Rc<Traffic>,
    },
    /// These subjects are not like the others.
    Split(AddressSet),
}

/// The target of a rule that leads a packet away from the next rule.
fn leading(rule: &Rule) -> Option<&Target> {
    (!matches!(rule.target, Target::Continue | Target::Nflog(_))).then_some(&rule.target)
}
