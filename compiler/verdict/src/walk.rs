//! One packet's way through our chains, as netfilter takes it.

use chainmail_contract::{FORWARD_CHAIN, Family};
use thiserror::Error;

use crate::ruleset::{Chain, ChainId, Denial, Rule, Target};
use crate::{Kernel, Packet};

/// What becomes of a packet in our chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It goes on with FORWARD's next rule: allowed, as far as it is up to us.
    Pass,
    /// It passes the whole table.
    Accept,
    /// It is gone.
    Drop,
    /// It is gone and its sender told.
    Reject,
    /// It goes on, but was told of as one that is denied: by rules that are only observed.
    Observed,
}

/// A packet's way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Walk<'k> {
    verdict: Verdict,
    matched: Vec<Step<'k>>,
    crossed: Vec<Crossed<'k>>,
}

/// A rule that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step<'k> {
    /// The chain it stands in.
    pub chain: &'k Chain,
    /// Its place there, from 0.
    pub index: usize,
    /// The rule.
    pub rule: &'k Rule,
}

/// A stay in a chain. A chain that a packet comes back to is stayed in twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crossed<'k> {
    /// The chain.
    pub chain: &'k Chain,
    /// How many of its rules were evaluated in this stay, the one that led on included.
    pub rules: usize,
}

/// Why a packet cannot be walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum WalkError {
    /// The family's rules do not hold the chain that FORWARD jumps to.
    #[error("rules of family {family} have no chain {FORWARD_CHAIN}")]
    NoForwardChain {
        /// The family.
        family: Family,
    },
}

impl<'k> Walk<'k> {
    /// What becomes of the packet.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.verdict {
            Verdict::Pass | Verdict::Accept if self.is_observed() => Verdict::Observed,
            verdict => verdict,
        }
    }

    /// Whether it came by a chain that tells of denied packets and lets them go.
    fn is_observed(&self) -> bool {
        self.matched.iter().any(|step| step.chain.denial() == Some(Denial::Observed))
    }

    /// The rules that matched, in order; the last one decided, unless a chain's end did.
    #[must_use]
    pub fn matched(&self) -> &[Step<'k>] {
        &self.matched
    }

    /// The stays in chains, in order.
    #[must_use]
    pub fn crossed(&self) -> &[Crossed<'k>] {
        &self.crossed
    }

    /// How many rules were evaluated.
    #[must_use]
    pub fn rules_crossed(&self) -> usize {
        self.crossed.iter().map(|stay| stay.rules).sum()
    }

    /// How many rules were evaluated from the entry into the chain `entry` until the first chain whose name begins
    /// with `end_prefix`, or until the way led back out: what dispatch costs before a class is reached.
    #[must_use]
    pub fn rules_between(&self, entry: &str, end_prefix: &str) -> usize {
        let from_entry = self.crossed.iter().skip_while(|stay| stay.chain.name.as_str() != entry);
        from_entry
            .take_while(|stay| {
                let name = stay.chain.name.as_str();
                name != FORWARD_CHAIN && !name.starts_with(end_prefix)
            })
            .map(|stay| stay.rules)
            .sum()
    }
}

/// A place in a chain: the next rule to evaluate.
#[derive(Debug, Clone, Copy)]
struct At {
    chain: ChainId,
    rule: usize,
}

impl Kernel {
    /// Walks a packet from CM-FORWARD, as FORWARD's jump does.
    ///
    /// A goto remembers nothing, so the end of its chain, or RETURN, leads to behind the last jump; behind FORWARD's
    /// own jump the packet passes. iptables(8) of `--goto`: "Unlike the --jump option, return will not continue
    /// processing in this chain but instead in the chain that called us via --jump."
    ///
    /// # Errors
    /// When CM-FORWARD is not loaded.
    pub fn forward(&self, packet: &Packet) -> Result<Walk<'_>, WalkError> {
        let family = packet.family();
        let rules = self.rules(family);
        let entry = rules.find(FORWARD_CHAIN).ok_or(WalkError::NoForwardChain { family })?;
        let mut walk = Walk { verdict: Verdict::Pass, matched: Vec::new(), crossed: Vec::new() };
        let mut returns: Vec<At> = Vec::new();
        // No loops, so this ends: the chains were measured when they were linked.
        let mut next = Some(At { chain: entry, rule: 0 });
        while let Some(at) = next {
            let chain = rules.chain(at.chain);
            let waiting = chain.rules.iter().enumerate().skip(at.rule);
            let mut stay = Crossed { chain, rules: 0 };
            // The first rule that matches and leads somewhere.
            let led = waiting
                .inspect(|_| stay.rules += 1)
                .filter(|(_, rule)| rule.matches.iter().all(|m| m.holds(packet, |id| self.set(family, id))))
                .inspect(|&(index, rule)| walk.matched.push(Step { chain, index, rule }))
                .find(|(_, rule)| !matches!(rule.target, Target::Continue | Target::Nflog(_)));
            walk.crossed.push(stay);
            next = match led.map(|(index, rule)| (index, &rule.target)) {
                Some((index, Target::Jump(to))) => {
                    returns.push(At { chain: at.chain, rule: index + 1 });
                    Some(At { chain: *to, rule: 0 })
                }
                Some((_, Target::Goto(to))) => Some(At { chain: *to, rule: 0 }),
                Some((_, Target::Accept)) => return Ok(Walk { verdict: Verdict::Accept, ..walk }),
                Some((_, Target::Drop)) => return Ok(Walk { verdict: Verdict::Drop, ..walk }),
                Some((_, Target::Reject(_))) => return Ok(Walk { verdict: Verdict::Reject, ..walk }),
                Some((_, Target::Return | Target::Continue | Target::Nflog(_))) | None => returns.pop(),
            };
        }
        Ok(walk)
    }
}
