//! The shell that asks a kernel, or files, for what a kernel holds.

#![expect(clippy::disallowed_methods, reason = "this module is the one that runs iptables-save and ipset")]

use std::path::PathBuf;
use std::process::Command;

use thiserror::Error;

/// A kernel that does not say what it holds.
#[derive(Debug, Error)]
pub(super) enum SaveError {
    /// A file that cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A program that cannot be run.
    #[error("{command}: {source}; is it installed?")]
    Start {
        /// The command line.
        command: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A program that failed.
    #[error("{command} failed: {stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// What it said.
        stderr: String,
    },
}

/// What this host's kernel holds, as these programs print it; each text with its program's name.
pub(super) fn tools() -> Result<Vec<(String, String)>, SaveError> {
    [&["iptables-save", "-t", "filter"][..], &["ip6tables-save", "-t", "filter"], &["ipset", "save"]]
        .into_iter()
        .map(|words| {
            let command = words.join(" ");
            let output = Command::new(words[0]).args(&words[1..]).env("LC_ALL", "C").output();
            let output = output.map_err(|source| SaveError::Start { command: command.clone(), source })?;
            if !output.status.success() {
                let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(SaveError::Failed { command, stderr });
            }
            Ok((words[0].to_owned(), String::from_utf8_lossy(&output.stdout).into_owned()))
        })
        .collect()
}

/// What files hold that these programs printed; each text with its file's name.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<(String, String)>, SaveError> {
    paths
        .iter()
        .map(|path| {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path);
            text.map(|text| (name.clone(), text)).map_err(|source| SaveError::Read { path: name, source })
        })
        .collect()
}
