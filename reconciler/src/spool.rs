//! What fetch hands over: the snapshot that is to be in force.

use std::path::Path;

use chainmail_contract::beneath::{BeneathError, Budget, Folder, Stamp};
use chainmail_contract::limits::{PROVENANCE_BYTES, SNAPSHOT_BYTES, WORDS_BYTES};
use chainmail_contract::{Joined, JsonProblem, NodeName, Sha256Hex, SnapshotError, read};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::desired::{Desired, DesiredError};
use crate::files::{self, FileError};
use crate::paths::Paths;

/// A snapshot that may reach the kernel.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// As it is on disk.
    pub snapshot: Joined,
    /// As the kernel is to hold it.
    pub desired: Desired,
    /// `provenance.json`, which is outside the digest and may be missing.
    pub provenance: Option<String>,
}

impl Loaded {
    /// The snapshot's digest.
    #[must_use]
    pub fn digest(&self) -> &Sha256Hex {
        &self.snapshot.manifest().digest
    }
}

/// A snapshot that must not or cannot be taken.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file that names the snapshot holds something else.
    #[error("{path} is not a digest of 64 lowercase hex digits")]
    Pointer {
        /// The file.
        path: String,
    },
    /// The snapshot is not whole, not genuine, of another node, or of a newer format.
    #[error("snapshot {digest}: {source}")]
    Snapshot {
        /// The digest that was asked for.
        digest: Sha256Hex,
        /// What is wrong.
        source: SnapshotError,
    },
    /// The folder holds another snapshot than its name says.
    #[error("folder {digest} holds another snapshot")]
    Other {
        /// The folder's name.
        digest: Sha256Hex,
    },
    /// The snapshot does what none may do.
    #[error("snapshot {digest}: {source}")]
    Desired {
        /// The digest.
        digest: Sha256Hex,
        /// What it does.
        source: DesiredError,
    },
}

/// What fetch says against a snapshot that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The snapshot.
    pub digest: Sha256Hex,
    /// Since when it waited, as the status says: what was said of an attempt is not said of the next one.
    pub since: String,
    /// Why.
    pub reason: String,
}

/// The digest in a file such as `desired`; `None` when there is no such file.
///
/// # Errors
/// When it holds something else.
pub fn pointer(path: &Path) -> Result<Option<Sha256Hex>, SpoolError> {
    let Some(text) = files::read_short(path, WORDS_BYTES)? else { return Ok(None) };
    let digest = Sha256Hex::try_from(text.trim_end_matches('\n').to_owned());
    digest.map(Some).map_err(|_| SpoolError::Pointer { path: path.display().to_string() })
}

/// Reads a snapshot from the spool, or from the ones that are kept, and verifies it.
///
/// # Errors
/// When it is not there, not whole, or not fit for this node's kernel.
pub fn load(folder: &Path, digest: &Sha256Hex, node: &NodeName) -> Result<Loaded, SpoolError> {
    load_after(folder, digest, node, &Desired::default())
}

/// Reads a snapshot as [`load`], with the help of the one in force: see [`Desired::of_snapshot_after`].
///
/// # Errors
/// As [`load`].
pub fn load_after(
    folder: &Path,
    digest: &Sha256Hex,
    node: &NodeName,
    in_force: &Desired,
) -> Result<Loaded, SpoolError> {
    let (loaded, provenance) = load_but_provenance(folder, digest, node, in_force)?;
    let failed = |error: BeneathError| SpoolError::Snapshot { digest: digest.clone(), source: error.into() };
    Ok(Loaded { provenance: provenance.map_err(failed)?, ..loaded })
}

/// Reads a snapshot of which this node keeps a copy. Nothing depends on where its rules come from, so where that cannot be
/// read it is not known.
///
/// # Errors
/// As [`load`].
pub fn load_kept(paths: &Paths, digest: &Sha256Hex, node: &NodeName) -> Result<Loaded, SpoolError> {
    let (loaded, provenance) = load_but_provenance(&paths.kept(digest), digest, node, &Desired::default())?;
    let provenance = provenance.unwrap_or_else(|error| {
        tracing::warn!(%error, "it is not known which policies the rules come from");
        None
    });
    Ok(Loaded { provenance, ..loaded })
}

type Text = Result<Option<String>, BeneathError>;

fn load_but_provenance(
    folder: &Path,
    digest: &Sha256Hex,
    node: &NodeName,
    before: &Desired,
) -> Result<(Loaded, Text), SpoolError> {
    let fail = |source| SpoolError::Snapshot { digest: digest.clone(), source };
    let failed = |error: BeneathError| fail(error.into());
    // Whoever writes into the spool may put a link in the place of the snapshot's folder.
    let all = Folder::open(folder.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    let folder = all.folder(digest.as_str()).map_err(failed)?;
    let mut budget = Budget::bytes(SNAPSHOT_BYTES);
    let snapshot = read::joined_of_node(&folder, node, &mut budget).map_err(fail)?;
    if snapshot.manifest().digest != *digest {
        return Err(SpoolError::Other { digest: digest.clone() });
    }
    let desired = Desired::of_snapshot_after(&snapshot, before)
        .map_err(|source| SpoolError::Desired { digest: digest.clone(), source })?;
    let provenance = folder.text("provenance.json", PROVENANCE_BYTES, &mut budget);
    Ok((Loaded { snapshot, desired, provenance: None }, provenance))
}

/// What changes whenever a file of a snapshot in the spool does.
#[must_use]
pub fn stamps(folder: &Path) -> Vec<Option<Stamp>> {
    let all = folder.parent().and_then(|all| Folder::open(all).ok());
    let name = folder.file_name().and_then(|name| name.to_str());
    let opened = all.as_ref().zip(name).and_then(|(all, name)| all.folder(name).ok());
    let itself = all.as_ref().zip(name).and_then(|(all, name)| all.stamp(name));
    let files = FILES.iter().map(|file| opened.as_ref()?.stamp(file));
    std::iter::once(itself).chain(files).collect()
}

/// The files of a joined snapshot.
const FILES: [&str; 5] = ["manifest.json", "ipsets", "rules.v4", "rules.v6", "provenance.json"];

/// Whether fetch says of a snapshot that it works.
#[must_use]
pub fn confirms(paths: &Paths, digest: &Sha256Hex) -> bool {
    let confirmed = pointer(&paths.confirmed()).unwrap_or_else(|error| {
        tracing::warn!(%error, "it is not known what is confirmed");
        None
    });
    confirmed.as_ref() == Some(digest)
}

/// Why fetch says of an attempt that it does harm, if it does; on one line, whatever it wrote.
#[must_use]
pub fn refuses(paths: &Paths, digest: &Sha256Hex, since: &str) -> Option<String> {
    let text = files::read_short(&paths.refused(), WORDS_BYTES).unwrap_or_else(|error| {
        tracing::warn!(%error, "it is not known what is refused");
        None
    })?;
    let refusal: Refusal = serde_json::from_str(&text)
        .inspect_err(
            |error| tracing::warn!(error = %JsonProblem::from(error), "what is refused cannot be read"),
        )
        .ok()?;
    let meant = refusal.digest == *digest && refusal.since == since;
    meant.then(|| {
        refusal.reason.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    })
}

/// The digest that fetch wants in force; `None` before its first one.
///
/// # Errors
/// When the file is there and no digest.
pub fn wanted(paths: &Paths) -> Result<Option<Sha256Hex>, SpoolError> {
    pointer(&paths.desired())
}
