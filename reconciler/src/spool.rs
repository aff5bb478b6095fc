//! What fetch hands over: the snapshot that is to be in force.

use chainmail_snapshot::{Joined, NodeName, Sha256Hex, SnapshotError, read};
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
    #[error("{path} is not a digest: {problem}")]
    Pointer {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
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
    #[error("folder {digest} holds snapshot {found}")]
    Other {
        /// The folder's name.
        digest: Sha256Hex,
        /// The digest in its manifest.
        found: Sha256Hex,
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

/// The digest in a file such as `desired`; `None` when there is no such file.
///
/// # Errors
/// When it holds something else.
pub fn pointer(path: &std::path::Path) -> Result<Option<Sha256Hex>, SpoolError> {
    let Some(text) = files::read(path)? else { return Ok(None) };
    let digest = Sha256Hex::try_from(text.trim_end_matches('\n').to_owned());
    digest.map(Some).map_err(|problem| SpoolError::Pointer { path: path.display().to_string(), problem })
}

/// Reads a snapshot from the spool, or from the ones that are kept, and verifies it.
///
/// # Errors
/// When it is not there, not whole, or not fit for this node's kernel.
pub fn load(folder: &std::path::Path, digest: &Sha256Hex, node: &NodeName) -> Result<Loaded, SpoolError> {
    let fail = |source| SpoolError::Snapshot { digest: digest.clone(), source };
    let snapshot = read::snapshot(folder, node).map_err(fail)?;
    let found = &snapshot.manifest().digest;
    if found != digest {
        return Err(SpoolError::Other { digest: digest.clone(), found: found.clone() });
    }
    let desired = Desired::of_snapshot(&snapshot)
        .map_err(|source| SpoolError::Desired { digest: digest.clone(), source })?;
    let provenance = files::read(&folder.join("provenance.json"))?;
    Ok(Loaded { snapshot, desired, provenance })
}

/// The digest that fetch wants in force; `None` before its first one.
///
/// # Errors
/// When the file is there and no digest.
pub fn wanted(paths: &Paths) -> Result<Option<Sha256Hex>, SpoolError> {
    pointer(&paths.desired())
}
