//! The rules of table `filter` of one family: ours understood, those of others opaque.

use chainmail_contract::{ChainName, DENY_GROUP, DENY_PREFIX, FORWARD_CHAIN, Family, SetName, is_our_chain};

use crate::before;
use crate::error::{FileKind, ParseError, Place, Reason};
use crate::parse::{RuleNames, Tokens, parse_rule};
use crate::table::{Policy, Table, TableChain, TableRule};
use crate::{Match, SetId, Test};

/// What one family's rules say.
///
/// Chains stand sorted by name, and sets in the order in which those chains name them; so in two rule sets with the
/// same chains and rules, the same ids mean the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ruleset {
    family: Family,
    chains: Vec<Chain>,
    sets: Vec<SetName>,
    foreign: Vec<ForeignChain>,
}

/// One of our chains, as a place in [`Ruleset::chains`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainId(pub(crate) u32);

impl ChainId {
    /// The id of the chain at a place in [`Ruleset::chains`].
    #[must_use]
    pub fn at(place: u32) -> Self {
        Self(place)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One of our chains.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chain {
    /// Its name.
    pub name: ChainName,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// One rule of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Its text from `-A` to the end of the line, without counters.
    pub text: Box<str>,
    /// Its line, from 1.
    pub line: u32,
    /// What must hold for it to match.
    pub matches: Vec<Match>,
    /// What becomes of a packet that matches.
    pub target: Target,
    /// Its `--comment`.
    pub comment: Option<Box<str>>,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// No target: the rule only counts.
    Continue,
    /// Back to the chain that jumped here.
    Return,
    /// The packet passes the whole table.
    Accept,
    /// The packet is gone.
    Drop,
    /// The packet is gone and its sender told.
    Reject(RejectWith),
    /// Into a chain, and back to the next rule at its end.
    Jump(ChainId),
    /// Into a chain, and at its end back to where this chain was jumped to from.
    Goto(ChainId),
    /// Logged, and on to the next rule.
    Nflog(Nflog),
}

/// What becomes of a packet that a chain tells of as denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// It is dropped.
    Logged,
    /// It passes: the rules are only observed.
    Observed,
}

impl Chain {
    /// What becomes of all packets that come here, where the chain does nothing but tell of them as denied, and then lets
    /// them all go one way.
    #[must_use]
    pub fn denial(&self) -> Option<Denial> {
        let [mark, end] = &self.rules[..] else { return None };
        let only_limited = mark.matches.iter().all(|m| matches!(m.test, Test::RateLimit(_)));
        let Target::Nflog(nflog) = &mark.target else { return None };
        let is_mark = nflog.group == DENY_GROUP && nflog.prefix.as_deref() == Some(DENY_PREFIX);
        match end.target {
            _ if !is_mark || !only_limited || !end.matches.is_empty() => None,
            Target::Drop => Some(Denial::Logged),
            Target::Return => Some(Denial::Observed),
            _ => None,
        }
    }
}

/// What the sender of a rejected packet is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RejectWith {
    /// A TCP reset.
    TcpReset,
    /// An ICMP error, by its iptables name.
    Icmp(&'static str),
}

/// What `-j NFLOG` is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Nflog {
    /// `--nflog-group`; 0 when it is not said.
    pub group: u16,
    /// `--nflog-prefix`.
    pub prefix: Option<Box<str>>,
    /// `--nflog-size`: how many bytes of the packet go along.
    pub size: Option<u32>,
    /// `--nflog-threshold`: how many packets are queued first.
    pub threshold: Option<u16>,
}

/// A built-in chain or one of others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignChain {
    /// Its name.
    pub name: Box<str>,
    /// What becomes of a packet at its end, for a built-in chain that the text declares.
    pub policy: Option<Policy>,
    /// Its rules, in order.
    pub rules: Vec<ForeignRule>,
}

/// A rule of others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignRule {
    /// Its text from `-A` to the end of the line, without counters.
    pub text: Box<str>,
    /// Its line, from 1.
    pub line: u32,
    /// Where it leads into our chains, if it does.
    pub reference: Option<Reference>,
}

/// A way from a rule of others into our chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The chain.
    pub chain: ChainId,
    /// Whether it is taken by every packet.
    pub condition: Condition,
}

/// Which packets take a way into our chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Every packet, and it comes back: `-A CHAIN -j OURS` and nothing else.
    Always,
    /// Some, or they do not come back.
    Sometimes,
}

/// A place in FORWARD where packets are sent to CM-FORWARD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForwardJump {
    /// The rule's number in FORWARD, from 1, as `iptables -I` counts.
    pub number: usize,
    /// Which packets it sends.
    pub condition: Condition,
    /// Its line in the text.
    pub line: u32,
}

impl Ruleset {
    /// Reads `iptables-restore` or `iptables-save` text of one family.
    ///
    /// # Errors
    /// When table `filter` is cut off or of no known form, or a rule in a chain of ours says something that cannot be
    /// judged.
    pub fn parse(family: Family, text: &str) -> Result<Self, ParseError> {
        Self::from_table(&Table::read(family, text)?)
    }

