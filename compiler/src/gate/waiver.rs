//! An exception that a team has agreed on: which rows, who answers for it, why, and until when.

use chainmail_snapshot::Date;
use globset::GlobMatcher;

use crate::diagnostic::Place;
use crate::diff::{Ends, EndsKind, Flow, Isolation};

/// One `[[waiver]]` of `chainmail.toml`.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// Where it stands.
    pub place: Place,
    /// What it covers.
    pub rows: WaivedRows,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds.
    pub expires: Date,
}

impl PartialEq for Waiver {
    /// No two stand in one place.
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Waiver {}

/// What a waiver covers.
#[derive(Debug, Clone)]
pub enum WaivedRows {
    /// The row of this id.
    Id(String),
    /// Every flow all of whose ends have names like these.
    Between {
        /// Of those who send.
        from: GlobMatcher,
        /// Of those who receive.
        to: GlobMatcher,
    },
}

impl WaivedRows {
    pub(super) fn cover_flow(&self, flow: &Flow) -> bool {
        match self {
            WaivedRows::Id(id) => flow.id == *id,
            WaivedRows::Between { from, to } => are_like(&flow.from, from) && are_like(&flow.to, to),
        }
    }

    pub(super) fn cover_isolation(&self, isolation: &Isolation) -> bool {
        match self {
            WaivedRows::Id(id) => isolation.id == *id,
            WaivedRows::Between { .. } => false,
        }
    }
}

/// Everyone is an end that only `*` is like: a waiver for a few must not grow to one for all.
fn are_like(ends: &Ends, pattern: &GlobMatcher) -> bool {
    match ends.kind {
        EndsKind::Any => pattern.glob().glob() == "*",
        EndsKind::Outside | EndsKind::Pods => {
            !ends.ends.is_empty() && ends.ends.iter().all(|end| pattern.is_match(end))
        }
    }
}
