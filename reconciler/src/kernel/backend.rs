//! The two kernel interfaces behind the name iptables, and which of them holds chains of ours.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use chainmail_contract::Family;
use clap::ValueEnum;
use serde::Deserialize;

use crate::kernel::KernelError;
use crate::kernel::process::{Call, find_tool, read_proc};
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

    /// Reads the table `filter` of some families, without making one in this network namespace.
    ///
    /// # Errors
    /// When a tool fails, or a table cannot be printed.
    pub fn tables(
        self,
        families: impl IntoIterator<Item = Family>,
        deadline: Duration,
        inside: Option<u32>,
    ) -> Result<BTreeMap<Family, LiveTable>, KernelError> {
        let mut tables = BTreeMap::new();
        for family in families {
            tables.insert(family, self.table(family, deadline, inside)?);
        }
        Ok(tables)
    }

    fn table(
        self,
        family: Family,
        deadline: Duration,
        inside: Option<u32>,
    ) -> Result<LiveTable, KernelError> {
        let tool =
            Call::new(self.save_tool(family)).arg("-t").arg("filter").deadline(deadline).inside(inside);
        // What is asked here is this process's own network namespace.
        let filter = if inside.is_some() { Filter::MayBe } else { self.filter(family)? };
        let text = match filter {
            Filter::IsNone => String::new(),
            Filter::MayBe => match tool.run("") {
                // The kernel has no such table, and this process may not load the module for one.
                Err(KernelError::Failed { stderr, .. }) if stderr.contains(NO_TABLE) => String::new(),
                printed => printed?,
            },
        };
        LiveTable::parse(&text).map_err(|source| KernelError::Output { command: tool.to_string(), source })
    }

    /// Whether there may be a table to print. `iptables-legacy-save -t filter` makes the one that it is asked for,
    /// and loads its module; `iptables-nft-save` makes none.
    fn filter(self, family: Family) -> Result<Filter, KernelError> {
        let path = match (self, family) {
            (Backend::Nft, _) => return Ok(Filter::MayBe),
            (Backend::Legacy, Family::V4) => "/proc/net/ip_tables_names",
            (Backend::Legacy, Family::V6) => "/proc/net/ip6_tables_names",
        };
        match read_proc(path) {
            Ok(Some(names)) if names.lines().any(|name| name == "filter") => Ok(Filter::MayBe),
            Ok(_) => Ok(Filter::IsNone),
            // The file is for root alone, so another user finds out by making a table, where the kernel has its module
            // loaded. It is empty, and lets all packets by.
            Err(KernelError::Proc { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
                Ok(Filter::MayBe)
            }
            Err(error) => Err(error),
        }
    }

    /// Why rules of a family cannot be kept here, where a tool for it is not installed.
    #[must_use]
    pub fn missing_tool(self, family: Family) -> Option<String> {
        let tools = [self.list_tool(family), self.save_tool(family), self.restore_tool(family)];
        let missing = tools.into_iter().find(|tool| find_tool(tool).is_none())?;
        Some(format!("{missing} is not installed"))
    }
}

/// What libiptc says where the kernel has no table of that name, or no tables at all.
const NO_TABLE: &str = "do you need to insmod?";

/// Whether there is a table `filter`.
enum Filter {
    IsNone,
    MayBe,
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
