//! The shell: what is recorded of each lab in `/run/chainmail-lab`, before anything of it is made.

#![expect(clippy::disallowed_methods, reason = "this module is the one that keeps the state files")]

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::layout::Layout;
use crate::spec::{Backend, LabName};

const FOLDER: &str = "/run/chainmail-lab";

/// A state file that cannot be kept or read.
#[derive(Debug, Error)]
pub enum StateError {
    /// The name is in use.
    #[error("a lab named {name} is up, or was not taken down: chainmail-lab down --name {name}")]
    Exists {
        /// The name.
        name: LabName,
    },
    /// No lab has the name.
    #[error("no lab is named {name}")]
    Missing {
        /// The name.
        name: LabName,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path}: {source}")]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Where a lab's files are.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// The state file.
    pub(crate) state: PathBuf,
    /// A folder for all else.
    pub(crate) work: PathBuf,
}

impl Paths {
    pub(crate) fn of(name: &LabName) -> Self {
        let folder = Path::new(FOLDER);
        Self { state: folder.join(format!("{name}.json")), work: folder.join(name.to_string()) }
    }
}

/// What is recorded of a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) name: LabName,
    /// Which manifests it was built from.
    pub(crate) origin: String,
    pub(crate) backend: Backend,
    pub(crate) layout: Layout,
}

impl State {
    /// Records a new lab.
    pub(crate) fn record(&self) -> Result<Paths, StateError> {
        let paths = Paths::of(&self.name);
        let io = |source: io::Error| StateError::Io { path: paths.state.clone(), source };
        std::fs::create_dir_all(FOLDER).map_err(io)?;
        let file = match OpenOptions::new().write(true).create_new(true).open(&paths.state) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StateError::Exists { name: self.name.clone() });
            }
            result => result.map_err(io)?,
        };
        let json = |source| StateError::Json { path: paths.state.clone(), source };
        serde_json::to_writer(file, self).map_err(json)?;
        std::fs::create_dir_all(&paths.work).map_err(io)?;
        Ok(paths)
    }

    /// Reads what was recorded.
    pub(crate) fn read(name: &LabName) -> Result<Self, StateError> {
        let path = Paths::of(name).state;
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StateError::Missing { name: name.clone() })
            }
            Err(source) => Err(StateError::Io { path, source }),
            Ok(file) => serde_json::from_reader(io::BufReader::new(file))
                .map_err(|source| StateError::Json { path, source }),
        }
    }
}

/// The names of all labs that are recorded.
pub(crate) fn names() -> Result<Vec<LabName>, StateError> {
    let io = |source: io::Error| StateError::Io { path: FOLDER.into(), source };
    let entries = match std::fs::read_dir(FOLDER) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let file = entry.map_err(io)?.file_name();
        names.extend(
            file.to_str().and_then(|file| file.strip_suffix(".json")).and_then(|name| name.parse().ok()),
        );
    }
    names.sort();
    Ok(names)
}

/// A name that no other lab of this or another living process has.
pub(crate) fn unique_name() -> LabName {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("p{}_{count}", process::id()).parse().expect("two numbers are within 24 bytes")
}
