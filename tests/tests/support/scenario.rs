//! The scenarios of `policies/`.

use std::path::PathBuf;

pub use chainmail_lab::{Scenario, State};
use chainmail_pipeline::Loaded;

/// The cluster of a state; manifests of a scenario have no errors.
pub fn loaded(state: &State) -> Loaded {
    let loaded = chainmail_pipeline::load(&state.sources);
    assert!(!loaded.findings.has_errors(), "{}: {:?}", state.name, loaded.findings.sorted());
    loaded
}

/// All scenarios, in order of names.
pub fn all() -> Vec<Scenario> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(super::root().join("policies"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.retain(|path| path.join("truth").is_dir());
    folders.sort();
    folders.iter().map(|folder| Scenario::read(folder).unwrap()).collect()
}

/// The scenario of a name.
pub fn named(name: &str) -> Scenario {
    Scenario::read(&super::root().join("policies").join(name)).unwrap()
}
