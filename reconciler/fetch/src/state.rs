//! What the pulling half remembers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chainmail_contract::beneath::BeneathError;
use chainmail_contract::limits::STATE_BYTES;
use chainmail_contract::{JsonProblem, Sha256Hex};
use chainmail_reconciler::files::{self, FileError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::paths::Paths;
use crate::status::Status;
use crate::trust::Verified;

/// The revision that was handed over last. Its file has a checksum: a wrong letter in the commit would otherwise name a
/// revision that nothing follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Fields", try_from = "Fields")]
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

/// [`Accepted`] without its checksum.
#[derive(Serialize, Deserialize)]
struct Plain {
    verified: Verified,
    trust: Sha256Hex,
    digest: Sha256Hex,
    time: String,
}

/// The fields as they stand in the file, with the checksum of the others. It is over the file's own text, since a later
/// version may know more fields.
type Fields = BTreeMap<String, serde_json::Value>;

const CHECKSUM: &str = "checksum";

impl From<Accepted> for Fields {
    fn from(Accepted { verified, trust, digest, time }: Accepted) -> Self {
        let plain = json_line(&Plain { verified, trust, digest, time });
        let mut fields: Fields = serde_json::from_str(&plain).expect("it is an object");
        let checksum = Sha256Hex::of(json_line(&fields));
        fields.insert(CHECKSUM.to_owned(), checksum.as_str().into());
        fields
    }
}

impl TryFrom<Fields> for Accepted {
    type Error = String;

    fn try_from(mut fields: Fields) -> Result<Self, String> {
        // Files of earlier versions have none.
        let checksum = fields.remove(CHECKSUM);
        let holds = |checksum: &serde_json::Value| *checksum == Sha256Hex::of(json_line(&fields)).as_str();
        if !checksum.as_ref().is_none_or(holds) {
            return Err("its checksum does not hold".to_owned());
        }
        let plain = fields.into_iter().collect::<serde_json::Map<_, _>>();
        let plain: Plain = serde_json::from_value(plain.into()).map_err(|error| error.to_string())?;
        let Plain { verified, trust, digest, time } = plain;
        Ok(Self { verified, trust, digest, time })
    }
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

/// The revision that was held last. Its objects are not kept, so its payload tells which other ids are the same revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRevision {
    /// The revision.
    pub revision: String,
    /// The digest of the commit without its signature.
    pub payload: Option<Sha256Hex>,
}

/// A file of the state that holds something else.
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
    /// It protects from old revisions, and nothing else does.
    #[error(
        "{path} is damaged, as by a failing disk, and without min_commit an old revision could be accepted: set min_commit in \
         fetch.toml to the newest commit that you trust, or remove the file to accept any that is signed"
    )]
    NoFloor {
        /// The file.
        path: String,
    },
}

impl StateError {
    /// Whether what the file holds is at fault, and not the right to read it.
    fn is_damage(&self) -> bool {
        match self {
            StateError::Broken { .. } => true,
            StateError::File(FileError::Read(error)) => !matches!(error, BeneathError::System { .. }),
            StateError::File(FileError::System { .. }) | StateError::NoFloor { .. } => false,
        }
    }
}

/// Whether something else than `accepted.json` protects from old revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// `min_commit`, or revisions are not verified at all.
    Known,
    /// Nothing does.
    None,
}

