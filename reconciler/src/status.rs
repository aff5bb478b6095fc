//! How things stand, as a file that anyone may read without asking the service.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chainmail_contract::{Sha256Hex, escape};
use serde::{Deserialize, Serialize};

use crate::clock::Uptime;
use crate::config::Confirm;
use crate::orders::Pin;
use crate::setback::Setback;
use crate::state::Event;
use crate::terminal;

/// What is in force, compared with what fetch wants in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sync {
    /// The same.
    Synced,
    /// Something else is wanted and not in force yet, or nothing is wanted yet.
    Pending,
    /// What is wanted is in force, and somebody is to say that it works.
    PendingConfirm,
    /// What is wanted was refused or failed.
    Held,
}

/// What the kernel holds, compared with what is in force by the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforce {
    /// Exactly that.
    Enforcing,
    /// Exactly that, and its rules only observe: what policies deny passes.
    Observing,
    /// Others changed it, and it is not undone.
    Drifted,
    /// A change failed, and the kernel was brought back to what was in force before.
    RolledBack,
    /// Every copy of the last good snapshot is damaged, and the networks of this node's pods are closed.
    Closed,
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
    /// Who says that a snapshot works.
    pub confirm: Confirm,
    /// What the one in force waits for, where it does.
    pub awaits: Option<Awaits>,
    /// The wanted snapshot, where it was taken back and may not come again yet.
    #[serde(default)]
    pub set_back: Option<Setback>,
    /// When the kernel was last read and compared.
    pub checked: Option<String>,
    /// When this was written: its age must not depend on who sets the clock.
    pub written: Uptime,
    /// After how many seconds without news of the service it must be said to hang.
    pub late_after: u64,
    /// The snapshot that a person chose over the wanted one.
    pub pin: Option<Pin>,
    /// The time in which nothing new comes into force.
    pub pause: Option<String>,
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
    /// Families that the kernel has and whose rules are not in force, and why.
    #[serde(default)]
    pub degraded: BTreeMap<String, String>,
    /// How often what happened since the service started.
    #[serde(default)]
    pub counts: BTreeMap<Event, u64>,
    /// How many packets of each family the rules denied since they were loaded, where they count them.
    #[serde(default)]
    pub denied: BTreeMap<String, u64>,
}

/// What a snapshot that is in force waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaits {
    /// Since when, which also tells one attempt from the next.
    pub since: String,
    /// When it is taken back.
    pub until: String,
    /// What is then in force again.
    pub back_to: Option<Sha256Hex>,
}

/// What has become of the service that wrote a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "service")]
pub enum Writer {
    /// It is at work.
    Running,
    /// It should have written again by now.
    Late {
        /// How long it has been silent.
        silent_seconds: u64,
    },
    /// There is none.
    Stopped,
}

impl Writer {
    /// Judges by the age of the status and by the lock that the service holds, where it can be asked for.
    #[must_use]
    pub fn of(status: &Status, now: &Uptime, lock_is_held: Option<bool>) -> Self {
        let silent_seconds = now.since(&status.written).map_or(0, |silent| silent.as_secs());
        match lock_is_held {
            Some(false) => Writer::Stopped,
            Some(true) | None if silent_seconds > status.late_after => Writer::Late { silent_seconds },
            Some(true) | None => Writer::Running,
        }
    }

    fn warning(self) -> Option<String> {
        match self {
            Writer::Running => None,
            Writer::Late { silent_seconds } => {
                Some(format!("has been silent for {silent_seconds} s: this is how things stood then"))
            }
            Writer::Stopped => Some("is not running: this is how it left things".to_owned()),
        }
    }
}

/// A status as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// What has become of the one who wrote it.
    #[serde(flatten)]
    pub writer: Writer,
    /// What it wrote.
    #[serde(flatten)]
    pub status: Status,
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
            Sync::PendingConfirm => "pending-confirm",
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
            Enforce::Observing => "observing",
            Enforce::Drifted => "drifted",
            Enforce::RolledBack => "rolled-back",
            Enforce::Closed => "closed",
            Enforce::Nothing => "nothing",
            Enforce::Unknown => "unknown",
        }
    }
}

