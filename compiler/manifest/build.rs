//! Names the reader of manifests by its own source and the crates that were locked, for the cache: what another reader
//! kept is never taken for this one's.

#![expect(clippy::disallowed_methods, reason = "a build script reads files")]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// The sources of the reader, and of the types of other crates that an entry has: where objects stand, kinds of workloads.
const READ: [&str; 3] = ["src", "../findings/src", "../model/src"];

fn main() {
    let mut files = vec![PathBuf::from("../../Cargo.lock")];
    for folder in READ {
        println!("cargo::rerun-if-changed={folder}");
        sources(Path::new(folder), &mut files);
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for path in &files {
        println!("cargo::rerun-if-changed={}", path.display());
        std::fs::read(path).expect("a workspace has its lock file and sources").hash(&mut hasher);
    }
    println!("cargo::rustc-env=CHAINMAIL_READER={:016x}", hasher.finish());
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a crate has its sources") {
        let path = entry.expect("a folder of sources can be listed").path();
        if path.is_dir() { sources(&path, files) } else { files.push(path) }
    }
}
