//! Where everything of the pulling half is on a node.

use std::path::{Path, PathBuf};

use chainmail_reconciler::paths;

/// The folders and files of the pulling half, and those of the applying half beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
    /// What both halves share.
    pub node: paths::Paths,
}

impl Paths {
    /// The paths below a root, which is `/` on a real node.
    #[must_use]
    pub fn under(root: &Path) -> Self {
        Self { root: root.to_owned(), node: paths::Paths::under(root) }
    }

    /// What stands before all paths.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("etc/chainmail/fetch.toml")
    }

    /// Who may sign, where the configuration does not say.
    #[must_use]
    pub fn allowed_signers(&self) -> PathBuf {
        self.root.join("etc/chainmail/allowed_signers")
    }

    /// The keys of ssh remotes, where the configuration does not say.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.root.join("etc/chainmail/known_hosts")
    }

    /// What the pulling half alone writes, and should not lose.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.node.fetch()
    }

    /// The objects of what was accepted: the verifier's own store, which nothing else writes.
    #[must_use]
    pub fn mirror(&self) -> PathBuf {
        self.state().join("mirror.git")
    }

    /// The objects of what is being judged, beside those of [`Self::mirror`].
    #[must_use]
    pub fn incoming(&self) -> PathBuf {
        self.state().join("incoming.git")
    }

    /// What the half that downloads writes, and all that it may write.
    #[must_use]
    pub fn quarantine(&self) -> PathBuf {
        self.node.download()
    }

    /// The downloading half's copy of the remote. Nothing else opens it.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.quarantine().join("repository.git")
    }

    /// What the remote said at the last look.
    #[must_use]
    pub fn look(&self) -> PathBuf {
        self.quarantine().join("look.json")
    }

    /// The revision that was handed over last.
    #[must_use]
    pub fn accepted(&self) -> PathBuf {
        self.state().join("accepted.json")
    }

    /// What the last cycle found, and what it was about.
    #[must_use]
    pub fn last(&self) -> PathBuf {
        self.state().join("last.json")
    }

    /// The revision that was held last.
    #[must_use]
    pub fn held(&self) -> PathBuf {
        self.state().join("held.json")
    }

    /// The held revision that somebody let go.
    #[must_use]
    pub fn released(&self) -> PathBuf {
        self.state().join("released.json")
    }

    /// Live objects, where the configuration does not say another folder.
    #[must_use]
    pub fn inventory(&self) -> PathBuf {
        self.root.join("var/lib/chainmail/inventory")
    }

    /// What was last readable of each file in that folder.
    #[must_use]
    pub fn inventory_store(&self) -> PathBuf {
        self.state().join("inventory")
    }

    /// What is gone after a reboot.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.node.run().join("fetch")
    }

    /// What the half that downloads is asked for.
    #[must_use]
    pub fn needs(&self) -> PathBuf {
        self.run().join("needs.json")
    }

    /// How often a look came to each state since the service began.
    #[must_use]
    pub fn looks(&self) -> PathBuf {
        self.run().join("looks.json")
    }

    /// What the half that probes writes, and all that it may write.
    #[must_use]
    pub fn probe(&self) -> PathBuf {
        self.node.probe()
    }

    /// What was found about a snapshot that waits to be confirmed.
    #[must_use]
    pub fn answer(&self) -> PathBuf {
        self.probe().join("answer.json")
    }

    /// Whether the remote answered when it was last looked at with nothing waiting to be confirmed.
    #[must_use]
    pub fn reach(&self) -> PathBuf {
        self.run().join("reach.json")
    }

    /// What was last said about a snapshot that waited to be confirmed.
    #[must_use]
    pub fn judged(&self) -> PathBuf {
        self.run().join("judged.json")
    }

    /// How things stand with the inventory.
    #[must_use]
    pub fn inventory_status(&self) -> PathBuf {
        self.run().join("inventory.json")
    }

    /// How things stand.
    #[must_use]
    pub fn status(&self) -> PathBuf {
        self.run().join("status.json")
    }
}
