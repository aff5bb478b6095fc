//! Exceptions that a team has agreed on.

use std::fmt;

use chainmail_contract::Date;
use chainmail_findings::{Agreed, Code, Place};
use globset::GlobMatcher;

/// One `[[waiver]]` of `chainmail.toml`.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// Where it stands.
    pub place: Place,
    /// What it covers.
    pub covers: Covered,
    /// What is told of it wherever it holds.
    pub agreed: Agreed,
}

/// What a waiver covers.
#[derive(Debug, Clone)]
pub enum Covered {
    /// The row of a review that has this id.
    Row(String),
    /// Every flow all of whose ends have names like these.
    Flows {
        /// Of those who send.
        from: GlobMatcher,
        /// Of those who receive.
        to: GlobMatcher,
    },
    /// What a lint finds of objects that are called like this.
    Findings {
        /// The lint.
        lint: Code,
        /// The objects, by kind, namespace and name.
        object: GlobMatcher,
    },
}

impl fmt::Display for Covered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Covered::Row(id) => write!(f, "row {id}"),
            Covered::Flows { from, to } => {
                write!(f, "flows from {:?} to {:?}", from.glob().glob(), to.glob().glob())
            }
            Covered::Findings { lint, object } => write!(f, "{lint} of {:?}", object.glob().glob()),
        }
    }
}

impl Waiver {
    /// Whether it still holds.
    #[must_use]
    pub fn holds(&self, today: Date) -> bool {
        today <= self.agreed.expires
    }

    /// Whether another one says the same, wherever it stands.
    #[must_use]
    pub fn says_as(&self, other: &Waiver) -> bool {
        self.agreed == other.agreed && self.covers.to_string() == other.covers.to_string()
    }

    /// Whether it is about what a lint finds.
    #[must_use]
    pub fn is_of_lint(&self) -> bool {
        match self.covers {
            Covered::Findings { .. } => true,
            Covered::Row(_) | Covered::Flows { .. } => false,
        }
    }
}
