//! How things stand, as a file that anyone may read without asking the service.

use std::fmt::Write as _;

use chainmail_contract::{Sha256Hex, escape};
use chainmail_reconciler::exit::Exit;
use serde::{Deserialize, Serialize};

use crate::inventory::InventoryStatus;
use crate::paths::Paths;
use crate::state::{StateError, read_json};

/// What became of the newest revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is handed over.
    Synced,
    /// It takes too much away, and waits for a word.
    Held,
    /// Nobody answers for it.
    Untrusted,
    /// It cannot be compiled or proven, or is too large.
    Broken,
    /// The remote gave nothing.
    Unreachable,
    /// What this host says about revisions cannot be used.
    Misconfigured,
}

impl State {
    /// All of them.
    pub const ALL: [State; 6] = [
        State::Synced,
        State::Held,
        State::Untrusted,
        State::Broken,
        State::Unreachable,
        State::Misconfigured,
    ];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Synced => "synced",
            State::Held => "held",
            State::Untrusted => "untrusted",
            State::Broken => "broken",
            State::Unreachable => "unreachable",
            State::Misconfigured => "misconfigured",
        }
    }

    /// What a program that found it ends with.
    #[must_use]
    pub fn exit(self) -> Exit {
        match self {
            State::Synced => Exit::Done,
            State::Held => Exit::Busy,
            State::Untrusted => Exit::Trust,
            State::Broken | State::Unreachable => Exit::Input,
            State::Misconfigured => Exit::Usage,
        }
    }
}

/// How things stand with pulling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What became of the newest revision.
    pub state: State,
    /// The node.
    pub node: String,
    /// Where policies come from.
    pub remote: String,
    /// The branch.
    pub branch: String,
    /// The newest revision of the branch.
    pub seen: Option<String>,
    /// The revision that was handed over last.
    pub handed: Option<Handed>,
    /// Why the newest one is not.
    pub reason: Option<String>,
    /// What is worth knowing of the one that was handed over.
    pub notes: Vec<String>,
    /// What needs a person.
    pub alarms: Vec<String>,
    /// How things stand with the inventory, which is looked after by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inventory: Option<InventoryStatus>,
    /// When the remote was last asked.
    pub asked: Option<String>,
    /// When it last answered.
    pub answered: Option<String>,
    /// How often it did not answer since.
    pub failures: u32,
}

/// A revision that was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    /// The commit.
    pub commit: String,
    /// The number of the tag that names it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tag: Option<u64>,
    /// Who answers for it.
    pub signer: Option<String>,
    /// The snapshot.
    pub digest: Sha256Hex,
    /// When.
    pub time: String,
}

impl Status {
    /// Reads how things stand, with the inventory.
    ///
    /// # Errors
    /// When what is there was not written by this program.
    pub fn read(paths: &Paths) -> Result<Option<Self>, StateError> {
        let status = read_json::<Self>(&paths.status())?;
        let inventory = read_json(&paths.inventory_status())?;
        Ok(status.map(|status| status.with(inventory)))
    }

    /// With the inventory, which may have changed what was handed over since.
    #[must_use]
    pub fn with(mut self, inventory: Option<InventoryStatus>) -> Self {
        let live = inventory.as_ref().and_then(|inventory| inventory.handed.as_ref());
        if let (Some(handed), Some(live)) = (&mut self.handed, live)
            && handed.commit == live.commit
            && handed.time <= live.time
        {
            handed.digest.clone_from(&live.digest);
        }
        self.inventory = inventory;
        self
    }

    /// Whether nobody needs to look.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let alarms = self.inventory.as_ref().map_or(0, |inventory| inventory.alarms.len());
        self.state == State::Synced && self.alarms.is_empty() && alarms == 0
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("● {}  node {}\n", self.state.as_str(), self.node);
        // What others wrote must not look like a line of ours: it begins none.
        let mut row = |name: &str, value: &str| {
            writeln!(text, "  {name:<9} {}", escape::line(value)).expect("a String takes all");
        };
        row("remote", &format!("{} {}", self.remote, self.branch));
        match &self.handed {
            Some(handed) => {
                let tag = handed.tag.map_or(String::new(), |tag| format!(" chainmail/{tag}"));
                row("revision", &format!("{}{tag}  handed over {}", handed.commit, handed.time));
                row("signed", handed.signer.as_deref().unwrap_or("not verified"));
                row("digest", handed.digest.as_str());
            }
            None => row("revision", "none"),
        }
        if let Some(seen) = &self.seen
            && self.handed.as_ref().is_none_or(|handed| handed.commit != *seen)
        {
            row("newest", seen);
        }
        if let Some(reason) = &self.reason {
            let mut lines = reason.lines();
            row("reason", lines.next().unwrap_or_default());
            lines.for_each(|line| row("", line));
        }
        for note in &self.notes {
            row("note", note);
        }
        for alarm in &self.alarms {
            row("alarm", alarm);
        }
        for (name, value) in self.inventory.iter().flat_map(InventoryStatus::rows) {
            row(name, &value);
        }
        row("answered", self.answered.as_deref().unwrap_or("never"));
        if self.failures > 0 {
            let times = if self.failures == 1 { "time" } else { "times" };
            row(
                "failed",
                &format!("{} {times}, last {}", self.failures, self.asked.as_deref().unwrap_or("never")),
            );
        }
        text
    }
}
