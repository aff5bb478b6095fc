//! The rules that a snapshot may hold, as values.
//!
//! ```text
//! rules.v4 ─► verdict::Ruleset ─► Condition, Target ─► form: allowed in this chain? ─► Rule ─► RuleText
//!             the only reader      only what render     only what lower puts there      written anew
//! ```
//!
//! A snapshot's text decides what root's tools do, and another user writes it. So no byte of it goes on to a tool. The
//! text is read into values that can say only what the compiler says, and written anew from them. Where the two texts
//! differ in one byte, the snapshot is refused. An error names the line and never quotes it: the status is readable for
//! everybody, and the text may be that of another user's file.
//!
//! To add a form of rule:
//!
//! 1. A word that no rule has had before is a variant of [`Condition`] or [`Target`] in `rules/condition.rs`, with its
//!    reading and its writing. `chainmail-verdict` must be able to judge it.
//! 2. The place is an arm in `rules/form.rs`, in the function of the chain. In CM-FORWARD it is also a [`form::Section`],
//!    which says between which rules it stands.
//! 3. A new level in `compiler/contract/src/grammar.rs`, which the compiler's `netfilter::Match::level` names for it.
//!
//! `tests/tests/applied.rs` holds that every rule of every scenario and generated cluster is accepted.

mod condition;
mod form;
mod role;
mod text;

use std::collections::BTreeMap;

use chainmail_contract::{ChainName, FORWARD_CHAIN, Family, SetKind, SetName};
use chainmail_verdict::{ParseError, Reason, Ruleset};
use thiserror::Error;

pub use condition::{Comment, Condition, Target};
pub use role::Role;
pub use text::RuleText;

/// What the sets of a snapshot are, as rules may ask them.
pub type SetKinds = BTreeMap<SetName, Asked>;

/// How a set is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A set named by its content.
    Content(SetKind),
    /// The set of cut flows.
    Cut,
}

/// The most lines of a family's text: 50,000 rules are loaded in 1.3 s.
pub const LINES_MAX: usize = 1 << 18;

/// The chains of one family and their rules, in the order of names.
pub type Chains = BTreeMap<ChainName, Vec<RuleText>>;

/// A rule that the compiler writes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    conditions: Vec<Condition>,
    comment: Option<Comment>,
    target: Target,
}

/// Where and why a text of rules is refused. It names a place and a kind, and never quotes the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}:{line}: {problem}", family.rules_file())]
pub struct RulesError {
    family: Family,
    line: usize,
    problem: Refused,
}

/// Why a line is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// The line is not of the grammar of `iptables-restore`, or names what is not there.
    #[error("the line cannot be read: it {0}")]
    Unread(String),
    /// A chain that is not ours, or a rule in one.
    #[error("the line is about a chain that is not ours")]
    Foreign,
    /// A chain of ours with a name that no rules have.
    #[error("no chain of rules has this name")]
    Chain,
    /// A condition or target that no rule of ours has.
    #[error("no rule of a snapshot has {0}")]
    Word(&'static str),
    /// A rule that does not stand in such a chain, or not in this place.
    #[error("no such rule stands here in {0}")]
    Misplaced(Role),
    /// A chain that does not end all packets.
    #[error("{0} has to end in a rule for all packets, and in no other place")]
    Open(Role),
    /// Rules that let packets pass other rules of the host ask different sets.
    #[error("packets pass the host's other rules by another set than above")]
    Accept,
    /// The same values are written with other bytes.
    #[error("the line is not as this program writes it")]
    Spelling,
    /// The text has more lines than a node takes.
    #[error("a node takes {LINES_MAX} lines")]
    Length,
    /// There are chains, but not the one that FORWARD jumps to.
    #[error("there are chains, but not {FORWARD_CHAIN}, so nothing would enter them")]
    NoEntry,
}

