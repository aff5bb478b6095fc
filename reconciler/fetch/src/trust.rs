//! Who answers for a revision: a signature over each commit on the way to it, or over a tag that names it.
//!
//! All that is believed stands in files of this host. The repository is asked nothing about its own trust.

mod history;
mod object;
mod quorum;
mod range;
mod revoked;
mod signature;
mod signers;
mod tag;
mod trailer;

use std::path::PathBuf;

use chainmail_contract::Sha256Hex;
use git2::{Oid, Repository};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{Config, Mode};
use crate::mirror;
use crate::state::Accepted;
use history::{History, Point};
use object::Commit;

pub use revoked::Revoked;
pub use signature::{SignatureError, Signer};
pub use signers::{Person, Principal, Signers, SignersError};

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
#[derive(Debug, Clone, Copy)]
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
    /// The digest of the commit without its signature, by which its twins are told.
    #[serde(default)]
    pub payload: Option<Sha256Hex>,
    /// Who answers for it, and with which key, separated by commas; nobody where nothing must be signed.
    pub signer: Option<String>,
    /// The number of the tag that names it.
    pub tag: Option<u64>,
    /// The commit from which on all is signed.
    pub base: String,
    /// The same digest of that commit.
    #[serde(default)]
    pub base_payload: Option<Sha256Hex>,
    /// When it was made, as its signature says: seconds since 1970.
    pub time: i64,
    /// Whether its signed message lets rules go; with a threshold, the messages of so many people.
    pub allows_shrink: bool,
    /// Why tags with higher numbers do not count.
    #[serde(default)]
    pub passed_over: Vec<String>,
}

impl Verified {
    /// What a commit says of itself, with nobody who answers for it yet.
    fn of(history: &History<'_>, commit: Oid, base: Point) -> Result<Self, Untrusted> {
        let read = Commit::read(&history.objects, commit);
        let time = read.map_err(|source| Untrusted::Commit { commit, source })?.text.time;
        Ok(Self {
            commit: commit.to_string(),
            payload: Some(history.payload(commit)?),
            signer: None,
            tag: None,
            base: base.id.to_string(),
            // It may be gone from the repository, and only its twin be there.
            base_payload: base.payload.or_else(|| history.payload(base.id).ok()),
            time,
            allows_shrink: false,
            passed_over: Vec::new(),
        })
    }

    fn point(&self) -> Result<Point, git2::Error> {
        Ok(Point { id: Oid::from_str(&self.commit)?, payload: self.payload.clone() })
    }

    fn base(&self) -> Result<Point, git2::Error> {
        Ok(Point { id: Oid::from_str(&self.base)?, payload: self.base_payload.clone() })
    }
}

