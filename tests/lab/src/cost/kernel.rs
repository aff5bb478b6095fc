//! The shell: what the measured node's kernel holds.

use crate::layout::NetnsName;
use crate::netns;
use crate::programs::{self, ProgramError};
use crate::spec::Backend;

/// Rules to measure, in table filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rules {
    /// One rule: what a host with any stateful rule pays anyway.
    Conntrack,
    /// A node's rules, as `iptables-restore` text.
    Text(String),
}

/// The node's tools.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel<'a> {
    pub(crate) netns: &'a NetnsName,
    pub(crate) backend: Backend,
}

const CONNTRACK: &str = "*filter\n-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\nCOMMIT\n";
const JUMP: &str = "*filter\n-A FORWARD -j CM-FORWARD\nCOMMIT\n";

impl Kernel<'_> {
    /// Adds sets, of `ipset restore` text.
    pub(crate) fn add_sets(self, text: &str) -> Result<(), ProgramError> {
        self.run(&["ipset", "-exist", "restore"], text)
    }

    /// Replaces all that table filter holds, and forgets all connections.
    pub(crate) fn load(self, rules: &Rules) -> Result<(), ProgramError> {
        let restore = format!("iptables-{}-restore", self.backend.as_str());
        match rules {
            Rules::Conntrack => self.run(&[&restore], CONNTRACK)?,
            Rules::Text(text) => {
                self.run(&[&restore], text)?;
                self.run(&[&restore, "--noflush"], JUMP)?;
            }
        }
        self.run(&["conntrack", "-F"], "")
    }

    fn run(self, argv: &[&str], input: &str) -> Result<(), ProgramError> {
        programs::run(&mut netns::command(self.netns, argv), input).map(drop)
    }
}
