//! What is wrong with a text, and on which line.

use std::fmt;

use chainmail_contract::{Family, NameError};
use thiserror::Error;

/// Which of a snapshot's texts, or of the kernel's, is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// `iptables-restore` or `iptables-save` text of one family.
    Rules(Family),
    /// `ipset restore` or `ipset save` text.
    Sets,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Rules(family) => family.rules_file(),
            FileKind::Sets => "ipsets",
        })
    }
}

/// A text that cannot be read, or says something that cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Error)]
#[error("{file}:{line}: {token:?} {reason}")]
pub struct ParseError {
    /// The text.
    pub file: FileKind,
    /// Its line, from 1.
    pub line: u32,
    /// The word at fault.
    pub token: Box<str>,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a word; reads on from it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Reason {
    /// A line of a rule text before any `*table`, or after its COMMIT.
    #[error("stands outside a table")]
    OutsideTable,
    /// A line that begins like nothing in the grammar of a saved table.
    #[error("is neither a chain, a rule nor COMMIT")]
    UnknownLine,
    /// A rule that `iptables-restore` would read as several lines, or as a shorter one.
    #[error("is not one line to iptables-restore")]
    NotOneLine,
    /// The table is cut off: the kernel would load nothing of it.
    #[error("has no COMMIT")]
    NotCommitted,
    /// Something that a text may say once stands there again.
    #[error("stands here twice")]
    Twice,
    /// Neither the policy of a built-in chain nor the `-` of others.
    #[error("is not the policy of such a chain")]
    Policy,
    /// A rule in a chain, or a jump to one, that no line declares.
    #[error("is not a declared chain")]
    NoSuchChain,
    /// A name that the kernel or the name space refuses.
    #[error("is not a usable name: {0}")]
    Name(String),
    /// A quoted word without its second quote.
    #[error("has an open quote")]
    OpenQuote,
    /// An option at the end of its line.
    #[error("lacks a value")]
    MissingValue,
    /// A `-m` whose meaning is not known here.
    #[error("is not a match that can be judged")]
    UnknownModule,
    /// An option whose meaning is not known here, or of a match that its rule does not load.
    #[error("is not an option of {of} that can be judged")]
    UnknownOption {
        /// The match, the target, or "a rule".
        of: &'static str,
    },
    /// A `-j` whose meaning is not known here.
    #[error("is not a target that can be judged")]
    UnknownTarget,
    /// A `!` before something that iptables does not invert.
    #[error("cannot be inverted")]
    NotInvertible,
    /// A value that is not of its option's kind.
    #[error("is not {wanted}")]
    Value {
        /// What stands there in a right text.
        wanted: &'static str,
    },
    /// The kernel takes this match or target only with a protocol.
    #[error("needs {wanted} in its rule")]
    Needs {
        /// The missing option.
        wanted: &'static str,
    },
    /// More ports than the kernel has slots for.
    #[error("takes {slots} slots of the 15 that multiport has")]
    MultiportSlots {
        /// The slots; a range takes two.
        slots: usize,
    },
    /// A line of a set text that is neither `create` nor `add`.
    #[error("is neither create nor add")]
    UnknownVerb,
    /// A set type whose meaning is not known here.
    #[error("is not a set type that can be judged")]
    UnknownSetType,
    /// A member of a set that no earlier line creates.
    #[error("is not a set created above")]
    NoSuchSet,
    /// A content set whose members expire.
    #[error("cannot stand in a set of type {of}")]
    NotInSetType {
        /// The type.
        of: &'static str,
    },
    /// More members than the set says it takes; ipset counts them exactly.
    #[error("holds {members} members and its maxelem is {maxelem}")]
    Full {
        /// How many members there are.
        members: usize,
        /// How many it takes.
        maxelem: u32,
    },
}

impl From<NameError> for Reason {
    fn from(error: NameError) -> Self {
        Reason::Name(error.to_string())
    }
}

/// Where a parser stands: every error it makes names this place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) file: FileKind,
    pub(crate) line: u32,
}

impl Place {
    pub(crate) fn error(self, token: &str, reason: Reason) -> ParseError {
        ParseError { file: self.file, line: self.line, token: token.into(), reason }
    }

    pub(crate) fn not(self, token: &str, wanted: &'static str) -> ParseError {
        self.error(token, Reason::Value { wanted })
    }
}
