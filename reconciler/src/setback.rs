//! A snapshot that was in force and taken back again: on disk, so that no restart tries it again too soon.

use std::fmt;
use std::time::Duration;

use chainmail_contract::limits::ORDERS_BYTES;
use chainmail_contract::{JsonProblem, Sha256Hex};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Uptime};
use crate::files::{self, FileError};
use crate::paths::Paths;
use crate::sealed;
use crate::state::Event;

/// The first wait before a snapshot that nobody confirmed is tried again; it doubles each time.
pub const FIRST: Duration = Duration::from_secs(30);
/// The longest such wait.
pub const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The snapshot that was taken back last, as long as it is the wanted one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setback {
    /// The snapshot.
    pub digest: Sha256Hex,
    /// Since when it had waited to be confirmed.
    pub since: String,
    /// When it was taken back.
    pub time: String,
    /// Why.
    pub reason: String,
    /// Whether it may come again.
    pub again: Again,
}

/// Whether a snapshot that was taken back may come again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Again {
    /// Not before a person says so: somebody found that it does harm.
    Never,
    /// After a while: nobody said anything about it.
    Later {
        /// How often that was so.
        times: u32,
        /// When it may come. It may after a boot, too: that begins at the last good snapshot.
        at: Uptime,
    },
}

impl Setback {
    /// Somebody found that it does harm.
    #[must_use]
    pub fn refused(digest: Sha256Hex, since: String, reason: String, clock: Clock) -> Self {
        Self { digest, since, time: (clock.now)().to_string(), reason, again: Again::Never }
    }

    /// Nobody said anything; `before` is the setback before this one.
    #[must_use]
    pub fn unconfirmed(
        digest: Sha256Hex,
        since: String,
        reason: String,
        clock: Clock,
        before: Option<&Setback>,
    ) -> Self {
        let times = match before {
            Some(Setback { digest: same, again: Again::Later { times, .. }, .. }) if *same == digest => {
                times.saturating_add(1)
            }
            Some(_) | None => 1,
        };
        let mut at = (clock.uptime)();
        at.seconds += wait(times).as_secs();
        Self { digest, since, time: (clock.now)().to_string(), reason, again: Again::Later { times, at } }
    }

    /// How long until it may come again; `None` when it may not.
    #[must_use]
    pub fn left(&self, now: &Uptime) -> Option<Duration> {
        match &self.again {
            Again::Never => None,
            Again::Later { at, .. } => Some(now.until(at).unwrap_or_default()),
        }
    }

    /// What it is in a history.
    #[must_use]
    pub fn event(&self) -> Event {
        match self.again {
            Again::Never => Event::Refused,
            Again::Later { .. } => Event::Unconfirmed,
        }
    }

    /// Reads it. One that cannot be read keeps nothing back.
    #[must_use]
    pub fn read(paths: &Paths) -> Option<Self> {
        let read = files::read_short(&paths.setback(), ORDERS_BYTES).map_err(|error| error.to_string());
        let parse = |text: &String| {
            let line = sealed::open(text).map_err(|error| error.to_string())?;
            serde_json::from_str(line).map_err(|error| JsonProblem::from(&error).to_string())
        };
        let parsed = read.and_then(|text| text.as_ref().map(parse).transpose());
        parsed.unwrap_or_else(|error| {
            tracing::warn!(%error, "it is not known which snapshot was taken back");
            None
        })
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn write(&self, paths: &Paths) -> Result<(), FileError> {
        let text = serde_json::to_string(self).expect("it has only string keys");
        files::replace(&paths.setback(), &sealed::seal(&text))
    }

    /// Forgets it.
    ///
    /// # Errors
    /// When the file stays.
    pub fn forget(paths: &Paths) -> Result<(), FileError> {
        files::remove(&paths.setback())
    }
}

/// The wait after it was taken back that many times.
fn wait(times: u32) -> Duration {
    FIRST.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1))).min(LONGEST)
}

impl fmt::Display for Setback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, time, reason, again, .. } = self;
        write!(f, "snapshot {} was taken back {time}: {reason}; ", digest.short(12))?;
        match again {
            Again::Never => f.write_str("it comes again after `chainmaild confirm` or `resume`"),
            Again::Later { times, .. } => write!(f, "it is tried again after {} s", wait(*times).as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_confirms_is_tried_ever_more_rarely() {
        let (a, b) = (Sha256Hex::of("a"), Sha256Hex::of("b"));
        let boot = |boot: &str| Uptime { boot: boot.to_owned(), seconds: 1000 };
        let clock = Clock { uptime: || Uptime { boot: "this".to_owned(), seconds: 1000 }, ..Clock::HOST };
        let unconfirmed = |digest: &Sha256Hex, before: Option<&Setback>| {
            Setback::unconfirmed(digest.clone(), String::new(), "x".to_owned(), clock, before)
        };
        let mut before = None;
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                let setback = unconfirmed(&a, before.as_ref());
                let wait = setback.left(&boot("this")).unwrap().as_secs();
                before = Some(setback);
                wait
            })
            .collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        let other = unconfirmed(&b, before.as_ref());
        assert_eq!(other.left(&boot("this")), Some(FIRST), "another one begins anew");
        assert_eq!(before.unwrap().left(&boot("next")), Some(Duration::ZERO), "a boot may try it");
        let refused = Setback::refused(a, String::new(), "x".to_owned(), clock);
        assert_eq!(refused.left(&boot("next")), None);
    }
}
