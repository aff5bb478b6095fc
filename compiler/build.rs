//! Names the reader of manifests by its own source and the crates that were locked, for the cache: what another reader
//! kept is never taken for this one's.

#![expect(clippy::disallowed_methods, reason = "a build script reads files")]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

fn main() {
    let mut files = vec![PathBuf::from("../Cargo.lock")];
    sources(Path::new("src/manifest"), &mut files);
    files.sort();
    let mut hasher = DefaultHasher::new();
    for path in &files {
        println!("cargo::rerun-if-changed={}", path.display());
        std::fs::read(path).expect("a workspace has its lock file and sources").hash(&mut hasher);
    }
    println!("cargo::rerun-if-changed=src/manifest");
    println!("cargo::rustc-env=CHAINMAIL_READER={:016x}", hasher.finish());
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a crate has its sources") {
        let path = entry.expect("a folder of sources can be listed").path();
        if path.is_dir() { sources(&path, files) } else { files.push(path) }
    }
}
