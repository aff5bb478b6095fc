//! The kernel as this program sees it: few calls. Plans are made and judged without it.

pub mod backend;
pub mod command;
#[cfg(test)]
pub(crate) mod fake;
pub mod process;
pub mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use chainmail_contract::{Family, SetName};
use thiserror::Error;

use crate::apply::ApplyError;
use crate::desired::Desired;
use crate::flows::Flow;
use crate::live::{Live, LiveError, LiveSets, LiveTable};

/// Reads and changes the kernel. Each change is the text of one call of a tool.
pub trait Kernel {
    /// Finds out which families of the kernel cannot be worked with, and why. Until it is asked again they are passed by,
    /// so that the others are enforced.
    ///
    /// # Errors
    /// When none can be worked with.
    fn survey(&mut self) -> Result<BTreeMap<Family, String>, KernelError>;

    /// Reads the table `filter` of each family that the kernel has and that can be worked with.
    ///
    /// # Errors
    /// When a tool fails, or prints what cannot be read.
    fn tables(&mut self) -> Result<BTreeMap<Family, LiveTable>, KernelError>;

    /// Reads our sets, but for the members of those that are passed by: where one is still there, it is taken as it is
    /// given.
    ///
    /// # Errors
    /// When a tool fails, or prints what cannot be read.
    fn sets_but(&mut self, passed_by: LiveSets) -> Result<LiveSets, KernelError>;

    /// Reads our part of the kernel's state, but for the members of some sets.
    ///
    /// # Errors
    /// As the two that it is made of.
    fn live_but(&mut self, passed_by: LiveSets) -> Result<Live, KernelError> {
        Ok(Live { tables: self.tables()?, sets: self.sets_but(passed_by)? })
    }

    /// Reads our sets.
    ///
    /// # Errors
    /// When a tool fails, or prints what cannot be read.
    fn sets(&mut self) -> Result<LiveSets, KernelError> {
        self.sets_but(LiveSets::new())
    }

    /// Reads our part of the kernel's state.
    ///
    /// # Errors
    /// As the two that it is made of.
    fn live(&mut self) -> Result<Live, KernelError> {
        self.live_but(LiveSets::new())
    }

    /// Hands a text to `ipset restore`. It stops at the first line that fails; what went before stays.
    ///
    /// # Errors
    /// When a line fails.
    fn restore_sets(&mut self, text: &str) -> Result<(), KernelError>;

    /// Hands a text to `iptables-restore --noflush`. It is one commit: on an error nothing of it is in force.
    ///
    /// # Errors
    /// When the text or the commit is refused.
    fn restore_rules(&mut self, family: Family, text: &str) -> Result<(), KernelError>;

    /// Destroys one set.
    ///
    /// # Errors
    /// When a rule refers to it, or it does not exist.
    fn destroy_set(&mut self, name: &SetName) -> Result<(), KernelError>;

    /// The entries of conntrack.
    ///
    /// # Errors
    /// When the tool fails.
    fn flows(&mut self) -> Result<Vec<Flow>, KernelError>;

    /// The addresses of this host.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    fn host_addresses(&mut self) -> Result<BTreeSet<IpAddr>, KernelError>;

    /// Deletes entries of conntrack; one that is gone already is no error.
    ///
    /// # Errors
    /// When the tool fails.
    fn forget_flows(&mut self, flows: &[Flow]) -> Result<(), KernelError>;

    /// How many packets of a family met the end of the chain for denied packets.
    ///
    /// # Errors
    /// When the tool fails, or there is no such chain.
    fn denied(&mut self, family: Family) -> Result<u64, KernelError>;

    /// Loads what is desired into a network namespace of its own and reads it back; `None` where none can be made.
    fn load_elsewhere(&mut self, desired: &Desired) -> Option<Result<(), ApplyError>>;

    /// Waits, before something is tried again.
    fn pause(&mut self, time: Duration);
}

/// A call that failed.
#[derive(Debug, Error)]
pub enum KernelError {
    /// The tool could not be started or talked to.
    #[error("cannot run `{command}`: {source}")]
    Run {
        /// The command line.
        command: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The tool failed.
    #[error("`{command}` failed ({status}): {stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// Exit code or signal.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// The tool did not end in time and was killed.
    #[error("`{command}` did not end within {seconds} s and was killed")]
    Deadline {
        /// The command line.
        command: String,
        /// The time it had.
        seconds: u64,
    },
    /// A file of `/proc` cannot be read.
    #[error("cannot read {path}: {source}")]
    Proc {
        /// The file.
        path: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A tool printed what cannot be read.
    #[error("output of `{command}`: {source}")]
    Output {
        /// The command line.
        command: String,
        /// What is wrong with it.
        source: LiveError,
    },
    /// Rules of no family can be kept.
    #[error("no rules can be kept: {reasons}")]
    NoFamily {
        /// Why, for each family.
        reasons: String,
    },
    /// `iptables --version` names neither backend.
    #[error(
        "`iptables --version` printed {0:?}, which names neither (nf_tables) nor (legacy); use --backend"
    )]
    Backend(String),
}