    /// Reads what the rules of a table say.
    ///
    /// # Errors
    /// When a rule in a chain of ours says something that cannot be judged.
    pub fn from_table(table: &Table<'_>) -> Result<Self, ParseError> {
        let family = table.family();
        let mut names = RuleNames::new(family, table.ours().iter().map(|chain| chain.name).collect());
        let chains =
            table.ours().iter().map(|chain| read_chain(&mut names, chain)).collect::<Result<_, _>>()?;
        let foreign =
            table.foreign().iter().map(|chain| read_foreign(&names, chain)).collect::<Result<_, _>>()?;
        Ok(Self { family, chains, sets: names.into_sets(), foreign })
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Our chains, sorted by name.
    #[must_use]
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The chain with an id of this rule set.
    ///
    /// # Panics
    /// When the id is of another rule set, with more chains.
    #[must_use]
    pub fn chain(&self, id: ChainId) -> &Chain {
        &self.chains[id.index()]
    }

    /// The id of a chain of ours.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ChainId> {
        let index = self.chains.binary_search_by(|chain| chain.name.as_str().cmp(name)).ok()?;
        u32::try_from(index).ok().map(ChainId)
    }

    /// The sets that the rules name.
    #[must_use]
    pub fn sets(&self) -> &[SetName] {
        &self.sets
    }

    /// The name of the set with an id of this rule set.
    ///
    /// # Panics
    /// When the id is of another rule set, with more sets.
    #[must_use]
    pub fn set_name(&self, id: SetId) -> &SetName {
        &self.sets[id.0 as usize]
    }

    /// The built-in chains and those of others, sorted by name.
    #[must_use]
    pub fn foreign(&self) -> &[ForeignChain] {
        &self.foreign
    }

    /// Where FORWARD sends packets to CM-FORWARD; a host in order has exactly one such place, the first rule, always.
    #[must_use]
    pub fn forward_jumps(&self) -> Vec<ForwardJump> {
        let entry = self.find(FORWARD_CHAIN);
        let forward = self.foreign.iter().filter(|chain| &*chain.name == "FORWARD");
        let rules = forward.flat_map(|chain| chain.rules.iter().zip(1..));
        rules
            .filter_map(|(rule, number)| {
                let reference = rule.reference.filter(|reference| Some(reference.chain) == entry)?;
                Some(ForwardJump { number, condition: reference.condition, line: rule.line })
            })
            .collect()
    }

    /// The rules of others by which a packet may pass before it comes to our jump in FORWARD, as text; also those in chains
    /// that are jumped to. None where no such jump takes every packet.
    #[must_use]
    pub fn passing_before_our_jump(&self) -> Vec<&str> {
        let chains = self.foreign.iter().map(|chain| {
            let rules = chain.rules.iter().map(|rule| &*rule.text).collect();
            (&*chain.name, (chain.policy, rules))
        });
        before::passing(&chains.collect())
    }
}

fn read_chain(names: &mut RuleNames<'_>, chain: &TableChain<'_>) -> Result<Chain, ParseError> {
    let file = FileKind::Rules(names.family());
    let declared = Place { file, line: chain.declared.unwrap_or_default() };
    let name = chain.name.parse().map_err(|error| declared.error(chain.name, Reason::from(error)))?;
    let rules = chain
        .rules
        .iter()
        .map(|rule| parse_rule(names, Place { file, line: rule.line }, rule.text))
        .collect::<Result<_, _>>()?;
    Ok(Chain { name, rules })
}

fn read_foreign(names: &RuleNames<'_>, chain: &TableChain<'_>) -> Result<ForeignChain, ParseError> {
    let rules = chain
        .rules
        .iter()
        .map(|rule| {
            let reference = reference(names, rule)?;
            Ok(ForeignRule { text: rule.text.into(), line: rule.line, reference })
        })
        .collect::<Result<_, _>>()?;
    Ok(ForeignChain { name: chain.name.into(), policy: chain.policy, rules })
}

/// Finds the jump into our chains. A comment may say `-j CM-FORWARD` too, so words are read with their quotes.
fn reference(names: &RuleNames<'_>, rule: &TableRule<'_>) -> Result<Option<Reference>, ParseError> {
    if !rule.text.contains(chainmail_contract::CHAIN_PREFIX) {
        return Ok(None);
    }
    let place = Place { file: FileKind::Rules(names.family()), line: rule.line };
    let mut tokens = Tokens::new(place, rule.text);
    let mut words = Vec::new();
    while let Some(word) = tokens.next()? {
        words.push(word);
    }
    let target = words.iter().zip(words.iter().skip(1)).find_map(|(option, name)| {
        let leads = matches!(&**option, "-j" | "--jump" | "-g" | "--goto") && is_our_chain(name);
        leads.then_some((option, name))
    });
    let Some((option, name)) = target else { return Ok(None) };
    let condition = if words.len() == 4 && matches!(&**option, "-j" | "--jump") {
        Condition::Always
    } else {
        Condition::Sometimes
    };
    Ok(Some(Reference { chain: names.chain(place, name)?, condition }))
}
