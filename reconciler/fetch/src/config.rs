//! `/etc/chainmail/fetch.toml`: where policies are pulled from and whom they are believed. What changes a rule is never
//! set here.

mod document;
mod url;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use chainmail_contract::{NodeName, Sha256Hex};
use chainmail_reconciler::config::ConfigError;
use chainmail_review::query::Probe;
use git2::Oid;
use serde::Deserialize;

pub use url::{Remote, Transport};

/// The configuration, with its defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The node whose snapshot is handed over; the host's name where this is not said.
    pub node: Option<NodeName>,
    /// Where policies are pulled from.
    pub remote: Remote,
    /// The branch that is followed.
    pub branch: BranchName,
    /// What of a revision becomes the snapshot.
    pub source: Source,
    /// How long it is from one look at the remote to the next.
    pub interval: Duration,
    /// The longest time between two looks while the remote does not answer.
    pub max_backoff: Duration,
    /// How long one look may take with all that follows from it.
    pub timeout: Duration,
    /// How the remote is reached.
    pub access: Access,
    /// Whom a revision is believed.
    pub trust: Trust,
    /// How much is taken from a remote.
    pub limits: Limits,
    /// What is not handed over without a word from somebody.
    pub hold: Hold,
    /// How it is found out whether a snapshot works.
    pub confirm: Confirm,
    /// The address of this host at which metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Live objects beside those of the repository.
    pub inventory: Option<Inventory>,
}

/// What of a revision becomes the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Its policies, compiled here.
    Policies,
    /// The snapshot that was committed beside them.
    Snapshots {
        /// The folder in the repository that `chainmail compile --out` wrote.
        folder: String,
        /// What is done where the bytes are not those that this program compiles, though they mean the same.
        bytes: OtherBytes,
    },
}

/// What is done about committed bytes that another version compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherBytes {
    /// They are taken, with a word.
    Warn,
    /// They are refused.
    Refuse,
}

/// A branch of the remote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BranchName(String);

impl BranchName {
    /// Takes the name of a branch, with or without `refs/heads/`.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let short = name.strip_prefix("refs/heads/").unwrap_or(name);
        let branch = Self(short.to_owned());
        git2::Reference::is_valid_name(&branch.reference()).then_some(branch)
    }

    /// The name alone.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the reference.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

/// How the remote is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// The private key for ssh.
    pub ssh_key: Option<PathBuf>,
    /// The keys of ssh remotes.
    pub known_hosts: Option<PathBuf>,
    /// The only certificates that https remotes may be certified by; the system's where this is not said.
    pub ca_file: Option<PathBuf>,
    /// The user for https; that of ssh stands in the URL.
    pub user: Option<String>,
    /// The file with the password or token for https.
    pub password_file: Option<PathBuf>,
}

/// Whom a revision is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// What must be signed.
    pub mode: Mode,
    /// The file of those who may sign.
    pub allowed_signers: Option<PathBuf>,
    /// The file of keys that are believed nothing, whatever the other file says.
    pub revoked_keys: Option<PathBuf>,
    /// The revision below which none is ever accepted.
    pub min_commit: Option<Oid>,
    /// How old the newest signed revision may be without an alarm.
    pub max_age: Option<Duration>,
    /// Whether a signed message has to say for which branch it is.
    pub branch_statement: BranchStatement,
    /// How many different people have to sign what a revision has.
    pub threshold: NonZeroU8,
    /// Revisions that are never accepted, whoever signed them: digests of commits without their signatures.
    pub refused: BTreeSet<Sha256Hex>,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            allowed_signers: None,
            revoked_keys: None,
            min_commit: None,
            max_age: None,
            branch_statement: BranchStatement::default(),
            threshold: NonZeroU8::MIN,
            refused: BTreeSet::new(),
        }
    }
}

impl Trust {
    /// Whether signatures count beside the one that is needed in any case.
    #[must_use]
    pub fn wants_others(&self) -> bool {
        self.threshold > NonZeroU8::MIN
    }

    /// Whether tags of the remote are looked at.
    #[must_use]
    pub fn wants_tags(&self) -> bool {
        self.mode == Mode::Tag || self.wants_others()
    }
}

/// Whether a signed message has to say for which branch it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum BranchStatement {
    /// It has to, in a trailer.
    #[serde(rename = "required")]
    Required,
    /// It is meant for any.
    #[default]
    #[serde(rename = "off")]
    NotAsked,
}

/// What must be signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every commit on the way from the last accepted revision to the new one.
    #[default]
    Range,
    /// A tag `chainmail/<n>` that names the revision.
    Tag,
    /// Nothing: whoever can write to the remote is believed.
    Off,
}

/// How much is taken from a remote, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one download.
    pub download: u64,
    /// Of one file that is read.
    pub file: u64,
    /// Of all files that are read.
    pub total: u64,
    /// Of the memory of one look.
    pub memory: u64,
    /// Of all that the half that downloads keeps.
    pub quarantine: u64,
    /// Of the objects that the verifier keeps.
    pub mirror: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let download = 256 * MEGABYTE;
        Self {
            download,
            file: 32 * MEGABYTE,
            total: 128 * MEGABYTE,
            memory: 1000 * MEGABYTE,
            quarantine: DOWNLOADS_IN_QUARANTINE * download,
            mirror: 1000 * MEGABYTE,
        }
    }
}

/// How many downloads have room in the quarantine where its size is not configured: what was taken before, what is being
/// taken, and the objects that are handed over.
const DOWNLOADS_IN_QUARANTINE: u64 = 4;

/// Sizes are configured in megabytes.
const MEGABYTE: u64 = 1_000_000;

/// What is not handed over without a word from somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// How many of a hundred rules may go at once.
    pub max_loss: u8,
    /// Traffic that no revision may deny.
    pub keep: Vec<Probe>,
}

impl Default for Hold {
    fn default() -> Self {
        Self { max_loss: 30, keep: Vec::new() }
    }
}

/// How it is found out whether a snapshot works that the applying half has brought into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// Programs with their arguments, each of which ends with 0 where all is well.
    pub probes: Vec<Vec<String>>,
    /// How long each of them may take.
    pub probe_timeout: Duration,
}

impl Default for Confirm {
    fn default() -> Self {
        Self { probes: Vec::new(), probe_timeout: Duration::from_secs(10) }
    }
}

/// Live objects beside those of the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The folder of their manifests, where it is not the usual one.
    pub folder: Option<PathBuf>,
    /// How old its newest file may be without an alarm.
    pub max_age: Option<Duration>,
}

impl Config {
    /// Reads the text of a configuration; `path` is only told.
    ///
    /// # Errors
    /// When a key is unknown or missing, or a value is not one that it can have.
    pub fn parse(path: &str, text: &str) -> Result<Self, ConfigError> {
        document::parse(path, text)
    }
}
