//! The kernel through the tools of iptables and ipset.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use chainmail_contract::{DENY_CHAIN, Family, SetName};

use crate::apply::{ApplyError, Change, bring};
use crate::desired::Desired;
use crate::flows::{Flow, host_addresses};
use crate::kernel::backend::{Backend, kernel_families};
use crate::kernel::process::{Call, read_proc};
use crate::kernel::trial::Namespace;
use crate::kernel::{Kernel, KernelError};
use crate::live::{LiveSets, LiveTable, SetReader};
use crate::place::Place;
use crate::plan::plan;
use crate::preflight::forward_policy;

/// The real kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandKernel {
    /// Where rules are read and written.
    pub backend: Backend,
    /// How long one call of a tool may take.
    pub deadline: Duration,
    /// The process in whose network namespace the tools run, where it is not this one's.
    pub inside: Option<u32>,
    /// The sets as they were read last.
    sets: SetReader,
    /// The families that cannot be worked with, and why, as [`Kernel::survey`] found.
    unusable: BTreeMap<Family, String>,
    /// Whether it was asked which those are.
    surveyed: bool,
}

impl CommandKernel {
    /// The kernel of this process's network namespace.
    #[must_use]
    pub fn new(backend: Backend, deadline: Duration) -> Self {
        Self {
            backend,
            deadline,
            inside: None,
            sets: SetReader::default(),
            unusable: BTreeMap::new(),
            surveyed: false,
        }
    }

    /// The same tools on the kernel of another process's network namespace.
    #[must_use]
    pub fn within(&self, process: u32) -> Self {
        let unusable = self.unusable.clone();
        Self { inside: Some(process), unusable, ..Self::new(self.backend, self.deadline) }
    }

    fn call(&self, program: &'static str) -> Call {
        Call::new(program).deadline(self.deadline).inside(self.inside)
    }
}

impl Kernel for CommandKernel {
    fn survey(&mut self) -> Result<BTreeMap<Family, String>, KernelError> {
        let known = std::mem::take(&mut self.unusable);
        let families = kernel_families()?;
        for &family in &families {
            // A tool that did not work is tried again. One that did is known by each look to work.
            let fails = || match (self.surveyed, known.get(&family)) {
                (true, None) => None,
                (true, Some(_)) | (false, _) => {
                    forward_policy(self.backend, family).err().map(|error| error.to_string())
                }
            };
            if let Some(reason) = self.backend.missing_tool(family).or_else(fails) {
                self.unusable.insert(family, reason);
            }
        }
        self.surveyed = true;
        if self.unusable.len() == families.len() {
            let reasons = self.unusable.values().cloned().collect::<Vec<_>>().join("; ");
            return Err(KernelError::NoFamily { reasons });
        }
        Ok(self.unusable.clone())
    }

    fn tables(&mut self) -> Result<BTreeMap<Family, LiveTable>, KernelError> {
        let is_usable = |family: &Family| {
            !self.unusable.contains_key(family) && self.backend.missing_tool(*family).is_none()
        };
        let usable = kernel_families()?.into_iter().filter(is_usable);
        self.backend.tables(usable, self.deadline, self.inside)
    }

    fn sets_but(&mut self, mut passed_by: LiveSets) -> Result<LiveSets, KernelError> {
        // Only ours are dumped: another's set may be huge, or of a revision that this ipset cannot print.
        let mut wanted = String::new();
        let mut sets = LiveSets::new();
        for name in self.call("ipset").arg("list").arg("-n").run("")?.lines() {
            let Ok(name) = name.parse::<SetName>() else { continue };
            match passed_by.remove(&name) {
                Some(set) => drop(sets.insert(name, set)),
                None => writeln!(wanted, "save {name}").expect("a String takes all"),
            }
        }
        if wanted.is_empty() {
            return Ok(sets);
        }
        // A restore takes every command but list, help and version: ipset(8), "restore". So one process saves many.
        let tool = self.call("ipset").arg("restore");
        let text = tool.run(&wanted)?;
        let read = self
            .sets
            .read(&text)
            .map_err(|source| KernelError::Output { command: tool.to_string(), source })?;
        sets.extend(read);
        Ok(sets)
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

    fn flows(&mut self) -> Result<Vec<Flow>, KernelError> {
        let mut flows = Vec::new();
        for family in kernel_families()? {
            let word = match family {
                Family::V4 => "ipv4",
                Family::V6 => "ipv6",
            };
            let tool = self.call("conntrack").arg("-L").arg("-f").arg(word).arg("-o").arg("extended");
            flows.extend(tool.run("")?.lines().filter_map(Flow::parse));
        }
        Ok(flows)
    }

    fn host_addresses(&mut self) -> Result<BTreeSet<IpAddr>, KernelError> {
        let read = |path| Ok::<_, KernelError>(read_proc(path)?.unwrap_or_default());
        Ok(host_addresses(&read("/proc/net/fib_trie")?, &read("/proc/net/if_inet6")?))
    }

    fn forget_flows(&mut self, flows: &[Flow]) -> Result<(), KernelError> {
        let lines: Vec<_> = flows.iter().map(Flow::deletion).collect();
        // One process for all of them; conntrack before 1.4.7 has no such option, and then each takes its own.
        let all = self.call("conntrack").arg("-R").arg("-").run(&(lines.join("\n") + "\n"));
        if all.is_ok() {
            return Ok(());
        }
        for line in lines {
            let tool = line.split(' ').fold(self.call("conntrack"), Call::arg);
            match tool.run("") {
                // "0 flow entries have been deleted" is exit code 1, and an entry that ended by itself.
                Err(KernelError::Failed { stderr, .. }) if stderr.contains(" 0 flow entries") => {}
                done => drop(done?),
            }
        }
        Ok(())
    }

    fn denied(&mut self, family: Family) -> Result<u64, KernelError> {
        let tool =
            self.call(self.backend.list_tool(family)).arg("-w").arg("10").arg("-v").arg("-S").arg(DENY_CHAIN);
        Ok(tool.run("")?.lines().rev().find_map(packets).unwrap_or(0))
    }

    fn load_elsewhere(&mut self, desired: &Desired) -> Option<Result<(), ApplyError>> {
        let namespace = Namespace::new()?;
        let mut kernel = namespace.kernel(self)?;
        let change = Change { desired, place: &Place::First, old: None };
        let loaded = kernel.live().map_err(ApplyError::Read);
        Some(loaded.and_then(|live| {
            let first = plan(desired, &live, change.place);
            bring(&mut kernel, change, &live, first, &mut ()).map(drop)
        }))
    }

    fn pause(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// The packets in a rule as `iptables -v -S` prints it, with `-c PACKETS BYTES`.
fn packets(rule: &str) -> Option<u64> {
    let (_, counters) = rule.split_once(" -c ")?;
    counters.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_rules_are_read() {
        assert_eq!(packets("-A CM-DENY -c 12 720 -j DROP"), Some(12));
        assert_eq!(packets("-N CM-DENY"), None);
    }
}
