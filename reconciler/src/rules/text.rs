//! The text of one rule, which is one line to `iptables-restore`.

use std::borrow::Cow;
use std::fmt;

use chainmail_contract::{Family, SetName};
use chainmail_verdict::record::words;
use serde::{Deserialize, Serialize};

use super::Rule;

/// What follows `-A CHAIN ` of a rule, as `iptables-save` prints it: one line, without control characters. Only such texts
/// are handed to `iptables-restore`.
///
/// It is made from a [`Rule`], or is what the kernel held in our chains before, to go back to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RuleText(String);

/// About how many bytes a rule has.
const USUAL_LENGTH: usize = 128;

/// A text that is no rule of one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a rule has a control character")]
pub struct RuleTextError;

impl RuleText {
    /// The text of a rule of a snapshot.
    #[must_use]
    pub fn of(rule: &Rule, family: Family) -> Self {
        let mut text = String::with_capacity(USUAL_LENGTH);
        let mut word = |write: &dyn Fn(&mut String)| {
            if !text.is_empty() {
                text.push(' ');
            }
            write(&mut text);
        };
        for condition in &rule.conditions {
            word(&|text| condition.write(family, text));
        }
        if let Some(comment) = &rule.comment {
            word(&|text| comment.write(text));
        }
        word(&|text| rule.target.write(text));
        Self(text)
    }

    /// The text of a rule that the kernel holds; nothing for one that `iptables-restore` cannot read as one line. No rule
    /// of ours was ever such.
    #[must_use]
    pub fn of_live(body: &str) -> Option<Self> {
        Self::try_from(body.to_owned()).ok()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the set that the rule asks.
    #[must_use]
    pub fn set(&self) -> Option<Cow<'_, str>> {
        let mut words = words(&self.0)?.into_iter().skip_while(|word| word != "--match-set");
        words.nth(1)
    }

    /// The same rule, asking another set.
    #[must_use]
    pub fn asking(&self, old: &SetName, new: &SetName) -> Self {
        Self(self.0.replace(&format!("--match-set {old} "), &format!("--match-set {new} ")))
    }
}

impl TryFrom<String> for RuleText {
    type Error = RuleTextError;

    fn try_from(text: String) -> Result<Self, RuleTextError> {
        if text.chars().any(char::is_control) { Err(RuleTextError) } else { Ok(Self(text)) }
    }
}

impl fmt::Display for RuleText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