impl Known<'_> {
    /// The configured floor, with what this host knows of it beside its id.
    fn floor(&self, config: &Config) -> Option<Point> {
        let id = config.trust.min_commit?;
        let known = self.accepted.into_iter().flat_map(|accepted| {
            let verified = &accepted.verified;
            [(&verified.commit, &verified.payload), (&verified.base, &verified.base_payload)]
        });
        let payload = known.into_iter().find(|(commit, _)| **commit == id.to_string());
        Some(Point { id, payload: payload.and_then(|(_, payload)| payload.clone()) })
    }
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
        "revision {tip} does not follow {accepted}, which was accepted before: history was rewritten, or is an old one; \
         if it is meant, docs/trust.md has the ways back"
    )]
    Rewritten {
        /// What the remote has.
        tip: Oid,
        /// What was accepted.
        accepted: String,
    },
    /// The configuration refuses the revision, or one that it is built on.
    #[error("revision {tip} is, or is built on, {refused}, which refused_revisions lists")]
    Refused {
        /// What the remote has.
        tip: Oid,
        /// What is refused.
        refused: Oid,
    },
    /// The signed message does not say for which branch it is.
    #[error(
        "{what} does not state that it is for branch {branch}: its signed message has no trailer `{key}: {branch}` in its \
         last paragraph; sign a commit or tag on top of it that has one, or set min_commit to what you reviewed",
        key = quorum::BRANCH
    )]
    NoStatement {
        /// The commit or tag.
        what: String,
        /// The branch.
        branch: String,
    },
    /// Too few people have signed it.
    #[error(
        "{what}: its tree is signed by {signers}, and threshold = {threshold}; let another signer tag it, or merge it \
         signed{}",
        without_statement(.without, .branch)
    )]
    TooFew {
        /// The commit or tag.
        what: String,
        /// How many people have to sign.
        threshold: usize,
        /// Who did.
        signers: String,
        /// Somebody who did, and whose message does not state the branch.
        without: Option<String>,
        /// The branch.
        branch: String,
    },
    /// The floor is not in the history.
    #[error(
        "revision {tip} does not follow min_commit {floor}: it is older, or of another history; set min_commit to a commit \
         of the branch if that is what you reviewed"
    )]
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
    #[error("no tag chainmail/<number> names a revision of branch {branch}; make one with `git tag --sign`")]
    NoTag {
        /// The branch.
        branch: String,
    },
    /// There are more tags than are looked at.
    #[error(
        "none of the {most} tags chainmail/<number> with the highest numbers counts, and no more are looked at; delete those \
         that nobody signed"
    )]
    TooManyTags {
        /// How many are looked at.
        most: usize,
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
    /// The revoked keys are no text.
    #[error("{path} is no text; {}", revoked::FORM)]
    Binary {
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

/// What is told where a signature does not count.
fn without_statement(without: &Option<String>, branch: &str) -> String {
    let told =
        |who: &String| format!(" (that of {who} does not count: it has no `{}: {branch}`)", quorum::BRANCH);
    without.as_ref().map_or(String::new(), told)
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
    let history = History::of(mirror)?;
    let tip = mirror.refname_to_id(mirror::TIP)?;
    let mut case = Case { history: &history, config, keys, known: *known };
    // What was accepted and is refused now binds nothing any more: the floor alone does.
    if case.refuses_accepted()? {
        case.known.accepted = None;
    }
    match config.trust.mode {
        Mode::Range => range::judge(&case, tip),
        Mode::Tag => tag::judge(&case, tip),
        Mode::Off => {
            let accepted = known.accepted.map(|accepted| accepted.verified.point()).transpose()?;
            follows(&history, tip, accepted.as_ref())?;
            Verified::of(&history, tip, Point { id: tip, payload: None })
        }
    }
}

/// All that a revision is judged by.
struct Case<'a> {
    history: &'a History<'a>,
    config: &'a Config,
    keys: &'a Keys,
    known: Known<'a>,
}

impl Case<'_> {
    /// The commit on the way to a revision that the configuration refuses, if any.
    fn refused(&self, commit: Oid) -> Result<Option<Oid>, git2::Error> {
        let refused = &self.config.trust.refused;
        if refused.is_empty() {
            return Ok(None);
        }
        self.history.listed(commit, self.known.floor(self.config).as_ref(), refused)
    }

    fn refuses_accepted(&self) -> Result<bool, git2::Error> {
        let Some(accepted) = self.known.accepted else { return Ok(false) };
        let Point { id, payload } = accepted.verified.point()?;
        if payload.is_some_and(|payload| self.config.trust.refused.contains(&payload)) {
            return Ok(true);
        }
        Ok(self.history.objects.exists(id) && self.refused(id)?.is_some())
    }
}

/// Whether a commit is a revision that this host knows by an id and its payload, or one that differs from it in signatures
/// alone.
///
/// # Errors
/// When Git cannot read what it has.
pub fn is_same(
    mirror: &Repository,
    commit: &str,
    known: &str,
    payload: Option<&Sha256Hex>,
) -> Result<bool, git2::Error> {
    let known = Point { id: Oid::from_str(known)?, payload: payload.cloned() };
    History::of(mirror)?.same(Oid::from_str(commit)?, &known)
}

/// The digest of a commit without its signature: what `refused_revisions` lists.
///
/// # Errors
/// When there is no such commit.
pub fn payload(mirror: &Repository, commit: &str) -> Result<Sha256Hex, git2::Error> {
    History::of(mirror)?.payload(mirror.find_commit(Oid::from_str(commit)?)?.id())
}

/// Says that a revision is the accepted one or comes after it.
fn follows(history: &History<'_>, tip: Oid, accepted: Option<&Point>) -> Result<(), Untrusted> {
    match accepted {
        Some(accepted) if !history.reaches(tip, accepted)? => {
            Err(Untrusted::Rewritten { tip, accepted: accepted.id.to_string() })
        }
        _ => Ok(()),
    }
}
