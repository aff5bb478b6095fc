//! The two kernel interfaces behind the name iptables, and which of them holds chains of ours.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chainmail_snapshot::Family;
use clap::ValueEnum;
use serde::Deserialize;

use crate::kernel::KernelError;
use crate::kernel::process::{Call, read_proc};
use crate::live::LiveTable;

/// Which kernel interface `iptables` works on. Rules of both judge every packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// nf_tables, by `iptables-nft`.
    Nft,
    /// x_tables, by `iptables-legacy`.
    Legacy,
}

impl Backend {
    /// Both.
    pub const ALL: [Backend; 2] = [Backend::Nft, Backend::Legacy];

    /// The word in the tools' names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Backend::Nft => "nft",
            Backend::Legacy => "legacy",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Backend::Nft => Backend::Legacy,
            Backend::Legacy => Backend::Nft,
        }
    }

    /// The tool that lists rules one by one.
    #[must_use]
    pub fn list_tool(self, family: Family) -> &'static str {
        match (self, family) {
            (Backend::Nft, Family::V4) => "iptables-nft",
            (Backend::Nft, Family::V6) => "ip6tables-nft",
            (Backend::Legacy, Family::V4) => "iptables-legacy",
            (Backend::Legacy, Family::V6) => "ip6tables-legacy",
        }
    }

    /// The tool that prints a table.
    #[must_use]
    pub fn save_tool(self, family: Family) -> &'static str {
        match (self, family) {
            (Backend::Nft, Family::V4) => "iptables-nft-save",
            (Backend::Nft, Family::V6) => "ip6tables-nft-save",
            (Backend::Legacy, Family::V4) => "iptables-legacy-save",
            (Backend::Legacy, Family::V6) => "ip6tables-legacy-save",
        }
    }

    /// The tool that commits a text.
    #[must_use]
    pub fn restore_tool(self, family: Family) -> &'static str {
        match (self, family) {
            (Backend::Nft, Family::V4) => "iptables-nft-restore",
            (Backend::Nft, Family::V6) => "ip6tables-nft-restore",
            (Backend::Legacy, Family::V4) => "iptables-legacy-restore",
            (Backend::Legacy, Family::V6) => "ip6tables-legacy-restore",
        }
    }

    /// The backend that plain `iptables` stands for on this host, which is the one that others on it use.
    ///
    /// # Errors
    /// When `iptables` is not there or names neither.
    pub fn detect() -> Result<Self, KernelError> {
        let printed = Call::new("iptables").arg("--version").run("")?;
        if printed.contains("(nf_tables)") {
            Ok(Backend::Nft)
        } else if printed.contains("(legacy)") {
            Ok(Backend::Legacy)
        } else {
            Err(KernelError::Backend(printed.trim().to_owned()))
        }
    }

    /// Reads the table `filter` of each family that the kernel has, without making one in this network namespace.
    ///
    /// # Errors
    /// When a tool fails, or the table cannot be printed.
    pub fn tables(
        self,
        deadline: Duration,
        inside: Option<u32>,
    ) -> Result<BTreeMap<Family, LiveTable>, KernelError> {
        let mut tables = BTreeMap::new();
        for family in kernel_families()? {
            let tool =
                Call::new(self.save_tool(family)).arg("-t").arg("filter").deadline(deadline).inside(inside);
            // What is asked here is this process's own network namespace.
            let text =
                if inside.is_some() || self.has_filter(family)? { tool.run("")? } else { String::new() };
            let table = LiveTable::parse(&text)
                .map_err(|source| KernelError::Output { command: tool.to_string(), source })?;
            tables.insert(family, table);
        }
        Ok(tables)
    }

    /// Whether there may be a table to print. `iptables-legacy-save -t filter` makes the one that it is asked for,
    /// and loads its module; `iptables-nft-save` makes none.
    fn has_filter(self, family: Family) -> Result<bool, KernelError> {
        match self {
            Backend::Nft => Ok(true),
            Backend::Legacy => {
                let path = match family {
                    Family::V4 => "/proc/net/ip_tables_names",
                    Family::V6 => "/proc/net/ip6_tables_names",
                };
                Ok(read_proc(path)?.is_some_and(|names| names.lines().any(|name| name == "filter")))
            }
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The families that the kernel speaks in this network namespace. One without IPv6 carries no IPv6 packet, so there
/// is nothing to police; an `ip6tables` that fails although there is IPv6 is an error and not taken for its absence.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn kernel_families() -> Result<Vec<Family>, KernelError> {
    let v6 = read_proc("/proc/net/if_inet6")?.is_some();
    Ok(if v6 { Family::ALL.to_vec() } else { vec![Family::V4] })
}