/// Takes away what is damaged of the state and can be found out anew: the finding of the last look, and where there is a
/// floor the revision that was accepted last. That file is put aside, and [`damaged`] tells of it.
///
/// # Errors
/// When the accepted revision is damaged and there is no floor, or the disk fails.
pub fn mend(paths: &Paths, floor: Floor) -> Result<(), StateError> {
    let accepted = read_json::<Accepted>(&paths.accepted());
    let last = read_json::<Last>(&paths.last());
    if accepted.as_ref().is_err_and(StateError::is_damage) {
        let path = paths.accepted();
        if floor == Floor::None {
            return Err(StateError::NoFloor { path: path.display().to_string() });
        }
        tracing::error!(path = %path.display(), "it is damaged: revisions are judged from min_commit on");
        files::rename(&path, &aside(paths))?;
    }
    // A finding is not about the revision that is judged anew.
    let handed = |last: &Last| last.status.handed.is_some();
    let is_stale = !matches!(&accepted, Ok(Some(_)))
        && last.as_ref().is_ok_and(|last| last.as_ref().is_some_and(handed));
    if last.as_ref().is_err_and(StateError::is_damage) || is_stale {
        tracing::warn!(path = %paths.last().display(), "what the last look found is found out anew");
        files::remove(&paths.last())?;
    }
    Ok(())
}

/// What is said of an accepted revision that was damaged, until a person has taken the file away.
#[must_use]
pub fn damaged(paths: &Paths) -> Option<String> {
    let path = aside(paths);
    files::is_there(&path).then(|| {
        let path = path.display();
        format!("the disk damaged what was accepted last: revisions were judged from min_commit on; look at the disk, then remove {path}")
    })
}

fn aside(paths: &Paths) -> PathBuf {
    let mut path = paths.accepted().into_os_string();
    path.push(".damaged");
    path.into()
}

/// Reads a file whose loss does no harm; `None` where it is broken, too.
#[must_use]
pub fn read_if_whole<T: DeserializeOwned>(path: &Path) -> Option<T> {
    read_json(path).unwrap_or_else(|error| {
        tracing::warn!(%error, "it counts for nothing");
        None
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        files::make_dir(&paths.state()).unwrap();
        (root, paths)
    }

    fn accepted() -> Accepted {
        let verified = serde_json::from_value(serde_json::json!({
            "commit": "1".repeat(40), "base": "2".repeat(40), "tag": null, "signer": "alice", "time": 1,
            "allows_shrink": false,
        }));
        let digest = Sha256Hex::of("a");
        Accepted { verified: verified.unwrap(), trust: digest.clone(), digest, time: "then".to_owned() }
    }

    #[test]
    fn a_wrong_letter_in_what_was_accepted_is_found_and_the_floor_takes_its_place() {
        let (_root, paths) = node();
        write_json(&paths.accepted(), &accepted()).unwrap();
        assert_eq!(read_json(&paths.accepted()).unwrap(), Some(accepted()));
        mend(&paths, Floor::None).unwrap();
        assert_eq!((damaged(&paths), read_json(&paths.accepted()).unwrap()), (None, Some(accepted())));
        let text = files::read(&paths.accepted()).unwrap().unwrap();
        for (from, to) in [("1111", "1211"), ("\"alice\"", "\"alicf\""), ("{", "\u{1}")] {
            files::replace(&paths.accepted(), &text.replacen(from, to, 1)).unwrap();
            let error = mend(&paths, Floor::None).unwrap_err().to_string();
            assert!(error.contains("min_commit") && error.contains("accepted.json"), "{error}");
            mend(&paths, Floor::Known).unwrap();
            assert_eq!(read_json::<Accepted>(&paths.accepted()).unwrap(), None);
            assert!(damaged(&paths).unwrap().contains("accepted.json.damaged"));
            mend(&paths, Floor::Known).unwrap();
        }
    }

    #[test]
    fn a_damaged_finding_is_found_out_anew() {
        let (_root, paths) = node();
        files::replace(&paths.last(), "{\"inputs\": 7}").unwrap();
        mend(&paths, Floor::None).unwrap();
        assert!(!files::is_there(&paths.last()));
    }

    #[test]
    fn a_file_of_an_earlier_version_has_no_checksum() {
        let (_root, paths) = node();
        let mut value = serde_json::to_value(accepted()).unwrap();
        assert!(value.as_object_mut().unwrap().remove("checksum").is_some());
        write_json(&paths.accepted(), &value).unwrap();
        assert_eq!(read_json(&paths.accepted()).unwrap(), Some(accepted()));
    }
}
