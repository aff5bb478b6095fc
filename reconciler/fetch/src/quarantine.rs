//! What the half that speaks to the network hands over, and how the half that verifies reads it.
//!
//! The folder belongs to the user who downloads, so every byte in it may be an attacker's. The verifier opens no repository
//! in it. It reads two files: `look.json`, what the remote said at the last look, and the file of objects that this names.
//! Both are opened without following links or waiting, must be regular files, and are read up to a limit. What they say is
//! a hint: each object gets the name that the verifier computes ([`object`]), and each revision is judged by its signatures.

pub mod object;
pub mod record;

use std::fs::File;
use std::io::{self, BufReader, Read as _};

use chainmail_contract::Sha256Hex;
use chainmail_contract::beneath::{BeneathError, Folder};
use chainmail_reconciler::clock::Moment;
use git2::Oid;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::paths::Paths;
use crate::status::State;
use record::{Limits, Reader, RecordError};

/// The most bytes of `look.json`. [`MOST_TAGS`] take about half of it.
pub const MOST_LOOK: u64 = 4_000_000;
/// The most tags that are looked at, the highest numbers first.
pub const MOST_TAGS: usize = 10_000;
/// The most characters that are told of a reason.
const MOST_REASON: usize = 2000;
/// What the name of a file of objects begins with; 16 hex digits follow.
pub const OBJECTS: &str = "objects-";

/// What the remote said at the last look, and what was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// When the remote was asked.
    pub asked: String,
    /// How often it did not answer since it last did.
    pub failures: u32,
    /// Whether a snapshot was on trial while the remote was asked: then its silence says nothing about the time before.
    pub beside_trial: bool,
    /// The configuration that the look was made by.
    pub config: Sha256Hex,
    /// What the verifier needed when the look began.
    pub answers: Needs,
    /// The branch and at most [`MOST_TAGS`] tags of the remote, sorted; none where it did not answer.
    pub heads: Vec<Head>,
    /// Why there is nothing new to judge, where there is not.
    pub failed: Option<Failure>,
    /// The objects that were taken.
    pub objects: Option<Objects>,
    /// Tags of the remote that were not taken. The heads do not have them.
    #[serde(default)]
    pub passed_over: Vec<PassedOver>,
    /// Files of the newest revision that are larger than `limits.file_megabytes`, and so were not taken.
    pub left_out: Vec<LeftOut>,
}

/// A reference of the remote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// What it names.
    #[serde(with = "hex")]
    pub id: Oid,
}

/// What the names of tags that matter begin with; a number follows.
const TAG_PREFIX: &str = "refs/tags/chainmail/";

impl Head {
    /// The number of a tag `chainmail/<number>`, in the one form in which it is written.
    #[must_use]
    pub fn tag(&self) -> Option<u64> {
        number(self.name.strip_prefix(TAG_PREFIX)?)
    }
}

/// A number in its one written form, so that no two tags have the same.
#[must_use]
pub fn number(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

/// The most bytes that a tag may bring: of its own object, and of commits that the branch does not have. A tag that counts
/// names a commit of the branch, or one that differs from it in signatures alone, so it brings little.
pub const TAG_BYTES: u64 = 4_000_000;

/// A tag that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassedOver {
    /// The tag.
    pub tag: Head,
    /// Why.
    pub why: NotTaken,
}

/// Why a tag was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotTaken {
    /// It brings more than [`TAG_BYTES`], or all such tags together bring too much.
    TooMuch,
    /// It names no commit.
    NoCommit,
    /// It, or a commit that it brings, is not written as Git writes it.
    Malformed,
}

impl std::fmt::Display for PassedOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The name may be an attacker's text, the number is none.
        let number = self.tag.tag().map_or("?".to_owned(), |number| number.to_string());
        write!(f, "tag chainmail/{number} was not taken: ")?;
        match self.why {
            NotTaken::TooMuch => {
                write!(f, "it brings more than {TAG_BYTES} bytes that the branch does not have")
            }
            NotTaken::NoCommit => f.write_str("it names no commit"),
            NotTaken::Malformed => f.write_str("what it names is not written as Git writes it"),
        }
    }
}

/// Why a look took nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What it comes to.
    pub state: State,
    /// Why.
    pub reason: String,
}

/// A file of objects in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// Its name: [`OBJECTS`] and 16 hex digits.
    pub file: String,
}

impl Objects {
    fn is_named_as_one(&self) -> bool {
        let digits = self.file.strip_prefix(OBJECTS).unwrap_or_default();
        digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    }
}

/// A file of a revision that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The blob.
    #[serde(with = "hex")]
    pub id: Oid,
    /// Its length, as the remote says.
    pub bytes: u64,
}

/// What the verifier has, and what it lacks. It is written for the half that downloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// A commit whose history and whose files the verifier has.
    #[serde(with = "hex::option")]
    pub have: Option<Oid>,
    /// What it lacks.
    pub wanted: Wanted,
}

