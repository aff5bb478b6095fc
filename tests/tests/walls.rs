//! The walls between the crates: which of them a `Cargo.toml` names, and what the programs link.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs, and may panic"
)]

mod support;

use std::collections::BTreeSet;
use std::process::Command;

/// The crates of the compiler, from the bottom up, with those that each one names. A wall is a name that is not here:
/// neither who judges nor who proves knows who writes, and only the pipeline knows both.
const KNOWN: [(&str, &[&str]); 11] = [
    ("chainmail-contract", &[]),
    ("chainmail-findings", &["contract"]),
    ("chainmail-model", &["contract", "findings"]),
    ("chainmail-manifest", &["contract", "findings", "model"]),
    ("chainmail-lower", &["contract", "findings", "model"]),
    ("chainmail-verdict", &["contract"]),
    ("chainmail-prove", &["contract", "findings", "model", "verdict"]),
    ("chainmail-review", &["contract", "findings", "model", "prove", "verdict"]),
    ("chainmail-report", &["contract", "findings", "model", "review"]),
    ("chainmail-pipeline", &["contract", "findings", "lower", "manifest", "model", "review", "verdict"]),
    (
        "chainmail-compiler",
        &["contract", "findings", "manifest", "model", "pipeline", "prove", "report", "review"],
    ),
];

/// The crates that a build links, by name.
fn tree(arguments: &[&str]) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let text = support::run(cargo.args(arguments).current_dir(support::root()));
    text.lines().filter_map(|line| line.split(' ').next()).map(ToOwned::to_owned).collect()
}

fn is_yaml_or_git(name: &str) -> bool {
    ["git2", "yaml", "saphyr"].iter().any(|word| name.contains(word))
}

#[test]
fn each_crate_knows_those_below_it_and_one_reads_yaml_and_git() {
    for (package, known) in KNOWN {
        let names = tree(&["--package", package, "--depth", "1"]);
        let ours = names.iter().filter_map(|name| name.strip_prefix("chainmail-"));
        let ours: Vec<&str> = ours.filter(|name| package.strip_prefix("chainmail-") != Some(name)).collect();
        assert_eq!(ours, known, "{package}");
        let reads = names.iter().any(|name| is_yaml_or_git(name));
        assert_eq!(reads, package == "chainmail-manifest", "{package}: {names:?}");
    }
}

#[test]
fn the_applying_daemon_reaches_neither_git_nor_yaml() {
    let daemon = tree(&["--package", "chainmail-reconciler"]);
    assert!(daemon.contains("chainmail-contract"), "the list is a list: {daemon:?}");
    let ours: Vec<&String> = daemon.iter().filter(|name| name.starts_with("chainmail-")).collect();
    assert_eq!(ours, ["chainmail-contract", "chainmail-reconciler", "chainmail-verdict"]);
    let foreign: Vec<&String> = daemon.iter().filter(|name| is_yaml_or_git(name)).collect();
    assert!(foreign.is_empty(), "chainmail-reconciler links {foreign:?}");
}

/// What one build asks of a crate, all packages of that build get.
#[test]
fn only_the_program_that_pulls_is_installed_with_network_code() {
    let mut make = Command::new("make");
    let recipe = support::run(make.args(["--dry-run", "install"]).current_dir(support::root()));
    let builds: Vec<Vec<&str>> = recipe
        .lines()
        .filter(|line| line.contains(" build ") && line.contains("--package"))
        .map(|line| {
            line.split(' ').skip_while(|word| *word != "--package").filter(|word| *word != "--bins").collect()
        })
        .collect();
    assert_eq!(builds.len(), 2, "{recipe}");
    for build in builds {
        let crates = tree(&build);
        let network = ["openssl-sys", "libssh2-sys"].map(|name| crates.contains(name));
        let fetches = build.contains(&"chainmail-fetch");
        assert_eq!(network, [fetches; 2], "{build:?}");
        assert_eq!(fetches, !build.contains(&"chainmail-compiler"), "{build:?}");
    }
}
