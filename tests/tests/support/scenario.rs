//! The scenarios of `policies/`: their states, manifests and hand-written truth tables.
//!
//! A scenario's folder has `truth/STATE.txt` for each state, and its manifests in one of three forms: `make-repository`,
//! whose commits are tagged with the states' names; `cluster/` and `states/STATE/`, compiled together; or `manifests/`,
//! which is the one state `truth`.

use std::path::{Path, PathBuf};
use std::process::Command;

use chainmail_compiler::Loaded;
use chainmail_compiler::source::{SourceFile, Sources, from_folder, from_revision};
use chainmail_lab::{Origin, TruthTable};
use tempfile::TempDir;

/// One scenario.
pub struct Scenario {
    /// Its folder's name.
    pub name: String,
    /// Its states, in order.
    pub states: Vec<State>,
    _repository: Option<TempDir>,
}

/// One state of a scenario.
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

impl State {
    /// The cluster; manifests of a scenario have no errors.
    pub fn loaded(&self) -> Loaded {
        let loaded = chainmail_compiler::load(&self.sources);
        assert!(!loaded.findings.has_errors(), "{}: {:?}", self.name, loaded.findings.sorted());
        loaded
    }

    /// Where programs can read the manifests: the revision, or a folder that is made here.
    pub fn origin(&self, folder: &Path) -> Origin {
        if let Some(origin) = &self.revision {
            return origin.clone();
        }
        for (_, file) in self.sources.iter() {
            let path = folder.join(&file.path);
            std::fs::create_dir_all(path.parent().expect("files are below the folder")).unwrap();
            std::fs::write(path, &file.bytes).unwrap();
        }
        Origin::Folder(folder.to_path_buf())
    }
}

/// All scenarios, in order of names.
pub fn all() -> Vec<Scenario> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(super::root().join("policies"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.retain(|path| path.join("truth").is_dir());
    folders.sort();
    folders.iter().map(|folder| scenario(folder)).collect()
}

/// The scenario of a name.
pub fn named(name: &str) -> Scenario {
    scenario(&super::root().join("policies").join(name))
}

fn scenario(folder: &Path) -> Scenario {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<String> = std::fs::read_dir(folder.join("truth"))
        .unwrap_or_else(|error| panic!("{name} has no truth tables: {error}"))
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let maker = folder.join("make-repository");
    let repository = maker.exists().then(|| {
        let temp = tempfile::tempdir().unwrap();
        super::run(Command::new(&maker).arg(temp.path().join("repository")));
        temp
    });
    let states = names.into_iter().map(|state| {
        let (sources, revision) = match &repository {
            Some(temp) => {
                let repo = temp.path().join("repository");
                let sources = from_revision(&repo, &state).unwrap();
                (sources, Some(Origin::Revision { repo, rev: state.clone() }))
            }
            None => (sources(folder, &state), None),
        };
        let text = std::fs::read_to_string(folder.join("truth").join(format!("{state}.txt"))).unwrap();
        let truth = text.parse().unwrap_or_else(|error| panic!("{name}/truth/{state}.txt: {error}"));
        State { name: state, sources, truth, revision }
    });
    let states = states.collect();
    Scenario { name, states, _repository: repository }
}

fn sources(folder: &Path, state: &str) -> Sources {
    let manifests = folder.join("manifests");
    if manifests.is_dir() {
        return from_folder(&manifests).unwrap();
    }
    let mut files: Vec<SourceFile> = Vec::new();
    for part in [folder.join("cluster"), folder.join("states").join(state)] {
        let sources = from_folder(&part).unwrap_or_else(|error| panic!("{}: {error}", part.display()));
        files.extend(sources.iter().map(|(_, file)| file.clone()));
    }
    Sources::new(files)
}
