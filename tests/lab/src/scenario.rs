//! A scenario: a cluster from state to state, with a hand-written truth table for each.
//!
//! Its folder has `truth/STATE.txt` for each state, and its manifests in one of three forms: `make-repository`, whose
//! commits are tagged with the states' names; `cluster/` and `states/STATE/`, compiled together; or `manifests/`, which is
//! the one state there is. Beside `manifests/` may be `live/`: an inventory.

#![expect(clippy::disallowed_methods, reason = "this module reads scenarios and makes their repositories")]

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use chainmail_manifest::source::{self, SourceError, SourceFile, Sources};
use tempfile::TempDir;
use thiserror::Error;

use crate::programs::{self, Origin, ProgramError};
use crate::truth::{TableError, TruthTable};

/// One scenario.
#[derive(Debug)]
pub struct Scenario {
    /// Its folder's name.
    pub name: String,
    /// Its states, in order.
    pub states: Vec<State>,
    /// What revisions are of. It goes with the scenario.
    _repository: Option<TempDir>,
}

/// One state of a scenario.
#[derive(Debug)]
pub struct State {
    /// Its name.
    pub name: String,
    /// Its manifests.
    pub sources: Sources,
    /// Who reaches whom, by hand.
    pub truth: TruthTable,
    /// The revision it is, where it is one.
    pub revision: Option<Origin>,
}

/// A folder that is no scenario.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A truth table.
    #[error("{}: {error}", path.display())]
    Table {
        /// Its file.
        path: PathBuf,
        /// Why.
        error: TableError,
    },
    /// The manifests.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The repository could not be made.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

impl Scenario {
    /// Reads a scenario, and makes its repository if it has one.
    ///
    /// # Errors
    /// When its folder is not as this module says.
    pub fn read(folder: &Path) -> Result<Self, ScenarioError> {
        let (temp, repository) = match folder.join("make-repository") {
            maker if maker.exists() => {
                let temp = tempfile::tempdir().map_err(io(Path::new("a folder for the repository")))?;
                let repository = temp.path().join("repository");
                programs::run(Command::new(maker).arg(&repository), "")?;
                (Some(temp), Some(repository))
            }
            _ => (None, None),
        };
        let mut states = Vec::new();
        for path in tables(&folder.join("truth"))? {
            let name = word(path.file_stem());
            let text = std::fs::read_to_string(&path).map_err(io(&path))?;
            let truth = text.parse().map_err(|error| ScenarioError::Table { path, error })?;
            let revision = repository.clone().map(|repo| Origin::Revision { repo, rev: name.clone() });
            let sources = match &revision {
                Some(revision) => revision.read()?,
                None => sources(folder, &name)?,
            };
            states.push(State { name, sources, truth, revision });
        }
        Ok(Self { name: word(folder.file_name()), states, _repository: temp })
    }
}

impl State {
    /// Where programs can read the manifests: the revision, or a folder that they are written to.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn origin(&self, folder: &Path) -> io::Result<Origin> {
        match &self.revision {
            Some(origin) => Ok(origin.clone()),
            None => Origin::written(&self.sources, folder),
        }
    }
}

fn io(path: &Path) -> impl Fn(io::Error) -> ScenarioError {
    move |source| ScenarioError::Io { path: path.to_path_buf(), source }
}

fn word(name: Option<&std::ffi::OsStr>) -> String {
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// The truth tables, in order of their states.
fn tables(truth: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    let entries = std::fs::read_dir(truth).map_err(io(truth))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>().map_err(io(truth))?;
    paths.sort_by(|one, other| one.file_stem().cmp(&other.file_stem()));
    Ok(paths)
}

fn sources(folder: &Path, state: &str) -> Result<Sources, SourceError> {
    let manifests = folder.join("manifests");
    if manifests.is_dir() {
        let sources = source::from_folder(&manifests)?;
        let live = folder.join("live");
        return match live.is_dir() {
            true => Ok(sources.with_inventories(source::inventories(&live)?)),
            false => Ok(sources),
        };
    }
    let mut files: Vec<SourceFile> = Vec::new();
    for part in [folder.join("cluster"), folder.join("states").join(state)] {
        files.extend(source::from_folder(&part)?.iter().map(|(_, file)| file.clone()));
    }
    Ok(Sources::new(files))
}
