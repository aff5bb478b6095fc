//! The kernel through the tools of iptables and ipset.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use chainmail_snapshot::{Family, SetName};

use crate::kernel::backend::Backend;
use crate::kernel::process::Call;
use crate::kernel::{Kernel, KernelError};
use crate::live::{LiveSet, LiveTable, parse_sets};

/// The real kernel, in the network namespace of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandKernel {
    /// Where rules are read and written.
    pub backend: Backend,
    /// How long one call of a tool may take.
    pub deadline: Duration,
}

impl CommandKernel {
    fn call(self, program: &'static str) -> Call {
        Call::new(program).deadline(self.deadline)
    }
}

impl Kernel for CommandKernel {
    fn tables(&mut self) -> Result<BTreeMap<Family, LiveTable>, KernelError> {
        self.backend.tables(self.deadline)
    }

    fn sets(&mut self) -> Result<BTreeMap<SetName, LiveSet>, KernelError> {
        // Only ours are dumped: another's set may be huge, or of a revision that this ipset cannot print.
        let mut wanted = String::new();
        for name in self.call("ipset").arg("list").arg("-n").run("")?.lines() {
            if name.parse::<SetName>().is_ok() {
                writeln!(wanted, "save {name}").expect("a String takes all");
            }
        }
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        // A restore takes every command but list, help and version: ipset(8), "restore". So one process saves many.
        let tool = self.call("ipset").arg("restore");
        parse_sets(&tool.run(&wanted)?)
            .map_err(|source| KernelError::Output { command: tool.to_string(), source })
    }

    fn restore_sets(&mut self, text: &str) -> Result<(), KernelError> {
        self.call("ipset").arg("restore").run(text).map(drop)
    }

    fn restore_rules(&mut self, family: Family, text: &str) -> Result<(), KernelError> {
        // "-w10" in one word is refused by iptables-legacy-restore 1.8.9.
        let tool = self.call(self.backend.restore_tool(family));
        tool.arg("--noflush").arg("-w").arg("10").run(text).map(drop)
    }

    fn destroy_set(&mut self, name: &SetName) -> Result<(), KernelError> {
        self.call("ipset").arg("destroy").arg(name.as_str()).run("").map(drop)
    }

    fn pause(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}
