//! `/etc/chainmail/node.toml`: how this node applies snapshots. What changes a rule is never set here.

use std::time::Duration;

use chainmail_contract::{NodeName, Position};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::kernel::backend::Backend;
use crate::kernel::process::DEADLINE;
use crate::place::Place;

/// The configuration, with its defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The node whose snapshots are applied; the host's name where this is not said.
    pub node: Option<NodeName>,
    /// Where rules are kept; what `iptables` works on where this is not said.
    pub backend: Option<Backend>,
    /// Where in FORWARD the jump stands.
    pub jump: Place,
    /// How often the kernel is read and compared.
    pub interval: Duration,
    /// How long one call of a tool may take.
    pub deadline: Duration,
    /// What is done about what others changed.
    pub drift: Drift,
    /// Who says that a snapshot works.
    pub confirm: Confirm,
    /// How long a snapshot stays in force without such a word.
    pub confirm_timeout: Duration,
    /// Whether a snapshot is loaded into a network namespace of its own first, where one can be made.
    pub trial: Trial,
    /// What becomes of the pod networks of a node that has lost every copy of its snapshot.
    pub without_snapshot: WithoutSnapshot,
    /// How many snapshots that were in force are kept.
    pub keep: usize,
    /// How long the audit log grows.
    pub audit: Audit,
}

/// What is done about what others changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    /// It is undone.
    #[default]
    Heal,
    /// It is told.
    Report,
}

/// Who says that a snapshot works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confirm {
    /// Nobody: it counts as good once the kernel is verified to hold it.
    #[default]
    None,
    /// Somebody who is asked: `chainmail-fetch`, or a person. Without a word it is taken back.
    Required,
}

impl Confirm {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Confirm::None => "none",
            Confirm::Required => "required",
        }
    }
}

/// Whether a snapshot is loaded into a network namespace of its own first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trial {
    /// Where one can be made.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// What becomes of the pod networks of a node that has lost every copy of its snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutSnapshot {
    /// Nothing from them or to them is forwarded.
    #[default]
    Closed,
    /// They are open.
    Open,
}

/// How long the audit log grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// The size in megabytes at which a new file is begun.
    pub max_megabytes: u64,
    /// How many full files are kept.
    pub keep: usize,
}

impl Default for Audit {
    fn default() -> Self {
        Self { max_megabytes: 10, keep: 5 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: None,
            backend: None,
            jump: Place::First,
            interval: Duration::from_secs(30),
            deadline: DEADLINE,
            drift: Drift::Heal,
            confirm: Confirm::None,
            confirm_timeout: Duration::from_secs(60),
            trial: Trial::Auto,
            without_snapshot: WithoutSnapshot::Closed,
            keep: 10,
            audit: Audit::default(),
        }
    }
}

/// A configuration that cannot be used: what, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem}\n  --> {path}:{line}:{column}\n   |\n{line:>4} | {source_line}\n   = help: {help}")]
pub struct ConfigError {
    problem: String,
    path: String,
    line: usize,
    column: usize,
    source_line: String,
    help: String,
}

/// The file as it is written. Each field carries its place, so that a wrong value can be shown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: Option<toml::Spanned<String>>,
    backend: Option<Backend>,
    jump: Option<toml::Spanned<String>>,
    interval: Option<toml::Spanned<u64>>,
    deadline: Option<toml::Spanned<u64>>,
    #[serde(default)]
    drift: Drift,
    #[serde(default)]
    confirm: Confirm,
    confirm_timeout: Option<toml::Spanned<u64>>,
    #[serde(default)]
    trial: Trial,
    #[serde(default)]
    without_snapshot: WithoutSnapshot,
    keep: Option<toml::Spanned<usize>>,
    audit: Option<toml::Spanned<Audit>>,
}

/// Keys that people look for in a node's configuration, and where they are: those of the repository.
pub const OF_THE_REPOSITORY: (&[&str], &str) = (
    &[
        "unknown_pods",
        "allow",
        "drop_invalid",
        "pod_bridge",
        "pod_interfaces",
        "enforce",
        "log_denied",
        "manifests",
        "nodes",
    ],
    "it changes rules, so it is set in the repository's chainmail.toml, where it is reviewed",
);

/// The keys that people look for here, and where they are.
const ELSEWHERE: [(&[&str], &str); 2] = [
    OF_THE_REPOSITORY,
    (
        &[
            "source",
            "remote",
            "url",
            "branch",
            "keys",
            "allowed_signers",
            "min_commit",
            "max_age",
            "probes",
            "max_loss",
        ],
        "it is about pulling, so it is set in /etc/chainmail/fetch.toml",
    ),
];

