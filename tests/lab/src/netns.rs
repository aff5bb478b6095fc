//! The shell: network namespaces, and what is done inside them.
//!
//! A thread that enters a namespace never leaves it; it is started for one piece of work and ends with it. Sockets that
//! it hands over stay in its namespace.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one that makes and enters network namespaces"
)]

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

use rustix::fd::AsFd as _;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use thiserror::Error;

use crate::layout::{NetnsName, Script, Sysctl};
use crate::reaper::Lifeline;

/// Something that could not be done to or in a namespace.
#[derive(Debug, Error)]
pub enum NetnsError {
    /// A thread could not enter.
    #[error("cannot enter network namespace {netns}: {source}")]
    Enter {
        /// Which.
        netns: NetnsName,
        /// Why.
        source: io::Error,
    },
    /// A sysctl could not be written.
    #[error("cannot write {value} to /proc/sys/net/{path} in {netns}: {source}")]
    Sysctl {
        /// In which namespace.
        netns: NetnsName,
        /// The file.
        path: &'static str,
        /// What was to stand there.
        value: &'static str,
        /// Why.
        source: io::Error,
    },
    /// `ip` could not be run.
    #[error("cannot run ip: {source}")]
    Spawn {
        /// Why.
        source: io::Error,
    },
    /// `ip -batch` failed.
    #[error("ip -batch failed in {place}: {stderr}\nthe lines were:\n{lines}")]
    Batch {
        /// Where.
        place: String,
        /// What it said, with the number of the line.
        stderr: String,
        /// What it was given.
        lines: String,
    },
}

/// Runs `work` on a thread of its own inside a namespace.
pub(crate) fn within<T: Send>(netns: &NetnsName, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
    let enter = |source: io::Error| NetnsError::Enter { netns: netns.clone(), source };
    let path: PathBuf = ["/run/netns", netns.as_str()].iter().collect();
    inside(&File::open(path).map_err(enter)?, work).map_err(enter)
}

/// The same for a namespace that is an open file.
pub(crate) fn inside<T: Send>(netns: &File, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let body = || -> io::Result<T> {
        move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(work())
    };
    thread::scope(|scope| scope.spawn(body).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Makes namespaces and fills them, script by script.
pub(crate) fn build(
    namespaces: &[&NetnsName],
    scripts: &[Script<'_>],
    lifeline: &Lifeline,
) -> Result<(), NetnsError> {
    let names = namespaces.iter().map(|netns| format!("netns add {netns}\n"));
    batch("the host (it only makes namespaces there)", &names.collect::<String>(), lifeline)?;
    for script in scripts {
        within(script.netns, || script.sysctls.iter().try_for_each(|sysctl| write(script.netns, sysctl)))??;
    }
    for Script { netns, ip, .. } in scripts {
        within(netns, || batch(netns.as_str(), ip, lifeline))??;
    }
    Ok(())
}

fn write(netns: &NetnsName, sysctl: &Sysctl) -> Result<(), NetnsError> {
    let &Sysctl { path, value } = sysctl;
    // Below /proc/sys/net each thread sees its own namespace's values.
    std::fs::write(format!("/proc/sys/net/{path}"), value).map_err(|source| NetnsError::Sysctl {
        netns: netns.clone(),
        path,
        value,
        source,
    })
}

fn batch(place: &str, lines: &str, lifeline: &Lifeline) -> Result<(), NetnsError> {
    let spawn = |source| NetnsError::Spawn { source };
    let mut command = Command::new("ip");
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.stdout(lifeline.hold().map_err(spawn)?).spawn().map_err(spawn)?;
    let mut stdin = child.stdin.take().expect("standard input was asked for");
    // When ip stops at a wrong line the rest cannot be written; what it says about that line is the error.
    let _ = stdin.write_all(lines.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().map_err(spawn)?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(NetnsError::Batch { place: place.to_owned(), stderr, lines: lines.to_owned() })
}

/// A command that will run in a namespace.
pub(crate) fn command(netns: &NetnsName, argv: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", netns.as_str()]).args(argv);
    command
}

/// Runs a command in a namespace to its end.
pub(crate) fn output(netns: &NetnsName, argv: &[&str]) -> io::Result<Output> {
    command(netns, argv).stdin(Stdio::null()).output()
}
