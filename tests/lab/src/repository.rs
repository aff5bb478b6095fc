//! A repository on this host to pull from, and those who sign what is pushed to it.

#![expect(clippy::disallowed_methods, reason = "this module runs Git and ssh-keygen")]

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{self, ProgramError};

/// Whose name commits bear, and whose key there is from the beginning.
pub const ALICE: &str = "alice";

/// The trailer by which a signed message states its branch.
pub const STATEMENT: &str = "Chainmail-Branch: main";

/// Who answers for a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing<'a> {
    /// Who has the key of this name.
    By(&'a str),
    /// Nobody does.
    Nobody,
}

/// A bare repository, a clone to commit in, and keys to sign with.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// Makes both in a folder, and alice's key.
    ///
    /// # Errors
    /// When Git or ssh-keygen fails.
    pub fn new(folder: &Path) -> Result<Self, ProgramError> {
        let made = Self { folder: folder.to_path_buf() };
        made.make_key(ALICE)?;
        said(made.git_in(folder).args(["init", "-q", "--bare", "--initial-branch=main"]).arg(made.bare()))?;
        said(made.git_in(folder).args(["clone", "-q"]).arg(made.bare()).arg(made.checkout()))?;
        Ok(made)
    }

    /// Makes a key for somebody.
    ///
    /// # Errors
    /// When ssh-keygen fails.
    pub fn make_key(&self, who: &str) -> Result<(), ProgramError> {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", who, "-f"]).arg(self.folder.join(who));
        said(&mut keygen).map(drop)
    }

    /// The bare repository.
    #[must_use]
    pub fn bare(&self) -> PathBuf {
        self.folder.join("remote.git")
    }

    /// The clone, whose files are those of the last commit.
    #[must_use]
    pub fn checkout(&self) -> PathBuf {
        self.folder.join("clone")
    }

    /// Somebody's public key, as one line without its end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn public_key(&self, who: &str) -> io::Result<String> {
        let key = std::fs::read_to_string(self.folder.join(who).with_extension("pub"))?;
        Ok(key.trim_end().to_owned())
    }

    /// What nodes are told that believe alice alone.
    ///
    /// # Errors
    /// When her key cannot be read.
    pub fn allowed_signers(&self) -> io::Result<String> {
        Ok(format!("alice@example.com namespaces=\"git\" {}\n", self.public_key(ALICE)?))
    }

    fn git_in(&self, folder: &Path) -> Command {
        let mut git = Command::new("git");
        // What this host's own Git is told must not matter.
        git.current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", &self.folder);
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "Alice").env(format!("GIT_{who}_EMAIL"), "alice@example.com");
        }
        git
    }

    /// Git in the clone, with no configuration but its own.
    #[must_use]
    pub fn git(&self) -> Command {
        self.git_in(&self.checkout())
    }

    /// The same, which signs by somebody's key where it is asked to sign.
    #[must_use]
    pub fn git_as(&self, who: &str) -> Command {
        let mut git = self.git();
        let key = format!("user.signingkey={}", self.folder.join(who).display());
        git.args(["-c", "gpg.format=ssh", "-c", &key]);
        git
    }

    /// Commits all that is in the clone. A signed commit states that it is for branch main. Answers the commit.
    ///
    /// # Errors
    /// When Git fails.
    pub fn commit(&self, message: &str, signing: Signing<'_>) -> Result<String, ProgramError> {
        said(self.git().args(["add", "--all"]))?;
        let (mut git, sign) = match signing {
            Signing::By(who) => (self.git_as(who), &["-S", "--trailer", STATEMENT][..]),
            Signing::Nobody => (self.git(), &[][..]),
        };
        said(git.args(["commit", "-q", "--allow-empty", "-m", message]).args(sign))?;
        self.head()
    }

    /// The clone's commit.
    ///
    /// # Errors
    /// When Git fails.
    pub fn head(&self) -> Result<String, ProgramError> {
        said(self.git().args(["rev-parse", "HEAD"]))
    }

    /// Forgets the newest commit.
    ///
    /// # Errors
    /// When Git fails.
    pub fn undo(&self) -> Result<(), ProgramError> {
        said(self.git().args(["reset", "-q", "--hard", "HEAD~1"])).map(drop)
    }

    /// Makes the clone's commit the newest of the repository.
    ///
    /// # Errors
    /// When Git fails.
    pub fn push(&self) -> Result<(), ProgramError> {
        said(self.git().args(["push", "-q", "--force", "origin", "HEAD:main"])).map(drop)
    }
}

/// What a program printed that succeeded.
fn said(command: &mut Command) -> Result<String, ProgramError> {
    let output = programs::run(command, "")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
