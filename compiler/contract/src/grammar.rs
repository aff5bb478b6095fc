//! Which forms of rules a snapshot has. A reader that does not know them says which version does.

use serde::{Deserialize, Serialize};

use crate::SnapshotError;

/// A level of the grammar of rules. Each has all forms of those before it.
///
/// A new form of rule gets a new level, and a line in [`Level::since`]. Levels are never taken away: a node may keep a
/// snapshot of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The forms that format 1 began with. A manifest of this level does not name it.
    #[default]
    First,
}

impl Level {
    /// The newest that this version knows.
    pub const NEWEST: Self = Level::First;

    /// The first version of `chainmaild` that reads it.
    #[must_use]
    pub fn since(self) -> &'static str {
        match self {
            Level::First => "0.1.0",
        }
    }

    /// The level as a number, from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Level::First => 1,
        }
    }
}

/// What `manifest.json` says of a level after the first: its number, and the first version of `chainmaild` that reads it.
///
/// It is outside the digest. Nothing is decided by it: a reader that knows the level reads the rules by their forms, and one
/// that does not refuses them by their forms too, and can say why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grammar {
    level: u32,
    chainmaild: String,
}

impl Grammar {
    /// What a manifest of a level says; nothing for the first.
    #[must_use]
    pub fn of(level: Level) -> Option<Self> {
        let named = level > Level::First;
        named.then(|| Self { level: level.number(), chainmaild: level.since().to_owned() })
    }

    /// A level as a manifest names it.
    pub(crate) fn new(level: u32, chainmaild: String) -> Self {
        Self { level, chainmaild }
    }

    /// Answers whether this version reads it.
    ///
    /// # Errors
    /// When it is a later level, or none. The version that reads it was written by another user: anything but digits and
    /// dots is left out.
    pub(crate) fn known(&self) -> Result<(), SnapshotError> {
        if (1..=Level::NEWEST.number()).contains(&self.level) {
            return Ok(());
        }
        let is_version = self.chainmaild.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let fits = is_version && (1..=16).contains(&self.chainmaild.len());
        let needs = if fits { self.chainmaild.clone() } else { "a later one".to_owned() };
        Err(SnapshotError::NewerGrammar { level: self.level, needs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_not_known_names_a_version_and_nothing_else() {
        for (said, needs) in [
            ("0.12.3", "≥ 0.12.3;"),
            ("1\u{1b}[2J", "≥ a later one;"),
            ("1.1.1.1.1.1.1.1.1", "≥ a later one;"),
        ] {
            let error = Grammar::new(99, said.to_owned()).known().unwrap_err().to_string();
            assert!(error.contains(&format!("it needs chainmaild {needs}")), "{error}");
        }
        assert!(Grammar::new(1, String::new()).known().is_ok());
        assert_eq!(Grammar::of(Level::First), None);
    }
}
