//! The shell: a network namespace of its own, in which a snapshot is loaded before it reaches this host.
//!
//! `iptables-restore --test` accepts loops, missing chains and paths of 16 levels; only a commit finds them.

#![expect(clippy::disallowed_methods, reason = "this module is the one that holds a network namespace")]

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use crate::kernel::Kernel as _;
use crate::kernel::command::CommandKernel;
use crate::kernel::process::PATH;

/// A network namespace that lives as long as this does, and no longer than this process.
#[derive(Debug)]
pub struct Namespace {
    /// It waits for the end of its input, which the kernel closes when this process dies.
    holder: Child,
}

impl Namespace {
    /// Makes one; `None` where this process may not, as in its unit.
    #[must_use]
    pub fn new() -> Option<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo; exec cat"])
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let ready = holder.stdout.as_mut()?.read_exact(&mut [0]).is_ok();
        let namespace = Self { holder };
        ready.then_some(namespace)
    }

    /// The process that holds it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.holder.id()
    }

    /// This kernel with its tools in there; `None` where they do not work, which says nothing about a snapshot.
    #[must_use]
    pub fn kernel(&self, of: &CommandKernel) -> Option<CommandKernel> {
        let mut kernel = of.within(self.id());
        let live = kernel.live().ok()?;
        let works =
            live.tables.keys().all(|&family| kernel.restore_rules(family, "*filter\nCOMMIT\n").is_ok());
        works.then_some(kernel)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        if let Err(error) = self.holder.wait() {
            tracing::warn!(%error, "a network namespace for a trial is left");
        }
    }
}
