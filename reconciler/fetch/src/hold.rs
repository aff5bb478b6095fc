//! What is not handed over without a word from somebody: a revision that is signed and valid, and takes so much away
//! that it may be a mistake.

use std::fmt;

use chainmail_contract::{DENY_CHAIN, FORWARD_CHAIN, Family, Joined, NodeName};

use crate::config::Hold;
use crate::make::Made;

/// Why a revision is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No pod of this node is policed any more.
    Empty,
    /// Too many rules go at once.
    Loss {
        /// How many go.
        lost: usize,
        /// Of how many.
        of: usize,
        /// How many of a hundred may.
        max_loss: u8,
    },
    /// The repository does not have this node any more.
    NodeGone(NodeName),
    /// Traffic that is to be kept.
    Keep(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Empty => f.write_str("it leaves no rule for any pod of this node"),
            Reason::Loss { lost, of, max_loss } => {
                write!(f, "it takes away {lost} of {of} rules, more than max_loss = {max_loss} of a hundred")
            }
            Reason::NodeGone(node) => write!(f, "it has no node {node} any more"),
            Reason::Keep(flow) => write!(f, "keep: {flow}"),
        }
    }
}

/// Who spoke for a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Nobody.
    None,
    /// Its signed message lets rules go.
    Trailer,
    /// Somebody on this host let it go.
    Release,
}

/// Why a snapshot is held, compared with the one that was handed over before.
#[must_use]
pub fn reasons(before: Option<&Joined>, made: &Made, hold: &Hold, word: Word) -> Vec<Reason> {
    let loss = || before.and_then(|before| loss(before, &made.snapshot, hold.max_loss));
    let keep = || made.denied.iter().cloned().map(Reason::Keep);
    match word {
        Word::Release => Vec::new(),
        Word::Trailer => keep().collect(),
        Word::None => loss().into_iter().chain(keep()).collect(),
    }
}

fn loss(before: &Joined, after: &Joined, max_loss: u8) -> Option<Reason> {
    let (of, left) = (rules(before), rules(after));
    let lost = of.saturating_sub(left);
    match left {
        0 if of > 0 => Some(Reason::Empty),
        _ if lost * 100 > of * usize::from(max_loss) => Some(Reason::Loss { lost, of, max_loss }),
        _ => None,
    }
}

/// How many rules a snapshot has for pods: what CM-FORWARD does for all of them is always there.
fn rules(snapshot: &Joined) -> usize {
    const INVALID_CHAIN: &str = "CM-INVALID";
    let common = [FORWARD_CHAIN, DENY_CHAIN, INVALID_CHAIN];
    let of = |family| {
        let chains =
            snapshot.rules(family).lines().filter_map(|line| line.strip_prefix("-A ")?.split(' ').next());
        chains.filter(|chain| !common.contains(chain)).count()
    };
    Family::ALL.into_iter().map(of).sum()
}
