//! The repository that a fleet pulls from: manifests, and the snapshots that they compile to.

#![expect(clippy::disallowed_methods, reason = "this module writes what is committed, and compiles it")]

use std::path::Path;
use std::process::Command;

use chainmail_contract::{Manifest, NodeName};
use chainmail_manifest::source::Sources;

use super::FleetError;
use crate::programs;
use crate::repository::{Repository, Signing};

/// Where manifests are in the repository, and where the snapshots that they compile to.
const MANIFESTS: &str = "policies";
const SNAPSHOTS: &str = "snapshots";

/// What a fleet pulls from.
#[derive(Debug)]
pub struct Upstream {
    /// Where it is pushed to.
    pub repository: Repository,
}

impl Upstream {
    /// Makes one in a folder.
    ///
    /// # Errors
    /// When Git or ssh-keygen fails.
    pub fn new(folder: &Path) -> Result<Self, FleetError> {
        Ok(Self { repository: Repository::new(folder)? })
    }

    /// Replaces the manifests, compiles them to snapshots beside them, and commits all of it. Answers the commit.
    ///
    /// # Errors
    /// When a file cannot be written, the manifests have errors, or Git fails.
    pub fn commit(
        &self,
        sources: &Sources,
        message: &str,
        signing: Signing<'_>,
    ) -> Result<String, FleetError> {
        let clone = self.repository.checkout();
        for folder in [MANIFESTS, SNAPSHOTS].map(|name| clone.join(name)) {
            if folder.exists() {
                std::fs::remove_dir_all(folder)?;
            }
        }
        std::fs::create_dir(clone.join(MANIFESTS))?;
        for (_, file) in sources.iter() {
            let name = Path::new(&file.path).file_name().unwrap_or_default();
            std::fs::write(clone.join(MANIFESTS).join(name), &file.bytes)?;
        }
        let mut compile = Command::new(programs::find("chainmail")?);
        programs::run(compile.current_dir(&clone).args(["compile", "--out", SNAPSHOTS]), "")?;
        Ok(self.repository.commit(message, signing)?)
    }

    /// The digest of a node's snapshot, as it was committed last.
    ///
    /// # Errors
    /// When there is none.
    pub fn digest(&self, node: &NodeName) -> Result<String, FleetError> {
        let snapshots = self.repository.checkout().join(SNAPSHOTS);
        let path = snapshots.join("nodes").join(node.as_str()).join("manifest.json");
        let manifest: Manifest = serde_json::from_slice(&std::fs::read(&path)?)
            .map_err(|error| FleetError::Json { path, error })?;
        Ok(manifest.digest.to_string())
    }
}
