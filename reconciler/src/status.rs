//! How things stand, as a file that anyone may read without asking the service.

use std::fmt::Write as _;

use chainmail_snapshot::Sha256Hex;
use serde::{Deserialize, Serialize};

/// What is in force, compared with what fetch wants in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sync {
    /// The same.
    Synced,
    /// Something else is wanted and not in force yet, or nothing is wanted yet.
    Pending,
    /// What is wanted was refused or failed.
    Held,
}

/// What the kernel holds, compared with what is in force by the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforce {
    /// Exactly that.
    Enforcing,
    /// Others changed it, and it is not undone.
    Drifted,
    /// A change failed, and the kernel was brought back to what was in force before.
    RolledBack,
    /// There is no snapshot to enforce yet.
    Nothing,
    /// The kernel could not be read, or could not be brought to a known state.
    Unknown,
}

/// How things stand on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The first word.
    pub sync: Sync,
    /// The second word.
    pub enforce: Enforce,
    /// The node.
    pub node: String,
    /// Where rules are kept.
    pub backend: String,
    /// The digest that fetch wants.
    pub desired: Option<Sha256Hex>,
    /// The digest in force.
    pub enforced: Option<Sha256Hex>,
    /// Since when.
    pub since: Option<String>,
    /// When the kernel was last read and compared.
    pub checked: Option<String>,
    /// How many lines others have changed.
    pub drift: usize,
    /// The first of those lines: what would bring the kernel back.
    pub drift_lines: Vec<String>,
    /// When drift was last undone, and of how many lines.
    pub last_heal: Option<Heal>,
    /// What needs a person.
    pub alarms: Vec<String>,
    /// What went wrong last, as long as it is not put right.
    pub last_error: Option<String>,
    /// Families that the kernel does not have; their rules are left out.
    pub skipped: Vec<String>,
}

/// Drift that was undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heal {
    /// When.
    pub time: String,
    /// How many lines came or went.
    pub lines: usize,
}

impl Sync {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Sync::Synced => "synced",
            Sync::Pending => "pending",
            Sync::Held => "held",
        }
    }
}

impl Enforce {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Enforce::Enforcing => "enforcing",
            Enforce::Drifted => "drifted",
            Enforce::RolledBack => "rolled-back",
            Enforce::Nothing => "nothing",
            Enforce::Unknown => "unknown",
        }
    }
}

impl Status {
    /// Both words.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} {}", self.sync.as_str(), self.enforce.as_str())
    }

    /// Whether nobody needs to look.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.sync == Sync::Synced && self.enforce == Enforce::Enforcing && self.alarms.is_empty()
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("it has only string keys") + "\n"
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("● {}  node {} ({})\n", self.words(), self.node, self.backend);
        let mut row =
            |name: &str, value: String| writeln!(text, "  {name:<9} {value}").expect("a String takes all");
        let digest =
            |digest: &Option<Sha256Hex>| digest.as_ref().map_or("none".to_owned(), ToString::to_string);
        let since = self.since.as_ref().map_or(String::new(), |since| format!("  since {since}"));
        row("enforced", digest(&self.enforced) + &since);
        if self.desired != self.enforced {
            row("desired", digest(&self.desired));
        }
        row("checked", self.checked.clone().unwrap_or_else(|| "never".to_owned()));
        row("drift", self.drift_text());
        for line in &self.drift_lines {
            row("", line.clone());
        }
        if self.drift > self.drift_lines.len() {
            row("", format!("… and {} more", self.drift - self.drift_lines.len()));
        }
        for family in &self.skipped {
            row("skipped", format!("{family}: this kernel does not have it"));
        }
        for alarm in &self.alarms {
            row("alarm", alarm.clone());
        }
        if let Some(error) = &self.last_error {
            row("error", error.clone());
        }
        text
    }

    fn drift_text(&self) -> String {
        let last = self.last_heal.as_ref();
        let last =
            last.map_or(String::new(), |heal| format!("  (last healed {}: {} lines)", heal.time, heal.lines));
        format!("{}{last}", self.drift)
    }
}
