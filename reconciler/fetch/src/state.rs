//! What the pulling half remembers.

use std::path::Path;

use chainmail_reconciler::files::{self, FileError};
use chainmail_snapshot::limits::STATE_BYTES;
use chainmail_snapshot::{JsonProblem, Sha256Hex};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::status::Status;
use crate::trust::Verified;

/// The revision that was handed over last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Who answers for it.
    pub verified: Verified,
    /// What trust was made of then.
    pub trust: Sha256Hex,
    /// The snapshot.
    pub digest: Sha256Hex,
    /// When.
    pub time: String,
}

/// The last look at a remote that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// What this host said.
    pub inputs: Sha256Hex,
    /// What the remote said.
    pub heads: Sha256Hex,
    /// What it came to.
    pub status: Status,
}

/// A held revision that somebody let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The revision.
    pub revision: String,
    /// Why.
    pub reason: String,
    /// When.
    pub time: String,
}

/// A file of the state that holds something else. It is not passed by: without it an old revision could be accepted.
#[derive(Debug, Error)]
pub enum StateError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what was written.
    #[error("{path} is broken: {problem}")]
    Broken {
        /// The file.
        path: String,
        /// What is wrong.
        problem: JsonProblem,
    },
}

/// Reads what [`write_json`] wrote; `None` when there is no such file.
///
/// # Errors
/// When it is there and broken.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    read_json_of(path, STATE_BYTES)
}

/// As [`read_json`], of a file of at most that many bytes.
///
/// # Errors
/// As [`read_json`].
pub fn read_json_of<T: DeserializeOwned>(path: &Path, most: u64) -> Result<Option<T>, StateError> {
    let Some(text) = files::read_short(path, most)? else { return Ok(None) };
    let fail = |error: serde_json::Error| StateError::Broken {
        path: path.display().to_string(),
        problem: JsonProblem::from(&error),
    };
    serde_json::from_str(&text).map(Some).map_err(fail)
}

/// Replaces a file. It may be written by another user than the one who reads it.
///
/// # Errors
/// When the disk is full or the folder is not there.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    files::publish(path, &json(value))
}

/// A value as it is written.
#[must_use]
pub fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("it has only string keys") + "\n"
}

/// A value that nobody looks at, in one line.
#[must_use]
pub fn json_line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("it has only string keys")
}
