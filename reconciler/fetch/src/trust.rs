//! Who answers for a revision: a signature over each commit on the way to it, or over a tag that names it.
//!
//! All that is believed stands in files of this host. The repository is asked nothing about its own trust.

mod range;
mod signature;
mod signers;
mod tag;

use std::path::PathBuf;

use git2::{Oid, Repository};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{Config, Mode};
use crate::mirror;
use crate::state::Accepted;

pub use signature::SignatureError;
pub use signers::{Revoked, Signers, SignersError};

/// Those who may sign, and keys that nobody may sign with any more.
#[derive(Debug, Default)]
pub struct Keys {
    /// Who may sign.
    pub signers: Signers,
    /// What is believed nothing.
    pub revoked: Revoked,
}

/// What is done on a node that never accepted a revision and has no floor configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// Nothing is accepted: the remote could show an old revision.
    Refuse,
    /// What the remote shows is believed to be new, if it is signed.
    Trust,
}

/// What this host knows already when a revision is judged.
#[derive(Debug)]
pub struct Known<'a> {
    /// The revision that was handed over last.
    pub accepted: Option<&'a Accepted>,
    /// Whether signers, revoked keys and the floor are still those by which it was accepted.
    pub same_trust: bool,
    /// What is done where nothing is known.
    pub first: First,
}

/// A revision that somebody answers for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The commit.
    pub commit: String,
    /// Who answers for it, and with which key; nobody where nothing must be signed.
    pub signer: Option<String>,
    /// The number of the tag that names it.
    pub tag: Option<u64>,
    /// The commit from which on all is signed.
    pub base: String,
    /// When it was made, as its signature says: seconds since 1970.
    pub time: i64,
    /// Whether its signed message lets rules go.
    pub allows_shrink: bool,
}

/// Why nobody answers for a revision.
#[derive(Debug, Error)]
pub enum Untrusted {
    /// A commit is not signed as it should be.
    #[error("commit {commit}: {source}")]
    Commit {
        /// The commit.
        commit: Oid,
        /// What is wrong.
        source: SignatureError,
    },
    /// A tag is not signed as it should be.
    #[error("tag {tag}: {source}")]
    Tag {
        /// The tag.
        tag: String,
        /// What is wrong.
        source: SignatureError,
    },
    /// The way to the new revision does not come from the one that was accepted.
    #[error(
        "revision {tip} does not follow {accepted}, which was accepted before: history was rewritten, or is an old one"
    )]
    Rewritten {
        /// What the remote has.
        tip: Oid,
        /// What was accepted.
        accepted: String,
    },
    /// The floor is not in the history.
    #[error("revision {tip} does not follow min_commit {floor}: it is older, or of another history")]
    BelowFloor {
        /// What the remote has.
        tip: Oid,
        /// The configured floor.
        floor: Oid,
    },
    /// Nothing is known.
    #[error(
        "no revision was accepted here yet and min_commit is not set, so {tip} could be an old one; set min_commit = \
         \"{tip}\" if it is what you reviewed, or run `chainmail-fetch once --trust-first`"
    )]
    NoFloor {
        /// What the remote has.
        tip: Oid,
    },
    /// No tag names a revision of the branch.
    #[error("no tag chainmail/<number> names a revision of branch {branch}")]
    NoTag {
        /// The branch.
        branch: String,
    },
    /// The newest tag has a lower number than the one that was accepted.
    #[error("tag chainmail/{found} is older than chainmail/{accepted}, which was accepted before")]
    TagBackwards {
        /// The number found.
        found: u64,
        /// The number accepted.
        accepted: u64,
    },
    /// The tag that was accepted names another revision now.
    #[error("tag chainmail/{tag} was moved: it named {accepted} and names {found} now")]
    TagMoved {
        /// The number.
        tag: u64,
        /// What it named.
        accepted: String,
        /// What it names.
        found: Oid,
    },
    /// The tag is a bare reference, which nobody can sign.
    #[error("tag {tag} is not annotated, so it cannot be signed; make it with `git tag --sign`")]
    Lightweight {
        /// The tag.
        tag: String,
    },
    /// The tag object was signed under another name.
    #[error("tag {tag} holds what was signed as {signed:?}")]
    OtherName {
        /// The reference.
        tag: String,
        /// The name in the signed text.
        signed: String,
    },
    /// Git could not read an object.
    #[error("cannot read the history: {0}")]
    Git(#[from] git2::Error),
}

