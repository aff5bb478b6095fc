//! The shell: what on this host decides about a revision, read anew in each cycle, so that a key that is taken back is
//! believed nothing from the next look on.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chainmail_contract::beneath::BeneathError;
use chainmail_contract::{NameError, NodeName, Sha256Hex};
use chainmail_reconciler::config::ConfigError;
use chainmail_reconciler::files::{self, FileError};
use thiserror::Error;

use crate::config::{BranchStatement, Config, Mode, Trust};
use crate::paths::Paths;
use crate::state::{Release, read_if_whole};
use crate::trust::{Keys, KeysError};

/// Everything that this host says about revisions.
#[derive(Debug)]
pub struct Inputs {
    /// The configuration.
    pub config: Config,
    /// The node.
    pub node: NodeName,
    /// Who may sign.
    pub keys: Keys,
    /// The held revision that was let go.
    pub release: Option<Release>,
    /// What trust was made of: another digest, and all is verified again.
    pub trust: Sha256Hex,
    /// All of it: another digest, and the same revision may come to something else.
    pub digest: Sha256Hex,
}

/// A host that says nothing usable.
#[derive(Debug, Error)]
pub enum InputsError {
    /// There is no configuration.
    #[error("there is no {path}; it names the repository that policies are pulled from")]
    NoConfig {
        /// The file.
        path: PathBuf,
    },
    /// The configuration is wrong.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The host's name is no node's.
    #[error("the host's name {name:?} is no node's name ({source}): set node in /etc/chainmail/fetch.toml")]
    HostName {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// Who may sign is not known.
    #[error("{0}")]
    Keys(#[from] KeysError),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Inputs {
    /// Reads all of it.
    ///
    /// # Errors
    /// When something cannot be used.
    pub fn read(paths: &Paths) -> Result<Self, InputsError> {
        let (text, config) = config(paths)?;
        let node = node(&config)?;
        let signers = config.trust.allowed_signers.clone().unwrap_or_else(|| paths.allowed_signers());
        let (keys, trust) = match config.trust.mode {
            Mode::Off => (Keys::default(), Sha256Hex::of("off")),
            Mode::Range | Mode::Tag => {
                let missing = |path: &Path| KeysError::Missing { path: path.to_owned() };
                let allowed = files::read_config(&signers)?.ok_or_else(|| missing(&signers))?;
                let revoked = match &config.trust.revoked_keys {
                    Some(path) => Some((path, revoked(path)?.ok_or_else(|| missing(path))?)),
                    None => None,
                };
                let revoked = revoked.as_ref().map(|(path, text)| (*path, text.as_str()));
                let keys = Keys::parse((&signers, &allowed), revoked)?;
                let threshold = usize::from(config.trust.threshold.get());
                if config.trust.wants_others() {
                    let fail = |source| KeysError::Signers { path: signers.clone(), source };
                    keys.signers.can_reach(threshold).map_err(fail)?;
                }
                let revoked = revoked.map_or("", |(_, text)| text);
                let Trust { mode, min_commit, branch_statement, refused, .. } = &config.trust;
                let asked = match branch_statement {
                    BranchStatement::Required => config.branch.as_str(),
                    BranchStatement::NotAsked => "",
                };
                let asked = format!("{mode:?} {min_commit:?} {threshold} {asked} {refused:?}");
                let parts = [asked.as_str(), &allowed, revoked];
                (keys, Sha256Hex::of(parts.map(Sha256Hex::of).map(|part| part.to_string()).concat()))
            }
        };
        let release = read_if_whole::<Release>(&paths.released());
        let released = release.as_ref().map_or("", |release| release.revision.as_str());
        let version = env!("CARGO_PKG_VERSION");
        let parts = [text.as_str(), trust.as_str(), node.as_str(), released, version];
        let digest = Sha256Hex::of(parts.map(Sha256Hex::of).map(|part| part.to_string()).concat());
        Ok(Self { config, node, keys, release, trust, digest })
    }
}

/// The text of the file of revoked keys, if there is one.
fn revoked(path: &Path) -> Result<Option<String>, InputsError> {
    match files::read_config(path) {
        Err(FileError::Read(BeneathError::NoText { .. })) => {
            Err(KeysError::Binary { path: path.to_owned() }.into())
        }
        text => Ok(text?),
    }
}

/// The configuration's text, and what it says.
///
/// # Errors
/// When there is none, or it is wrong.
pub fn config(paths: &Paths) -> Result<(String, Config), InputsError> {
    let path = paths.config();
    let text = files::read_config(&path)?.ok_or_else(|| InputsError::NoConfig { path: path.clone() })?;
    let config = Config::parse(&path.display().to_string(), &text)?;
    Ok((text, config))
}

/// The node: the configured one, or else the host's name.
///
/// # Errors
/// When that is no node's name.
pub fn node(config: &Config) -> Result<NodeName, InputsError> {
    if let Some(node) = &config.node {
        return Ok(node.clone());
    }
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.parse().map_err(|source| InputsError::HostName { name, source })
}

/// Whether this process may write what is another user's: then it would leave files that the service cannot use.
#[must_use]
pub fn owner_differs(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match std::fs::metadata(folder) {
        Ok(found) => found.uid() != rustix::process::geteuid().as_raw(),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}
