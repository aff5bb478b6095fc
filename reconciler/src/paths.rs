//! Where everything is on a node. One root stands before all of it, so that a test has a node in a folder.

use std::path::{Path, PathBuf};

use chainmail_contract::Sha256Hex;

/// The folders and files of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The paths below a root, which is `/` on a real node.
    #[must_use]
    pub fn under(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("etc/chainmail/node.toml")
    }

    /// What fetch writes and apply watches.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.root.join("var/lib/chainmail/spool")
    }

    /// The digest of the snapshot that is to be in force.
    #[must_use]
    pub fn desired(&self) -> PathBuf {
        self.spool().join("desired")
    }

    /// The digest of the snapshot that fetch says works.
    #[must_use]
    pub fn confirmed(&self) -> PathBuf {
        self.spool().join("confirmed")
    }

    /// What fetch says against a snapshot that is in force.
    #[must_use]
    pub fn refused(&self) -> PathBuf {
        self.spool().join("refused")
    }

    /// A snapshot in the spool.
    #[must_use]
    pub fn spooled(&self, digest: &Sha256Hex) -> PathBuf {
        self.spool().join(digest.as_str())
    }

    /// What apply alone writes, and must not lose.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("var/lib/chainmail/state")
    }

    /// What fetch alone writes, and should not lose.
    #[must_use]
    pub fn fetch(&self) -> PathBuf {
        self.root.join("var/lib/chainmail/fetch")
    }

    /// What the downloading part of fetch writes: the quarantine.
    #[must_use]
    pub fn download(&self) -> PathBuf {
        self.root.join("var/lib/chainmail/download")
    }

    /// What the probing part of fetch writes: its answer.
    #[must_use]
    pub fn probe(&self) -> PathBuf {
        self.run().join("probe")
    }

    /// What a change was about, while it is made.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.state().join("journal")
    }

    /// The snapshot that was taken back, and when it is tried again.
    #[must_use]
    pub fn setback(&self) -> PathBuf {
        self.state().join("setback.json")
    }

    /// The digest of the last snapshot that was verified to be in force.
    #[must_use]
    pub fn good(&self) -> PathBuf {
        self.state().join("good")
    }

    /// The networks that are closed where no copy of a snapshot can be used.
    #[must_use]
    pub fn closed(&self) -> PathBuf {
        self.state().join("closed")
    }

    /// A snapshot that is or was in force.
    #[must_use]
    pub fn kept(&self, digest: &Sha256Hex) -> PathBuf {
        self.kept_all().join(digest.as_str())
    }

    /// The folder of those.
    #[must_use]
    pub fn kept_all(&self) -> PathBuf {
        self.state().join("snapshots")
    }

    /// What a person wants of this node.
    #[must_use]
    pub fn orders(&self) -> PathBuf {
        self.orders_folder().join("orders.json")
    }

    /// The folder of it, which the service watches.
    #[must_use]
    pub fn orders_folder(&self) -> PathBuf {
        self.state().join("orders")
    }

    /// One line for each change.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        self.state().join("history.jsonl")
    }

    /// What flows were cut.
    #[must_use]
    pub fn cut(&self) -> PathBuf {
        self.state().join("cut")
    }

    /// Why flows that the rules refuse go on.
    #[must_use]
    pub fn uncut(&self) -> PathBuf {
        self.state().join("uncut")
    }

    /// The backend that this node was found to use.
    #[must_use]
    pub fn backend(&self) -> PathBuf {
        self.state().join("backend")
    }

    /// What is gone after a reboot: the lock and the status.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run/chainmail")
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self) -> PathBuf {
        self.run().join("apply.json")
    }

    /// Every rule and member that came or went.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.root.join("var/log/chainmail/audit.jsonl")
    }
}