/// Signers that cannot be had.
#[derive(Debug, Error)]
pub enum KeysError {
    /// There is no file.
    #[error("there is no {path}; it lists who may sign, a line each: alice@example.com ssh-ed25519 AAAA…")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A line is not understood.
    #[error("{path}:{source}")]
    Signers {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: SignersError,
    },
}

impl Keys {
    /// Reads both files' texts.
    ///
    /// # Errors
    /// When a line is not understood.
    pub fn parse(
        (path, signers): (&PathBuf, &str),
        revoked: Option<(&PathBuf, &str)>,
    ) -> Result<Self, KeysError> {
        let fail = |path: &PathBuf| {
            let path = path.clone();
            move |source| KeysError::Signers { path, source }
        };
        let signers = Signers::parse(signers).map_err(fail(path))?;
        let revoked = match revoked {
            Some((path, text)) => Revoked::parse(text).map_err(fail(path))?,
            None => Revoked::default(),
        };
        Ok(Self { signers, revoked })
    }
}

/// Says who answers for the newest revision in the mirror.
///
/// # Errors
/// When nobody does.
pub fn judge(
    mirror: &Repository,
    config: &Config,
    keys: &Keys,
    known: &Known<'_>,
) -> Result<Verified, Untrusted> {
    let tip = mirror.refname_to_id(mirror::TIP)?;
    match config.trust.mode {
        Mode::Range => range::judge(mirror, tip, config.trust.min_commit, keys, known),
        Mode::Tag => tag::judge(mirror, tip, config, keys, known),
        Mode::Off => {
            follows(mirror, tip, known.accepted)?;
            let time = mirror.find_commit(tip)?.time().seconds();
            let commit = tip.to_string();
            let base = commit.clone();
            Ok(Verified { commit, signer: None, tag: None, base, time, allows_shrink: false })
        }
    }
}

/// Whether a revision is the accepted one or comes after it.
fn follows(mirror: &Repository, tip: Oid, accepted: Option<&Accepted>) -> Result<(), Untrusted> {
    let Some(accepted) = accepted else { return Ok(()) };
    let rewritten = || Untrusted::Rewritten { tip, accepted: accepted.verified.commit.clone() };
    let before = Oid::from_str(&accepted.verified.commit)?;
    if reaches(mirror, tip, before)? { Ok(()) } else { Err(rewritten()) }
}

/// Whether a commit is another one or comes after it.
fn reaches(mirror: &Repository, tip: Oid, before: Oid) -> Result<bool, git2::Error> {
    if tip == before {
        return Ok(true);
    }
    match mirror.find_commit(before) {
        Ok(_) => mirror.graph_descendant_of(tip, before),
        // A mirror that says that it has what was accepted, and has not, is damaged. One that was taken anew has the
        // new history alone: what is not in it was rewritten.
        Err(damaged) if mirror.refname_to_id(mirror::ACCEPTED) == Ok(before) => Err(damaged),
        Err(_) => Ok(false),
    }
}

/// The trailer of a signed message that lets rules go.
const SHRINK: (&str, &str) = ("Chainmail-Allow", "shrink");

fn allows_shrink(message: &str) -> bool {
    git2::message_trailers_strs(message).is_ok_and(|trailers| {
        trailers.iter().any(|(key, value)| key.eq_ignore_ascii_case(SHRINK.0) && value == SHRINK.1)
    })
}