/// Reads a family's rules and writes them anew.
///
/// # Errors
/// When the text has anything that `render` does not write, or spells it differently.
pub fn read(family: Family, text: &str, sets: &SetKinds) -> Result<Chains, RulesError> {
    let fail = |line: usize, problem| RulesError { family, line, problem };
    if text.lines().nth(LINES_MAX).is_some() {
        return Err(fail(LINES_MAX + 1, Refused::Length));
    }
    let rules = Ruleset::parse(family, text).map_err(|error| fail(error.line as usize, unread(&error)))?;
    if let Some(chain) = rules.foreign().first() {
        let rule = chain.rules.first().map(|rule| rule.line as usize);
        return Err(fail(rule.unwrap_or_else(|| declared(text, &chain.name)), Refused::Foreign));
    }
    let mut chains = Chains::new();
    let mut accepting: Option<SetName> = None;
    for chain in rules.chains() {
        let role =
            Role::of(&chain.name).ok_or_else(|| fail(declared(text, chain.name.as_str()), Refused::Chain))?;
        let mut form = form::Chain::new(family, &chain.name, role);
        let mut written = Vec::with_capacity(chain.rules.len());
        for read in &chain.rules {
            let at = |problem| fail(read.line as usize, problem);
            let rule = Rule::of(&rules, read, sets).map_err(at)?;
            form.take(&rule).map_err(at)?;
            if rule.target == Target::Accept {
                let asked = rule.conditions.last().and_then(Condition::set);
                if accepting.as_ref().is_some_and(|known| Some(known) != asked) {
                    return Err(at(Refused::Accept));
                }
                accepting = asked.cloned();
            }
            written.push(RuleText::of(&rule, family));
        }
        let last =
            chain.rules.last().map_or_else(|| declared(text, chain.name.as_str()), |rule| rule.line as usize);
        form.end().map_err(|problem| fail(last, problem))?;
        chains.insert(chain.name.clone(), written);
    }
    if !chains.is_empty() && !chains.keys().any(|chain| chain.as_str() == FORWARD_CHAIN) {
        return Err(fail(1, Refused::NoEntry));
    }
    let anew = restore_text(&chains, text.len());
    if anew != text {
        let same = anew.split('\n').zip(text.split('\n')).take_while(|(ours, theirs)| ours == theirs).count();
        return Err(fail(same + 1, Refused::Spelling));
    }
    Ok(chains)
}

/// The `iptables-restore` text of a family's chains, of about that many bytes.
fn restore_text(chains: &Chains, length: usize) -> String {
    let mut text = String::with_capacity(length);
    text.push_str("*filter\n");
    for chain in chains.keys() {
        text.extend([":", chain.as_str(), " - [0:0]\n"]);
    }
    for (chain, rules) in chains {
        for rule in rules {
            text.extend(["-A ", chain.as_str(), " ", rule.as_str(), "\n"]);
        }
    }
    text.push_str("COMMIT\n");
    text
}

/// The line that declares a chain.
fn declared(text: &str, chain: &str) -> usize {
    let declares = |line: &str| line.strip_prefix(':').and_then(|line| line.split(' ').next()) == Some(chain);
    text.lines().position(declares).map_or(1, |index| index + 1)
}

/// What the reader says, without the word at fault.
fn unread(error: &ParseError) -> Refused {
    Refused::Unread(match &error.reason {
        Reason::Name(_) => "has a name that is not usable".to_owned(),
        reason => reason.to_string(),
    })
}

impl Rule {
    fn of(rules: &Ruleset, rule: &chainmail_verdict::Rule, sets: &SetKinds) -> Result<Self, Refused> {
        let conditions = Condition::all(rules, &rule.matches, sets)?;
        let comment = rule.comment.as_deref().map(Comment::of).transpose()?;
        Ok(Self { conditions, comment, target: Target::of(rules, &rule.target)? })
    }

    /// What must hold.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// What happens then.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }
}

#[cfg(test)]
mod tests;
