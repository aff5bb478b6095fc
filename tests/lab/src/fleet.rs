//! The real daemons on a lab's nodes, and the repository that they pull from.

#![expect(clippy::disallowed_methods, reason = "this module starts daemons and writes what they read")]

mod upstream;

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use chainmail_contract::NodeName;
use serde_json::Value;
use thiserror::Error;

use crate::endpoint::Endpoint;
use crate::lab::{Lab, LabError};
use crate::netns;
use crate::programs::{self, ProgramError};

pub use upstream::Upstream;

/// How long daemons are given for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where a node's inventory is by default, below its root.
const INVENTORY: &str = "var/lib/chainmail/inventory";
/// How often they are looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// Something that a fleet could not do.
#[derive(Debug, Error)]
pub enum FleetError {
    /// A program failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The lab did.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A file could not be written or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A file is not what a daemon writes.
    #[error("{}: {error}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        error: serde_json::Error,
    },
    /// It did not come to pass.
    #[error("{node} has not come so far within {} s: {what}\n{log}", PATIENCE.as_secs())]
    Never {
        /// Where.
        node: NodeName,
        /// What was waited for.
        what: String,
        /// What its daemons said last.
        log: String,
    },
}

/// What a node takes from the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Policies, which it compiles.
    Policies,
    /// The committed snapshot, which it proves.
    Snapshots,
    /// Policies, and pods that are born on the node's own word.
    Inventory,
}

impl Source {
    /// The word of `fetch.toml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Policies | Source::Inventory => "policies",
            Source::Snapshots => "snapshots",
        }
    }
}

/// How nodes reach the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote {
    /// As a folder of this host, which is watched.
    Folder,
    /// From `git daemon` on each node's own loopback, asked once a second.
    Daemon,
}

/// A node whose daemons run. They end with this value.
#[derive(Debug)]
pub struct Member {
    /// The node.
    pub node: NodeName,
    /// What it takes.
    pub source: Source,
    root: PathBuf,
    daemons: Vec<Child>,
}

impl Drop for Member {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            // One that has ended already is no problem here.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Member {
    /// Starts both daemons on a node. No revision before `floor` is accepted.
    ///
    /// # Errors
    /// When a program is missing or a file cannot be written.
    pub fn start(
        lab: &Lab,
        upstream: &Upstream,
        folder: &Path,
        (node, source, remote): (NodeName, Source, Remote),
        floor: &str,
    ) -> Result<Self, FleetError> {
        let root = folder.join(node.as_str());
        let etc = root.join("etc/chainmail");
        std::fs::create_dir_all(&etc)?;
        let signers = etc.join("allowed_signers");
        std::fs::write(&signers, upstream.repository.allowed_signers()?)?;
        std::fs::write(
            etc.join("node.toml"),
            format!("node = \"{node}\"\nbackend = \"{}\"\n", lab.backend().as_str()),
        )?;
        let url = match remote {
            Remote::Folder => upstream.repository.bare().display().to_string(),
            Remote::Daemon => "git://127.0.0.1/remote.git".to_owned(),
        };
        let inventory = match source {
            Source::Inventory => {
                // As chainmail.tmpfiles.conf does.
                std::fs::create_dir_all(root.join(INVENTORY))?;
                "[inventory]\n"
            }
            Source::Policies | Source::Snapshots => "",
        };
        let text = format!(
            "node = \"{node}\"\nremote = \"{url}\"\nsource = \"{}\"\ninterval = 1\n\
             [trust]\nallowed_signers = \"{}\"\nmin_commit = \"{floor}\"\nbranch_statement = \"required\"\n{inventory}",
            source.as_str(),
            signers.display()
        );
        std::fs::write(etc.join("fetch.toml"), text)?;
        let mut member = Self { node, source, root, daemons: Vec::new() };
        if remote == Remote::Daemon {
            let base = format!("--base-path={}", folder.display());
            member.spawn(lab, &["git", "daemon", "--export-all", "--listen=127.0.0.1", &base])?;
        }
        let root = member.root.display().to_string();
        for program in ["chainmaild", "chainmail-fetch"] {
            let path = programs::find(program)?.display().to_string();
            member.spawn(lab, &[&path, "--root", &root, "run"])?;
        }
        Ok(member)
    }

    fn spawn(&mut self, lab: &Lab, argv: &[&str]) -> Result<(), FleetError> {
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = netns::command(lab.node_netns(&self.node)?, argv);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.env("HOME", &self.root).env_remove("JOURNAL_STREAM").env_remove("NOTIFY_SOCKET");
        self.daemons.push(command.spawn()?);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Has a manifest in the node's inventory, as of now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn bear(&self, name: &str, manifest: &str) -> Result<(), FleetError> {
        let folder = self.root.join(INVENTORY);
        let new = folder.join(format!(".{name}.new"));
        std::fs::write(&new, manifest)?;
        std::fs::rename(new, folder.join(format!("{name}.yaml")))?;
        Ok(())
    }

    fn status(&self, path: &str) -> Result<Value, FleetError> {
        let path = self.root.join("run/chainmail").join(path);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| FleetError::Json { path, error }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Value::Null),
            Err(error) => Err(error.into()),
        }
    }

    /// What the applying half says of this node.
    ///
    /// # Errors
    /// When its status is none.
    pub fn applied(&self) -> Result<Value, FleetError> {
        self.status("apply.json")
    }

    /// What the pulling half says.
    ///
    /// # Errors
    /// When its status is none.
    pub fn fetched(&self) -> Result<Value, FleetError> {
        self.status("fetch/status.json")
    }

    /// Waits until something holds, and says how long that took.
    ///
    /// # Errors
    /// When it never does.
    pub fn wait_until(
        &self,
        what: &str,
        mut holds: impl FnMut(&Self) -> Result<bool, FleetError>,
    ) -> Result<Duration, FleetError> {
        let begin = Instant::now();
        while !holds(self)? {
            if begin.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.log())?;
                let tail: Vec<&str> = log.lines().rev().take(20).collect();
                let log = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(FleetError::Never { node: self.node.clone(), what: what.to_owned(), log });
            }
            std::thread::sleep(GLANCE);
        }
        Ok(begin.elapsed())
    }

    /// Waits until a snapshot is in force and nothing is left to do.
    ///
    /// # Errors
    /// When it never is.
    pub fn wait_for(&self, digest: &str) -> Result<Duration, FleetError> {
        self.wait_until(digest, |member| {
            let status = member.applied()?;
            Ok(status["sync"] == "synced" && status["enforce"] == "enforcing" && status["enforced"] == digest)
        })
    }

    /// Runs one of the programs as a person on this node would.
    ///
    /// # Errors
    /// When it is missing, or cannot be run. That it fails is no error here.
    pub fn ask(&self, lab: &Lab, program: &'static str, words: &[&str]) -> Result<Output, FleetError> {
        let (path, root) = (programs::find(program)?.display().to_string(), self.root.display().to_string());
        let argv = [&[path.as_str(), "--root", &root], words].concat();
        Ok(lab.exec(&Endpoint::Node(self.node.clone()), &argv)?)
    }

    /// The audit log's lines.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn audit(&self) -> Result<Vec<Value>, FleetError> {
        let path = self.root.join("var/log/chainmail/audit.jsonl");
        let text = std::fs::read_to_string(&path)?;
        let line = |line| serde_json::from_str(line);
        let lines: Result<_, _> = text.lines().map(line).collect();
        lines.map_err(|error| FleetError::Json { path, error })
    }
}
