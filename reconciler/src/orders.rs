//! What a person wants of this node, over what fetch wants. It outlives a restart, and only root can write it.

use std::fmt;
use std::time::Duration;

use chainmail_contract::limits::ORDERS_BYTES;
use chainmail_contract::{JsonProblem, Sha256Hex};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::{Clock, Moment, Uptime};
use crate::files::{self, FileError};
use crate::paths::Paths;
use crate::sealed;

/// All that was ordered and still holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Orders {
    /// A snapshot to stay at, whatever the spool wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Nothing new is to come into force for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// A snapshot that works: it needs no other word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Sha256Hex>,
    /// Nothing at all is to be in force: when `chainmaild uninstall` was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}

/// A snapshot to stay at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The snapshot.
    pub digest: Sha256Hex,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: String,
}

/// A time in which nothing new comes into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Its end, in seconds since 1970.
    pub until: u64,
    /// How long it was to last when it was ordered, in seconds.
    pub seconds: u32,
    /// When it was ordered.
    pub ordered: Uptime,
}

/// Orders that cannot be read or written.
#[derive(Debug, Error)]
pub enum OrdersError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not one that this program wrote.
    #[error("{path} holds no orders: {problem}; `chainmaild resume` begins anew")]
    Form {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Orders {
    /// Reads them; none where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn read(paths: &Paths) -> Result<Self, OrdersError> {
        let path = paths.orders();
        let Some(text) = files::read_short(&path, ORDERS_BYTES)? else { return Ok(Self::default()) };
        let form = |problem: String| OrdersError::Form { path: path.display().to_string(), problem };
        let line = sealed::open(&text).map_err(|error| form(error.to_string()))?;
        serde_json::from_str(line).map_err(|error| form(JsonProblem::from(&error).to_string()))
    }

    /// Writes them. A service that runs sees it at once.
    ///
    /// # Errors
    /// When the disk is full, or the process is not root's.
    pub fn write(&self, paths: &Paths) -> Result<(), FileError> {
        files::make_dir(&paths.orders_folder())?;
        let text = serde_json::to_string(self).expect("it has only string keys");
        files::replace(&paths.orders(), &sealed::seal(&text))
    }
}

impl Pause {
    /// A pause that begins now.
    #[must_use]
    pub fn begin(clock: Clock, seconds: u32) -> Self {
        let until = (clock.now)().0.saturating_add(seconds.into());
        Self { until, seconds, ordered: (clock.uptime)() }
    }

    /// How much of it is left. The time of day counts only after another boot, and even then no pause lasts longer than it
    /// was to: the clock of a host may be anywhere until it is set.
    #[must_use]
    pub fn left(&self, clock: Clock) -> Duration {
        let (length, uptime) = (Duration::from_secs(self.seconds.into()), (clock.uptime)());
        match uptime.since(&self.ordered) {
            Some(passed) => length.saturating_sub(passed),
            None => {
                let left = Duration::from_secs(self.until.saturating_sub((clock.now)().0));
                left.min(length.saturating_sub(Duration::from_secs(uptime.seconds)))
            }
        }
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "until {}", Moment(self.until))
    }
}
