//! What must hold before anything is changed: the right to do it, and one backend that judges.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use chainmail_contract::Family;
use iptables::IPTables;
use thiserror::Error;

use crate::kernel::KernelError;
use crate::kernel::backend::{Backend, kernel_families};
use crate::kernel::process::{DEADLINE, find_tool, read_proc};
use crate::live::LiveTable;

/// The bit of CAP_NET_ADMIN in a capability mask: capability.h.
const CAP_NET_ADMIN: u32 = 12;
/// The bit of CAP_NET_RAW.
const CAP_NET_RAW: u32 = 13;

/// A condition that does not hold. Nothing was changed.
#[derive(Debug, Error)]
pub enum PreflightError {
    /// The process may not change rules.
    #[error(
        "changing rules needs CAP_NET_ADMIN, and matching on sets CAP_NET_RAW; this process lacks {missing}: run it \
         as root or from its unit"
    )]
    Capability {
        /// The missing ones.
        missing: String,
    },
    /// Rules of ours are in the other backend too.
    #[error(
        "backend {other} holds chains of ours ({families}) and both backends judge every packet; clear it with \
         `chainmaild uninstall --backend {other}`, or go on with `--backend {other}`"
    )]
    OtherBackend {
        /// The backend with leftovers.
        other: Backend,
        /// The families in which it has them.
        families: String,
    },
    /// The chain that leads to ours cannot be listed.
    #[error("`{tool}` cannot list chain FORWARD of table filter: {reason}")]
    Forward {
        /// The tool.
        tool: &'static str,
        /// What it said.
        reason: String,
    },
    /// The kernel cannot be asked.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// Checks that this process may change rules and sets.
///
/// # Errors
/// When a capability is missing.
pub fn capabilities() -> Result<(), PreflightError> {
    let status = read_proc("/proc/self/status")?.unwrap_or_default();
    let missing = missing_capabilities(&status);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(PreflightError::Capability { missing: missing.join(" and ") })
    }
}

fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let all = [(CAP_NET_ADMIN, "CAP_NET_ADMIN"), (CAP_NET_RAW, "CAP_NET_RAW")];
    all.into_iter().filter(|(bit, _)| (mask >> bit) & 1 == 0).map(|(_, name)| name).collect()
}

/// Checks that the other backend holds no chains of ours: its rules would go on judging, unseen.
///
/// # Errors
/// When it does.
pub fn one_backend(backend: Backend) -> Result<(), PreflightError> {
    let other = backend.other();
    let holding = own_tables(other).into_keys().map(|family| family.to_string()).collect::<Vec<_>>();
    if holding.is_empty() {
        return Ok(());
    }
    Err(PreflightError::OtherBackend { other, families: holding.join(", ") })
}

/// The families in which a backend holds something of ours. One that is not installed or not in the kernel, as is
/// usual for the backend that a host does not use, holds nothing.
#[must_use]
pub fn own_tables(backend: Backend) -> BTreeMap<Family, LiveTable> {
    let families = kernel_families().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot ask for the families of the kernel");
        Family::ALL.to_vec()
    });
    let mut found = BTreeMap::new();
    for family in families.into_iter().filter(|family| backend.missing_tool(*family).is_none()) {
        match backend.tables([family], DEADLINE, None) {
            Ok(tables) => found.extend(tables.into_iter().filter(|(_, table)| !table.is_empty())),
            Err(error) => tracing::warn!(%backend, %error, "cannot look for chains of ours in this backend"),
        }
    }
    found
}

/// How long a lock of others is waited for, as `-w 10` does when rules are loaded.
const LOCK_DEADLINE: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Asks `iptables` for the policy of FORWARD. That shows that table and chain can be worked with; under `legacy` it
/// also makes a table that was never used.
///
/// # Errors
/// When the tool is missing or cannot list the chain.
pub fn forward_policy(backend: Backend, family: Family) -> Result<String, PreflightError> {
    let tool = backend.list_tool(family);
    let path = find_tool(tool).ok_or(PreflightError::Forward { tool, reason: "not installed".to_owned() })?;
    // IPTables wants a name that lives for ever: two short ones a process. Numeric, or it would ask DNS for names. Its
    // `--wait` has no end, so a lock that another tool holds is waited for here.
    let tables = IPTables { cmd: path.leak(), has_check: true, has_wait: false, is_numeric: true };
    // It has no deadline either, so it is asked elsewhere. A tool that hangs is left behind with its thread.
    let (sender, answer) = channel();
    std::thread::spawn(move || sender.send(ask_policy(&tables)));
    match answer.recv_timeout(LOCK_DEADLINE + DEADLINE) {
        Ok(Ok(policy)) => Ok(policy),
        Ok(Err(reason)) => Err(PreflightError::Forward { tool, reason }),
        Err(_) => Err(PreflightError::Forward { tool, reason: "it does not end".to_owned() }),
    }
}

fn ask_policy(tables: &IPTables) -> Result<String, String> {
    let begin = Instant::now();
    loop {
        match tables.get_policy("filter", "FORWARD") {
            Ok(policy) => return Ok(policy),
            Err(error) if error.to_string().contains("xtables lock") && begin.elapsed() < LOCK_DEADLINE => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_capabilities_are_asked_for() {
        let rows: [(&str, &[&str]); 4] = [
            ("Name:\tx\nCapEff:\t0000000000003000\n", &[]),
            ("CapEff:\t0000000000001000\n", &["CAP_NET_RAW"]),
            ("CapEff:\t0000000000000000\n", &["CAP_NET_ADMIN", "CAP_NET_RAW"]),
            ("", &["CAP_NET_ADMIN", "CAP_NET_RAW"]),
        ];
        for (status, expected) in rows {
            assert_eq!(missing_capabilities(status), expected, "{status:?}");
        }
    }
}
