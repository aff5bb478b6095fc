//! The walls between the crates, held by what Cargo says they link.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run programs, and may panic"
)]

mod support;

use std::collections::BTreeSet;
use std::process::Command;

/// The crates that one links, by name.
fn links(package: &str) -> BTreeSet<String> {
    built_by(&["--package", package])
}

/// The crates that a build links, by name.
fn built_by(packages: &[&str]) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let text = support::run(cargo.args(packages).current_dir(support::root()));
    text.lines().filter_map(|line| line.split(' ').next()).map(ToOwned::to_owned).collect()
}

#[test]
fn the_applying_daemon_reaches_neither_git_nor_yaml() {
    let daemon = links("chainmail-reconciler");
    assert!(daemon.contains("chainmail-contract"), "the list is a list: {daemon:?}");
    for name in &daemon {
        let foreign = ["git2", "yaml", "saphyr", "chainmail-compiler"].iter().any(|word| name.contains(word));
        assert!(!foreign, "chainmail-reconciler links {name}");
    }
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
        let crates = built_by(&build);
        let network = ["openssl-sys", "libssh2-sys"].map(|name| crates.contains(name));
        let fetches = build.contains(&"chainmail-fetch");
        assert_eq!(network, [fetches; 2], "{build:?}");
        assert_eq!(fetches, !build.contains(&"chainmail-compiler"), "{build:?}");
    }
}

#[test]
fn the_judge_shares_no_code_with_what_it_judges() {
    let judge = links("chainmail-verdict");
    assert!(judge.contains("chainmail-contract"));
    assert!(!judge.contains("chainmail-compiler"), "{judge:?}");
}

#[test]
fn the_contract_depends_on_no_program() {
    let contract = links("chainmail-contract");
    let ours: Vec<&String> = contract.iter().filter(|name| name.starts_with("chainmail-")).collect();
    assert_eq!(ours, ["chainmail-contract"]);
}
