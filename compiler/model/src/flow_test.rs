//! Flows that are expected, as they were written.

use chainmail_findings::ObjectRef;

/// A FlowTest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowTest {
    /// Where it stands.
    pub at: ObjectRef,
    /// Its name; empty where it has none.
    pub name: String,
    /// Its cases, `spec`.
    pub cases: Vec<FlowCase>,
}

/// One entry of `spec`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowCase {
    /// The ends that send.
    pub from: Option<Words>,
    /// The ends that receive.
    pub to: Option<Words>,
    /// Services that must be let through.
    pub allow: Option<Words>,
    /// Services that must not be.
    pub deny: Option<Words>,
    /// The reason, for whoever breaks it.
    pub why: Option<String>,
}

/// One word, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// Written without a list.
    One(String),
    /// Written as a list.
    Many(Vec<String>),
}

impl Words {
    /// The words.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Words::One(word) => std::slice::from_ref(word),
            Words::Many(words) => words,
        }
    }
}
