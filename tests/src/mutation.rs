//! Texts of a node with one slip in them, of every kind that a program which writes such text could make.
//!
//! [`mutants`] makes a slip at every line and every word of `rules.v4`, `rules.v6` and the sets; [`differing`] tells by
//! walks of single packets whether two texts mean the same.

mod brute_force;
mod edges;
mod lines;
mod values;
mod words;

use std::fmt;
use std::ops::Range;

use chainmail_contract::Family;

pub use brute_force::{Node, Outcome, Witness, differing, kernel, outcome};
pub use lines::mutants;

/// One of a node's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Text {
    /// `rules.v4` or `rules.v6`.
    Rules(Family),
    /// Its sets, one after the other.
    Sets,
}

impl Text {
    /// Whether it says anything of a family.
    #[must_use]
    pub fn is_about(self, family: Family) -> bool {
        match self {
            Text::Rules(of) => of == family,
            Text::Sets => true,
        }
    }
}

/// The kinds of slips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slip {
    /// A line is left out.
    Deleted,
    /// A line stands twice.
    Doubled,
    /// Two lines have changed places.
    Swapped,
    /// A line stands at the end of its chain or text.
    Last,
    /// A `!` too many or too few.
    Negated,
    /// A condition is left out, with its `-m`.
    ConditionLost,
    /// A word is left out.
    WordLost,
    /// A word stands twice.
    WordDoubled,
    /// A line that nobody asked for.
    Added,
    /// A chain's name where a rule stands, or is declared.
    Chain,
    /// An address or its prefix length.
    Address,
    /// An interface.
    Interface,
    /// A protocol, in all places of the rule.
    Protocol,
    /// A port, or an end of a range.
    Port,
    /// A set's name.
    Set,
    /// `src` for `dst`, or an option of the one for that of the other.
    End,
    /// Connection states.
    State,
    /// TCP flags.
    Flags,
    /// A hop limit.
    HopLimit,
    /// A type of ICMP message.
    Icmp,
    /// A kind of destination.
    Kind,
    /// The way a rule leads on: `-j`, `-g`, and where to.
    Target,
    /// A comment.
    Comment,
    /// What a set is.
    SetOption,
    /// A member of a set.
    Member,
}

/// A text with one slip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Where.
    pub text: Text,
    /// What.
    pub slip: Slip,
    /// The lines that are not as they were, from 0.
    pub lines: Range<usize>,
    /// What stands in their place.
    pub by: Vec<String>,
}

impl Mutant {
    /// The text with the slip.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let lines: Vec<&str> = text.lines().collect();
        let by = self.by.iter().map(String::as_str);
        let all = lines[..self.lines.start].iter().copied().chain(by);
        all.chain(lines[self.lines.end..].iter().copied()).map(|line| format!("{line}\n")).collect()
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.text {
            Text::Rules(family) => format!("rules.{family}"),
            Text::Sets => "sets".to_owned(),
        };
        writeln!(f, "{:?}: {text} lines {}..{} become", self.slip, self.lines.start + 1, self.lines.end + 1)?;
        self.by.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
