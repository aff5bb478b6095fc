//! What several test programs need: where things are, and the scenarios of `policies/`.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

pub mod kernel;
pub mod scenario;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the root").to_path_buf()
}

/// A program of the workspace; `make test` builds all of them before it tests.
pub fn program(name: &'static str) -> PathBuf {
    chainmail_lab::find(name).unwrap_or_else(|error| panic!("{error}; run `cargo build --workspace` first"))
}

/// Runs `chainmail` in a folder, however it ends.
pub fn chainmail(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program("chainmail"));
    // What other runs of this user kept is no part of a test.
    command.env("CHAINMAIL_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    command.args(args).current_dir(folder).output().unwrap()
}

/// What a program printed.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("our programs print UTF-8")
}

/// What it said beside that.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("our programs print UTF-8")
}

/// Writes a file of a folder.
pub fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The bytes of every file below a folder, by its path from there.
pub fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The names in a folder with goldens, without those that a failed test left there.
pub fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".snap.new")).collect()
}

/// Runs Git in a folder; what this host's own Git is told does not matter.
pub fn git(folder: &Path, args: &[&str]) {
    let mut git = Command::new("git");
    git.current_dir(folder).envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")]);
    git.args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]);
    run(git.args(args));
}

/// How goldens of a folder are kept: the text alone, under its own name.
pub fn goldens(folder: &Path) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// Whether this process may make network namespaces. Where it may not, that is said, and in CI it is a failure.
pub fn may_use_kernel() -> bool {
    let allowed = Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|status| status.success());
    if !allowed {
        let why = "not run: real kernels need root (network namespaces)";
        assert!(std::env::var_os("CI").is_none(), "{why}, and CI must run everything");
        println!("{why}");
    }
    allowed
}

/// Runs a program to its end and answers what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).expect("our programs print UTF-8")
}
