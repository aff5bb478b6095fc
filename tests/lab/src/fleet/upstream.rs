//! The repository that a fleet pulls from, and those who push to it.

#![expect(clippy::disallowed_methods, reason = "this module runs Git and writes what is committed")]

use std::path::{Path, PathBuf};
use std::process::Command;

use chainmail_compiler::source::Sources;
use chainmail_snapshot::{Manifest, NodeName};

use super::FleetError;
use crate::programs;

/// Where manifests are in the repository, and where the snapshots that they compile to.
const MANIFESTS: &str = "policies";
const SNAPSHOTS: &str = "snapshots";

/// Whether somebody answers for a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// By the key that nodes know.
    Signed,
    /// Nobody does.
    Unsigned,
}

/// A bare repository, and a clone to commit in.
#[derive(Debug)]
pub struct Upstream {
    folder: PathBuf,
}

impl Upstream {
    /// Makes both in a folder, and a key to sign with.
    ///
    /// # Errors
    /// When Git or ssh-keygen fails.
    pub fn new(folder: &Path) -> Result<Self, FleetError> {
        let upstream = Self { folder: folder.to_path_buf() };
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f"]).arg(upstream.key());
        programs::run(&mut keygen, "")?;
        let mut init = upstream.git(folder);
        programs::run(init.args(["init", "-q", "--bare", "--initial-branch=main"]).arg(upstream.bare()), "")?;
        let mut clone = upstream.git(folder);
        programs::run(clone.arg("clone").arg("-q").arg(upstream.bare()).arg(upstream.checkout()), "")?;
        Ok(upstream)
    }

    /// The bare repository.
    #[must_use]
    pub fn bare(&self) -> PathBuf {
        self.folder.join("policies.git")
    }

    /// The clone, whose files are those of the last commit.
    #[must_use]
    pub fn checkout(&self) -> PathBuf {
        self.folder.join("clone")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("alice")
    }

    fn git(&self, folder: &Path) -> Command {
        let mut git = Command::new("git");
        // What this host's own Git is told must not matter.
        git.current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", &self.folder);
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "Alice").env(format!("GIT_{who}_EMAIL"), "alice@example.com");
        }
        git
    }

    /// What nodes are told of those who may sign.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn allowed_signers(&self) -> Result<String, FleetError> {
        let key = std::fs::read_to_string(self.key().with_extension("pub"))?;
        Ok(format!("alice@example.com namespaces=\"git\" {key}"))
    }

    /// Replaces the manifests, compiles them to snapshots beside them, and commits all of it. Answers the commit.
    ///
    /// # Errors
    /// When a file cannot be written, the manifests have errors, or Git fails.
    pub fn commit(&self, sources: &Sources, message: &str, signing: Signing) -> Result<String, FleetError> {
        let clone = self.checkout();
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
        programs::run(self.git(&clone).args(["add", "--all"]), "")?;
        let mut commit = self.git(&clone);
        commit.args(["-c", "gpg.format=ssh", "-c", &format!("user.signingkey={}", self.key().display())]);
        commit.args(["commit", "-q", "--allow-empty", "-m", message]);
        if signing == Signing::Signed {
            commit.arg("-S");
        }
        programs::run(&mut commit, "")?;
        let head = programs::run(self.git(&clone).args(["rev-parse", "HEAD"]), "")?;
        Ok(String::from_utf8_lossy(&head.stdout).trim().to_owned())
    }

    /// Forgets the newest commit.
    ///
    /// # Errors
    /// When Git fails.
    pub fn undo(&self) -> Result<(), FleetError> {
        programs::run(self.git(&self.checkout()).args(["reset", "-q", "--hard", "HEAD~1"]), "")?;
        Ok(())
    }

    /// Makes the clone's commit the newest of the repository.
    ///
    /// # Errors
    /// When Git fails.
    pub fn push(&self) -> Result<(), FleetError> {
        programs::run(self.git(&self.checkout()).args(["push", "-q", "--force", "origin", "HEAD:main"]), "")?;
        Ok(())
    }

    /// The digest of a node's snapshot, as it was committed last.
    ///
    /// # Errors
    /// When there is none.
    pub fn digest(&self, node: &NodeName) -> Result<String, FleetError> {
        let path = self.checkout().join(SNAPSHOTS).join("nodes").join(node.as_str()).join("manifest.json");
        let manifest: Manifest = serde_json::from_slice(&std::fs::read(&path)?)
            .map_err(|error| FleetError::Json { path, error })?;
        Ok(manifest.digest.to_string())
    }
}