impl Status {
    /// Both words, and whether a family is left out that should not be.
    #[must_use]
    pub fn words(&self) -> String {
        let degraded = if self.degraded.is_empty() { "" } else { " degraded" };
        format!("{} {}{degraded}", self.sync.as_str(), self.enforce.as_str())
    }

    /// The file's text.
    #[must_use]
    pub fn json(&self) -> String {
        terminal::json(self)
    }

    fn text(&self, warning: Option<String>) -> String {
        let mut text = format!("● {}  node {} ({})\n", self.words(), self.node, self.backend);
        // What others wrote must not look like a line of ours: it begins none.
        let mut row = |name: &str, value: String| {
            let value = value.split('\n').map(escape::line).collect::<Vec<_>>().join("\n            ");
            writeln!(text, "  {name:<9} {value}").expect("a String takes all");
        };
        if let Some(warning) = warning {
            row("service", warning);
        }
        let digest =
            |digest: &Option<Sha256Hex>| digest.as_ref().map_or("none".to_owned(), ToString::to_string);
        let since = self.since.as_ref().map_or(String::new(), |since| format!("  since {since}"));
        row("enforced", digest(&self.enforced) + &since);
        if self.desired != self.enforced {
            row("desired", digest(&self.desired));
        }
        if let Some(Awaits { until, back_to, .. }) = &self.awaits {
            let back = back_to.as_ref().map_or("nothing", |digest| digest.short(12));
            row("confirm", format!("by {until}, or {back} comes back; `chainmaild confirm` does it by hand"));
        }
        if let Some(Pin { digest, reason, since }) = &self.pin {
            row("pinned", format!("{digest}  since {since}: {reason}"));
        }
        if let Some(pause) = &self.pause {
            row("paused", format!("{pause}; nothing new comes into force"));
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
        for (family, reason) in &self.degraded {
            row("degraded", format!("{family} is not enforced, and its packets pass: {reason}"));
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

impl Shown {
    /// Whether nobody needs to look.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let Status { sync, enforce, alarms, degraded, .. } = &self.status;
        *sync == Sync::Synced
            && matches!(enforce, Enforce::Enforcing | Enforce::Observing)
            && alarms.is_empty()
            && degraded.is_empty()
            && self.writer == Writer::Running
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        self.status.text(self.writer.warning())
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        terminal::json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_imitates_no_line_and_commands_no_terminal() {
        let hostile = "x\u{1b}]0;title\u{7}\u{1b}[2J\n● synced enforcing  node n1 (nft)\u{202e}";
        let status = Status {
            sync: Sync::Held,
            enforce: Enforce::Closed,
            node: "n1".to_owned(),
            backend: "nft".to_owned(),
            desired: None,
            enforced: None,
            since: None,
            confirm: Confirm::None,
            awaits: None,
            set_back: None,
            checked: Some(hostile.to_owned()),
            written: Uptime { boot: String::new(), seconds: 0 },
            late_after: 0,
            pin: None,
            pause: Some(hostile.to_owned()),
            drift: 1,
            drift_lines: vec![hostile.to_owned()],
            last_heal: None,
            alarms: vec![hostile.to_owned()],
            last_error: Some(hostile.to_owned()),
            skipped: Vec::new(),
            degraded: BTreeMap::new(),
            counts: BTreeMap::new(),
            denied: BTreeMap::new(),
        };
        let shown = Shown { writer: Writer::Running, status };
        let text = shown.text();
        assert_eq!(text.lines().filter(|line| line.starts_with('●')).count(), 1, "{text}");
        assert!(!text.contains(|c: char| c != '\n' && c.is_control()), "{text:?}");
        let json = shown.json();
        assert!(
            !json.contains(|c: char| c != '\n' && c.is_control()) && !json.contains('\u{202e}'),
            "{json:?}"
        );
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["last_error"], hostile);
    }
}
