//! One rule of ours, from `-A` to its end.

use std::collections::BTreeMap;

use chainmail_contract::{Family, SetName};

use super::match_options::{Loaded, Seen};
use super::tokens::Tokens;
use super::{target, values};
use crate::error::{ParseError, Place, Reason};
use crate::ruleset::{ChainId, RejectWith, Rule, Target};
use crate::{End, Match, Protocol, Sense, SetId, Test};

/// The names that rules of one family refer to.
#[derive(Debug)]
pub(crate) struct RuleNames<'t> {
    family: Family,
    chains: Vec<&'t str>,
    sets: BTreeMap<Box<str>, (SetId, SetName)>,
}

impl<'t> RuleNames<'t> {
    /// `chains` are our declared chains, sorted.
    pub(crate) fn new(family: Family, chains: Vec<&'t str>) -> Self {
        Self { family, chains, sets: BTreeMap::new() }
    }

    pub(crate) fn family(&self) -> Family {
        self.family
    }

    pub(crate) fn chain(&self, place: Place, name: &str) -> Result<ChainId, ParseError> {
        let index = self.chains.binary_search(&name).ok().and_then(|index| u32::try_from(index).ok());
        index.map(ChainId).ok_or_else(|| place.error(name, Reason::NoSuchChain))
    }

    pub(crate) fn set(&mut self, place: Place, name: &str) -> Result<SetId, ParseError> {
        if let Some((known, _)) = self.sets.get(name) {
            return Ok(*known);
        }
        let id = SetId(u32::try_from(self.sets.len()).expect("a text of 4 GB is no rule text"));
        let set = name.parse().map_err(|error| place.error(name, Reason::from(error)))?;
        self.sets.insert(name.into(), (id, set));
        Ok(id)
    }

    /// The names of the sets in the order of their ids.
    pub(crate) fn into_sets(self) -> Vec<SetName> {
        let mut sets: Vec<(SetId, SetName)> = self.sets.into_values().collect();
        sets.sort_unstable();
        sets.into_iter().map(|(_, name)| name).collect()
    }
}

/// A rule as far as it is read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) matches: Vec<Match>,
    pub(super) comment: Option<Box<str>>,
    target: Option<Target>,
    /// The protocol that `-p` has named without a `!`: many matches need one.
    pub(super) protocol: Option<Protocol>,
}

impl Draft {
    pub(super) fn push(&mut self, sense: Sense, test: Test) {
        self.matches.push(Match { sense, test });
    }
}

/// The options of a rule that belong to no match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Basic {
    Source,
    Destination,
    InIface,
    OutIface,
    Protocol,
    Module,
    Jump,
    Goto,
}

impl Basic {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "-s" => Basic::Source,
            "-d" => Basic::Destination,
            "-i" => Basic::InIface,
            "-o" => Basic::OutIface,
            "-p" => Basic::Protocol,
            "-m" => Basic::Module,
            "-j" => Basic::Jump,
            "-g" => Basic::Goto,
            _ => return None,
        })
    }
}

/// `iptables-restore` takes a line in parts of at most so many bytes, its newline among them (a buffer of 10,240 with the
/// NUL); a longer line is two to it.
const LINE_MAX: usize = 10_238;

/// Reads a rule of ours; `text` begins with `-A CHAIN`, which the caller has read.
pub(crate) fn parse_rule(names: &mut RuleNames<'_>, place: Place, text: &str) -> Result<Rule, ParseError> {
    if text.len() > LINE_MAX || text.contains(['\n', '\0']) {
        return Err(place.error(text, Reason::NotOneLine));
    }
    let mut tokens = Tokens::new(place, text);
    tokens.next()?;
    tokens.next()?;
    let mut draft = Draft { matches: Vec::new(), comment: None, target: None, protocol: None };
    let mut basics = Seen::default();
    let mut module: Option<Loaded> = None;
    while let Some(mut word) = tokens.next()? {
        let mut sense = Sense::Is;
        if word == "!" {
            sense = Sense::Not;
            word = tokens.value_of("!")?;
        }
        let Some(basic) = Basic::of(&word) else {
            let loaded = module.as_mut().ok_or_else(|| {
                let of = "a rule";
                place.error(&word, Reason::UnknownOption { of })
            })?;
            loaded.option(names, &mut tokens, sense, &word, &mut draft)?;
            continue;
        };
        if sense == Sense::Not && matches!(basic, Basic::Module | Basic::Jump | Basic::Goto) {
            return Err(place.error(&word, Reason::NotInvertible));
        }
        if let Some(loaded) = module.take() {
            loaded.close(place)?;
        }
        if basic != Basic::Module {
            basics.once(place, &word, basic as u8)?;
        }
        let value = tokens.value_of(&word)?;
        let family = names.family();
        match basic {
            Basic::Source => {
                let net = values::network(place, family, &value)?;
                draft.push(sense, Test::Address { end: End::Src, net });
            }
            Basic::Destination => {
                let net = values::network(place, family, &value)?;
                draft.push(sense, Test::Address { end: End::Dst, net });
            }
            Basic::InIface => draft.push(sense, Test::InIface(values::iface_pattern(place, &value)?)),
            Basic::OutIface => draft.push(sense, Test::OutIface(values::iface_pattern(place, &value)?)),
            Basic::Protocol => {
                let protocol = values::protocol(place, &value)?;
                draft.push(sense, Test::Protocol(protocol));
                if sense == Sense::Is {
                    draft.protocol = Some(protocol);
                }
            }
            Basic::Module => module = Some(Loaded::load(place, family, &value, draft.protocol)?),
            Basic::Jump | Basic::Goto if draft.target.is_some() => {
                return Err(place.error(&word, Reason::Twice));
            }
            Basic::Goto => draft.target = Some(Target::Goto(names.chain(place, &value)?)),
            Basic::Jump => draft.target = Some(target::read(names, &mut tokens, &value)?),
        }
    }
    if let Some(loaded) = module {
        loaded.close(place)?;
    }
    finish(place, text, draft)
}

/// Holds a whole rule against what the kernel demands of it, and what can be judged.
fn finish(place: Place, text: &str, draft: Draft) -> Result<Rule, ParseError> {
    let Draft { matches, comment, target, protocol } = draft;
    let target = target.unwrap_or(Target::Continue);
    let needs = |option: &str, wanted| Err(place.error(option, Reason::Needs { wanted }));
    // How many packets a limit has let through so far is not in the rules: it may decide a log line, never a verdict.
    let limited = matches.iter().any(|condition| matches!(condition.test, Test::RateLimit(_)));
    if limited && !matches!(target, Target::Nflog(_)) {
        return needs("-m limit", "-j NFLOG");
    }
    if target == Target::Reject(RejectWith::TcpReset) && protocol != Some(Protocol::TCP) {
        return needs("tcp-reset", "-p tcp");
    }
    Ok(Rule { text: text.into(), line: place.line, matches, target, comment })
}