impl Config {
    /// Reads the text of a configuration; `path` is only told.
    ///
    /// # Errors
    /// When a key is unknown, or a value is not one that it can have.
    pub fn parse(path: &str, text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let help = help(error.message(), text.get(span.clone()).unwrap_or_default());
            ConfigError::at(path, text, span.start, error.message().to_owned(), help)
        })?;
        let wrong = |span: std::ops::Range<usize>, problem: String, help: &str| {
            ConfigError::at(path, text, span.start, problem, help.to_owned())
        };
        let mut config =
            Self { backend: file.backend, drift: file.drift, confirm: file.confirm, ..Self::default() };
        (config.trial, config.without_snapshot) = (file.trial, file.without_snapshot);
        if let Some(node) = file.node {
            let name = node.get_ref().parse::<NodeName>();
            config.node = Some(name.map_err(|error| {
                wrong(node.span(), error.to_string(), "write the node's name as its snapshots' folder has it")
            })?);
        }
        if let Some(jump) = file.jump {
            config.jump = jump.get_ref().parse().map_err(|error: crate::place::PlaceError| {
                wrong(
                    jump.span(),
                    error.to_string(),
                    "write it as one of these, for example \"after KUBE-SERVICES\"",
                )
            })?;
        }
        let seconds = |name, value: toml::Spanned<u64>, longest, help| {
            let seconds = *value.get_ref();
            if (1..=longest).contains(&seconds) {
                return Ok(Duration::from_secs(seconds));
            }
            Err(wrong(value.span(), format!("{name} {seconds} is not between 1 and {longest}"), help))
        };
        if let Some(interval) = file.interval {
            let help = "it is the number of seconds between two looks at the kernel";
            config.interval = seconds("interval", interval, 86_400, help)?;
        }
        if let Some(deadline) = file.deadline {
            let help = "it is the number of seconds that one call of iptables or ipset may take";
            config.deadline = seconds("deadline", deadline, 600, help)?;
        }
        if let Some(timeout) = file.confirm_timeout {
            let help = "it is the number of seconds in which a snapshot must be confirmed";
            config.confirm_timeout = seconds("confirm_timeout", timeout, 86_400, help)?;
        }
        if let Some(keep) = file.keep {
            config.keep = *keep.get_ref();
            if !(1..=1000).contains(&config.keep) {
                let problem = format!("keep {} is not between 1 and 1000", config.keep);
                return Err(wrong(
                    keep.span(),
                    problem,
                    "it is the number of snapshots that are kept to go back to",
                ));
            }
        }
        if let Some(audit) = file.audit {
            config.audit = *audit.get_ref();
            if !(1..=10_000).contains(&config.audit.max_megabytes) || config.audit.keep > 1000 {
                let problem = "max_megabytes is not between 1 and 10000, or keep above 1000".to_owned();
                return Err(wrong(
                    audit.span(),
                    problem,
                    "choose how much of the disk the audit log may take",
                ));
            }
        }
        Ok(config)
    }
}

impl ConfigError {
    /// An error at an offset of a file's text.
    #[must_use]
    pub fn at(path: &str, text: &str, offset: usize, problem: String, help: String) -> Self {
        let Position { line, column, text } = Position::of(text, offset);
        Self { problem, path: path.to_owned(), line, column, source_line: text.to_owned(), help }
    }
}

fn help(message: &str, key: &str) -> String {
    let elsewhere =
        ELSEWHERE.iter().find(|(keys, _)| message.contains("unknown field") && keys.contains(&key));
    match elsewhere {
        Some((_, help)) => (*help).to_owned(),
        None if message.contains("unknown field") => "remove the key, or correct its name".to_owned(),
        None => "the manual's page of node.toml lists each key with its values".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_read() {
        let text = "node = \"worker-1\"\nbackend = \"nft\"\njump = \"after KUBE-SERVICES\"\ninterval = 5\n\
                    deadline = 9\ndrift = \"report\"\nconfirm = \"required\"\nconfirm_timeout = 7\ntrial = \"off\"\nwithout_snapshot = \"open\"\nkeep = 3\n[audit]\nmax_megabytes = 1\n";
        let config = Config {
            node: Some("worker-1".parse().unwrap()),
            backend: Some(Backend::Nft),
            jump: Place::After("KUBE-SERVICES".to_owned()),
            interval: Duration::from_secs(5),
            deadline: Duration::from_secs(9),
            drift: Drift::Report,
            confirm: Confirm::Required,
            confirm_timeout: Duration::from_secs(7),
            trial: Trial::Off,
            without_snapshot: WithoutSnapshot::Open,
            keep: 3,
            audit: Audit { max_megabytes: 1, keep: 5 },
        };
        assert_eq!(Config::parse("f", text).unwrap(), config);
        assert_eq!(Config::parse("f", "").unwrap(), Config::default());
    }

    #[test]
    fn a_wrong_configuration_is_shown_with_its_place_and_help() {
        let rows = [
            (
                "drift = \"heal\"\nallow = \"accept\"\n",
                ["unknown field `allow`", "f:2:1\n", "chainmail.toml"],
            ),
            ("remote = \"x\"\n", ["unknown field `remote`", "f:1:1\n", "fetch.toml"]),
            ("intervall = 1\n", ["unknown field `intervall`", "   1 | intervall = 1\n", "correct its name"]),
            ("drift = \"ignore\"\n", ["unknown variant `ignore`", "f:1:9\n", "lists each key"]),
            ("interval = 0\n", ["interval 0 is not between", "f:1:12\n", "seconds"]),
            ("deadline = 601\n", ["between 1 and 600", "f:1:12\n", "one call"]),
            ("confirm_timeout = 0\n", ["confirm_timeout 0", "f:1:19\n", "must be confirmed"]),
            ("interval = \"5\"\n", ["invalid type", "f:1:12\n", "lists each key"]),
            ("node = \"N 1\"\n", ["is not of the form", "f:1:8\n", "folder"]),
            ("jump = \"top\"\n", ["\"top\" is not a place", "f:1:8\n", "after KUBE-SERVICES"]),
            ("keep = 0\n", ["keep 0", "f:1:8\n", "go back to"]),
            ("[audit]\nkeep = 2000\n", ["keep above 1000", "f:1:1\n", "disk"]),
            ("[audit]\nsize = 2\n", ["unknown field `size`", "f:2:1\n", "correct its name"]),
            ("é = \n", ["", "f:1:1\n", ""]),
            ("a = 1\na = 2\n", ["duplicate key", "f:2:1\n", ""]),
        ];
        for (text, expected) in rows {
            let error = Config::parse("f", text).expect_err(text).to_string();
            assert!(expected.iter().all(|part| error.contains(part)), "{text}\n{error}");
        }
    }
}
