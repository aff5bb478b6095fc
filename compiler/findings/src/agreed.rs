//! An exception that a team has agreed on.

use std::fmt;

use chainmail_contract::Date;
use serde::{Serialize, Serializer};

/// What was agreed on; prints as `by ann until 2026-12-31: launch`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Agreed {
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day on which it holds.
    #[serde(serialize_with = "text")]
    pub expires: Date,
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {} until {}: {}", self.owner, self.expires, self.reason)
    }
}

fn text<S: Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}