/// What the verifier lacks to judge what the remote said last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// Nothing.
    #[default]
    Nothing,
    /// Objects that the last file should have had: its own store was lost or damaged.
    Objects,
    /// The files of a commit.
    Files(#[serde(with = "hex")] Oid),
}

/// Ids as 40 hex digits.
mod hex {
    use git2::Oid;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(id: &Oid, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Oid, D::Error> {
        parse(&String::deserialize(from)?).ok_or_else(|| de::Error::custom("no id"))
    }

    fn parse(text: &str) -> Option<Oid> {
        Oid::from_str(text).ok().filter(|_| text.len() == 40)
    }

    pub(super) mod option {
        use super::*;

        pub(in super::super) fn serialize<S: Serializer>(id: &Option<Oid>, to: S) -> Result<S::Ok, S::Error> {
            match id {
                Some(id) => to.collect_str(id),
                None => to.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Oid>, D::Error> {
            let text = Option::<String>::deserialize(from)?;
            text.map(|text| parse(&text).ok_or_else(|| de::Error::custom("no id"))).transpose()
        }
    }
}

/// A quarantine that holds something else than what is handed over. Nothing of the bytes in it is told.
#[derive(Debug, Error)]
pub enum QuarantineError {
    /// A file cannot be opened, or is no regular file.
    #[error(transparent)]
    Open(#[from] BeneathError),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file is too long.
    #[error("{path} has more than {most} bytes")]
    TooLong {
        /// The file.
        path: String,
        /// The limit.
        most: u64,
    },
    /// `look.json` is none.
    #[error("{path} is not what chainmail-fetch download writes: line {line}, column {column}")]
    Look {
        /// The file.
        path: String,
        /// The line, from 1 on.
        line: usize,
        /// The column.
        column: usize,
    },
    /// The file of objects is none.
    #[error("{path}: {source}")]
    Records {
        /// The file.
        path: String,
        /// What is wrong.
        source: RecordError,
    },
}

/// The folder, opened once: what its path leads to later does not matter.
#[derive(Debug)]
pub struct Quarantine(Folder);

impl Quarantine {
    /// Opens the folder; `None` when it is not there.
    ///
    /// # Errors
    /// When it is something else.
    pub fn open(paths: &Paths) -> Result<Option<Self>, QuarantineError> {
        let path = paths.quarantine();
        let (Some(above), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        else {
            return Ok(None);
        };
        // The folder above is root's.
        match Folder::open(above).and_then(|above| above.folder(name)) {
            Ok(folder) => Ok(Some(Self(folder))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn shown(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// What the last look found; `None` where there was none yet.
    ///
    /// # Errors
    /// When the file is not as [`Look`] is written.
    pub fn look(&self) -> Result<Option<Look>, QuarantineError> {
        const NAME: &str = "look.json";
        let path = || self.shown(NAME);
        let Some(file) = self.0.file(NAME)? else { return Ok(None) };
        let mut text = Vec::new();
        let read = file.take(MOST_LOOK + 1).read_to_end(&mut text);
        read.map_err(|source| QuarantineError::Read { path: path(), source })?;
        if text.len() as u64 > MOST_LOOK {
            return Err(QuarantineError::TooLong { path: path(), most: MOST_LOOK });
        }
        let wrong = |line, column| QuarantineError::Look { path: path(), line, column };
        let mut look: Look =
            serde_json::from_slice(&text).map_err(|error| wrong(error.line(), error.column()))?;
        let named = look.objects.as_ref().is_none_or(Objects::is_named_as_one);
        if Moment::parse(&look.asked).is_none() || !named {
            return Err(wrong(1, 1));
        }
        if let Some(failure) = &mut look.failed {
            failure.reason = printable(&failure.reason);
            // That all is well is for the verifier to say.
            if failure.state == State::Synced {
                return Err(wrong(1, 1));
            }
        }
        Ok(Some(look))
    }

    /// The objects that a look took; `None` when the file is not there any more.
    ///
    /// # Errors
    /// When it is no file of objects.
    pub fn objects(
        &self,
        objects: &Objects,
        limits: Limits,
    ) -> Result<Option<Reader<BufReader<File>>>, QuarantineError> {
        let Some(file) = self.0.file(&objects.file)? else { return Ok(None) };
        let reader = Reader::new(BufReader::with_capacity(1 << 16, file), limits);
        reader.map(Some).map_err(|source| self.records(objects, source))
    }

    /// The error of a file of objects.
    #[must_use]
    pub fn records(&self, objects: &Objects, source: RecordError) -> QuarantineError {
        QuarantineError::Records { path: self.shown(&objects.file), source }
    }
}

/// A text of another user, fit to be shown: no control characters but line ends, and not long.
fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() && letter != '\n' { ' ' } else { letter })
        .take(MOST_REASON)
        .collect()
}
