//! What fuzzing found, and what it began with, again: no panic, no hang, and no walk that ends elsewhere.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, and may panic"
)]

mod support;

use chainmail_tests::{fuzzed, hostile};

/// Runs a target on every file of its corpus, and on those that once made it fail.
fn replay(target: &str, run: fn(&[u8])) {
    let mut count = 0;
    for folder in ["corpus", "crashes"] {
        let folder = support::root().join("tests/fuzz").join(folder).join(target);
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            println!("{}", path.display());
            run(&std::fs::read(&path).unwrap());
            count += 1;
        }
    }
    assert!(count > 10, "{count} files of {target} are too few");
}

#[test]
fn kernel_text_is_read_without_panic() {
    replay("text", fuzzed::text);
}

#[test]
fn all_packets_at_once_end_as_each_does() {
    replay("walk", fuzzed::walk);
}

#[test]
fn manifests_are_read_without_panic() {
    replay("manifests", hostile::manifests);
}

#[test]
fn configurations_are_read_without_panic() {
    replay("config", hostile::config);
}

#[test]
fn git_trees_are_read_without_panic() {
    replay("tree", hostile::tree);
}

#[test]
fn keys_that_sign_are_read_without_panic() {
    replay("signers", hostile::signers);
}

#[test]
fn what_stands_on_a_node_is_read_without_panic() {
    replay("node", hostile::node);
}
