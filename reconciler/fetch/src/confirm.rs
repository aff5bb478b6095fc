//! Confirms what the applying half has brought into force, or says why it must go.
//!
//! The applying half says in its status what it waits for. Two users take part. The one who may speak to the network runs
//! the probes and asks the remote ([`answer`], [`judge`]); it may write nothing but what it found. The one who may write
//! the spool passes that on ([`word`]), if it is about the snapshot that waits.

pub mod answer;
pub mod judge;
pub mod word;

use std::fmt;

use chainmail_contract::Sha256Hex;
use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::config;
use chainmail_reconciler::files::{self, FileError};
use chainmail_reconciler::spool::{confirms, pointer};
use chainmail_reconciler::status::{Status, Sync};
use serde::{Deserialize, Serialize};

use crate::config::Confirm;
use crate::paths::Paths;
use crate::state::{read_json, write_json};

/// A snapshot of ours that is in force and waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The snapshot.
    pub digest: Sha256Hex,
    /// Since when, which also tells one attempt from the next.
    pub since: String,
}

impl Attempt {
    /// The attempt that the applying half is at, if it is one with the snapshot that was handed over.
    #[must_use]
    pub fn current(paths: &Paths) -> Option<Self> {
        let status = applied(paths)?;
        let (digest, since) = (status.enforced?, status.awaits?.since);
        let handed = pointer(&paths.node.desired()).ok().flatten();
        (handed.as_ref() == Some(&digest)).then_some(Self { digest, since })
    }

    /// Whether it still lasts.
    #[must_use]
    pub fn lasts(&self, paths: &Paths) -> bool {
        Self::current(paths).as_ref() == Some(self)
    }
}

/// How things stand with the applying half, as far as it says.
fn applied(paths: &Paths) -> Option<Status> {
    read_json(&paths.node.status()).ok().flatten()
}

/// What was said about an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The snapshot.
    pub digest: Sha256Hex,
    /// What was found.
    pub finding: Finding,
    /// Why.
    pub reason: String,
    /// When.
    pub time: String,
}

/// What was found about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// It works.
    Confirmed,
    /// It does harm.
    Refused,
    /// It cannot be said, so nothing is.
    Unknown,
}

impl Judged {
    /// What was said last.
    #[must_use]
    pub fn last(paths: &Paths) -> Option<Self> {
        read_json(&paths.judged()).ok().flatten()
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, finding, reason, time } = self;
        let word = match finding {
            Finding::Confirmed => "confirmed",
            Finding::Refused => "refused",
            Finding::Unknown => "not confirmed",
        };
        write!(f, "{} {word} {time}: {reason}", digest.short(12))
    }
}

/// Confirms a snapshot beforehand which differs from the one before it by no reviewed change: both are of one revision, and
/// only the inventory made another one of it. That holds where the one before was confirmed itself; otherwise the new one
/// is judged as any other. Whether it was confirmed is answered.
///
/// It is to be called before the new one is handed over.
///
/// # Errors
/// When it cannot be written; the new one is then judged as any other.
pub fn of_same_revision(paths: &Paths, before: &Sha256Hex, new: &Sha256Hex) -> Result<bool, FileError> {
    let stands = |status: Status| status.awaits.is_none() && status.enforced.as_ref() == Some(before);
    let confirmed = confirms(&paths.node, before) || applied(paths).is_some_and(stands);
    if confirmed {
        files::publish(&paths.node.confirmed(), &format!("{new}\n"))?;
    }
    Ok(confirmed)
}

/// Why the applying half has taken a snapshot back, where it has, and does not try it again yet.
#[must_use]
pub fn taken_back(paths: &Paths, digest: &Sha256Hex) -> Option<String> {
    let setback = applied(paths)?.set_back?;
    (setback.digest == *digest).then_some(setback.reason)
}

/// Probes that nobody asks for.
pub fn alarm(paths: &Paths, config: &Confirm) -> Option<String> {
    let unasked = applied(paths).is_some_and(|status| status.confirm == config::Confirm::None);
    (unasked && !config.probes.is_empty()).then(|| {
        "nothing waits for the probes of [confirm]: set confirm = \"required\" in /etc/chainmail/node.toml".to_owned()
    })
}

/// Whether the remote answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It did.
    Answers,
    /// It did not.
    Silent,
}

#[derive(Serialize, Deserialize)]
struct Reached {
    remote: Reach,
    time: String,
}

/// Remembers whether the remote answers without the snapshot that is on trial: only then its silence can speak against one.
/// `beside_trial` says that one was on trial while the remote was asked.
pub fn remember_reach(paths: &Paths, remote: Reach, beside_trial: bool) {
    if beside_trial || is_on_trial(paths) {
        return;
    }
    let reached = Reached { remote, time: Moment::now().to_string() };
    if let Err(error) = write_json(&paths.reach(), &reached) {
        tracing::warn!(%error, "it is not known whether the remote answered");
    }
}

/// Whether a snapshot is being brought into force, or waits to be confirmed.
#[must_use]
pub fn is_on_trial(paths: &Paths) -> bool {
    let Some(status) = applied(paths) else { return false };
    let handed = pointer(&paths.node.desired()).ok().flatten();
    let under_way = handed.is_some() && status.enforced != handed && status.sync != Sync::Held;
    status.awaits.is_some() || under_way
}

/// Whether the remote answered before the snapshot that is on trial. Where nothing is known it did: what was handed over
/// came from there.
fn reached_before(paths: &Paths) -> Reach {
    let reached = read_json::<Reached>(&paths.reach()).ok().flatten();
    reached.map_or(Reach::Answers, |reached| reached.remote)
}

#[cfg(test)]
mod tests;
