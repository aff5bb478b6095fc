//! The configuration, and what it leaves open: the node's name and the backend.

use chainmail_contract::NodeName;

use super::{Answer, CliError};
use crate::config::Config;
use crate::files;
use crate::kernel::backend::Backend;
use crate::paths::Paths;
use crate::preflight;
use crate::state::State;

/// The configuration; the defaults where there is no file.
pub(super) fn config(paths: &Paths) -> Result<Config, CliError> {
    let path = paths.config();
    let text = files::read_config(&path)?.unwrap_or_default();
    Ok(Config::parse(&path.display().to_string(), &text)?)
}

/// The node's name: as configured, or the host's.
pub(super) fn node(config: &Config) -> Result<NodeName, CliError> {
    if let Some(node) = &config.node {
        return Ok(node.clone());
    }
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy().to_ascii_lowercase();
    name.parse().map_err(|_| CliError::HostName { name })
}

/// The backend: as configured, or as it was found the first time. Another `iptables` on the path must not make the
/// rules of this node move.
pub(super) fn backend(config: &Config, state: &State) -> Result<Backend, CliError> {
    let pinned = state.pinned_backend();
    let backend = found(config, pinned)?;
    if pinned != Some(backend)
        && let Err(error) = state.pin_backend(backend)
    {
        tracing::warn!(%error, "the backend is found out anew at the next start");
    }
    Ok(backend)
}

/// Where it is not remembered, the one that holds chains of ours is the one that this node uses.
fn found(config: &Config, pinned: Option<Backend>) -> Result<Backend, CliError> {
    if let Some(backend) = config.backend.or(pinned) {
        return Ok(backend);
    }
    let holding: Vec<_> =
        Backend::ALL.into_iter().filter(|backend| !preflight::own_tables(*backend).is_empty()).collect();
    match holding[..] {
        [backend] => Ok(backend),
        _ => Ok(Backend::detect()?),
    }
}

/// The same for a command that must not write: an unprivileged one may ask too.
pub(super) fn backend_read_only(config: &Config, paths: &Paths) -> Result<Backend, CliError> {
    found(config, crate::state::pinned_backend(paths))
}

pub(super) fn check(paths: &Paths) -> Result<Answer, CliError> {
    let config = config(paths)?;
    let node = node(&config)?;
    let backend = config.backend.map_or("found by itself", Backend::as_str);
    let path = paths.config();
    let there = if path.exists() { "can be used" } else { "is not there, so the defaults hold" };
    let text = format!(
        "{} {there}: node {node}, backend {backend}, jump {}, a look every {} s\n",
        path.display(),
        config.jump,
        config.interval.as_secs()
    );
    Ok(Answer::done(text))
}
