//! The shell: programs inside a lab, ours and others.

#![expect(clippy::disallowed_methods, reason = "this module keeps files in the lab's work folder")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use chainmail_contract::NodeName;

use super::{Lab, LabError};
use crate::endpoint::Endpoint;
use crate::layout::Snapshot;
use crate::netns::{self, NetnsError};
use crate::programs::{self, Origin};

/// Whether rules are listed with their packet and byte counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counters {
    /// As `iptables-save` prints them by default.
    Hidden,
    /// With `-c`.
    Shown,
}

/// What a node's kernel holds, as the tools print it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// `iptables-save -t filter`.
    pub v4: String,
    /// `ip6tables-save -t filter`.
    pub v6: String,
    /// `ipset save`.
    pub sets: String,
}

impl Lab {
    /// Compiles manifests with `chainmail` and applies them on every node.
    ///
    /// # Errors
    /// When either program fails.
    pub fn compile_and_apply(&self, origin: &Origin) -> Result<(), LabError> {
        let out = self.paths.work.join("compiled");
        if out.exists() {
            std::fs::remove_dir_all(&out).map_err(|source| LabError::Io { path: out.clone(), source })?;
        }
        programs::compile(origin, &out)?;
        self.apply(&out)
    }

    /// Applies a folder that `chainmail compile` wrote, with `chainmaild`, on every Linux node of the manifests. A node
    /// that only pods speak of gets its snapshot where the folder has one.
    ///
    /// # Errors
    /// When `chainmaild` is not there or fails on a node; the nodes after that one are left as they were.
    pub fn apply(&self, folder: &Path) -> Result<(), LabError> {
        for node in &self.state.layout.nodes {
            let has_folder = folder.join("nodes").join(node.name.as_str()).is_dir();
            if has_folder || node.snapshot == Snapshot::Expected {
                self.apply_on(&node.name, folder)?;
            }
        }
        Ok(())
    }

    /// Applies a folder that `chainmail compile` wrote on one node.
    ///
    /// # Errors
    /// When `chainmaild` is not there or fails.
    pub fn apply_on(&self, node: &NodeName, folder: &Path) -> Result<(), LabError> {
        let program = programs::find("chainmaild")?;
        let state = self.paths.work.join("nodes").join(node.as_str());
        std::fs::create_dir_all(&state).map_err(|source| LabError::Io { path: state.clone(), source })?;
        let mut command = netns::command(self.node_netns(node)?, &[]);
        command.arg(program).args(["apply", "--once"]).arg(folder).args(["--node", node.as_str()]);
        command.args(["--backend", self.state.backend.as_str(), "--state-dir"]).arg(state);
        programs::run(&mut command, "")?;
        Ok(())
    }

    /// Runs a program in an endpoint's network namespace to its end.
    ///
    /// # Errors
    /// When there is no such endpoint, or `ip` cannot be run. A program that fails is no error here.
    pub fn exec(&self, endpoint: &Endpoint, argv: &[&str]) -> Result<Output, LabError> {
        let netns = self.netns(endpoint)?;
        netns::output(netns, argv).map_err(|source| NetnsError::Spawn { source }.into())
    }

    /// As [`Lab::exec`], with a mount namespace of its own in which `/etc/hosts` names these addresses.
    ///
    /// # Errors
    /// As [`Lab::exec`], or when the file cannot be written.
    pub fn exec_with_hosts(
        &self,
        endpoint: &Endpoint,
        hosts: &BTreeMap<String, IpAddr>,
        argv: &[&str],
    ) -> Result<Output, LabError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let file = format!("hosts-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let path = self.paths.work.join(file);
        let mut text = String::from("127.0.0.1 localhost\n");
        for (name, address) in hosts {
            writeln!(text, "{address} {name}").expect("writing to a String cannot fail");
        }
        std::fs::write(&path, text).map_err(|source| LabError::Io { path: path.clone(), source })?;
        let shown = path.display().to_string();
        // `ip netns exec` gives each program a mount namespace from which nothing spreads to the host's.
        let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        let argv: Vec<&str> = ["sh", "-c", script, &shown].iter().chain(argv).copied().collect();
        let output = self.exec(endpoint, &argv);
        std::fs::remove_file(&path).map_err(|source| LabError::Io { path, source })?;
        output
    }

    /// Does some work on a thread inside an endpoint's network namespace; sockets that it makes stay there.
    ///
    /// # Errors
    /// When there is no such endpoint, or its namespace cannot be entered.
    pub fn inside<T: Send>(
        &self,
        endpoint: &Endpoint,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, LabError> {
        Ok(netns::within(self.netns(endpoint)?, work)?)
    }

    /// Starts a program in an endpoint's network namespace. It is killed when the lab is taken down.
    ///
    /// # Errors
    /// When there is no such endpoint, or `ip` cannot be run.
    pub fn spawn(&self, endpoint: &Endpoint, argv: &[&str]) -> Result<Child, LabError> {
        let mut command = netns::command(self.netns(endpoint)?, argv);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|source| NetnsError::Spawn { source }.into())
    }

    /// What a node's kernel holds in table filter, and its sets.
    ///
    /// # Errors
    /// When there is no such node, or a tool fails.
    pub fn saved(&self, node: &NodeName, counters: Counters) -> Result<Saved, LabError> {
        let netns = self.node_netns(node)?;
        let text = |argv: &[&str]| -> Result<String, LabError> {
            let output = programs::run(&mut netns::command(netns, argv), "")?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let save = |tool: &str| {
            let tool = format!("{tool}-{}-save", self.state.backend.as_str());
            match counters {
                Counters::Hidden => text(&[&tool, "-t", "filter"]),
                Counters::Shown => text(&[&tool, "-t", "filter", "-c"]),
            }
        };
        Ok(Saved { v4: save("iptables")?, v6: save("ip6tables")?, sets: text(&["ipset", "save"])? })
    }
}
