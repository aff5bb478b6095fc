//! What is fuzzed of the way in: manifests, configurations and Git trees of whoever may push, and what a node is told.
//!
//! `tests/fuzz` links this file with libFuzzer; `tests/tests/fuzzed.rs` runs it on what that found.

#![allow(dead_code, unreachable_pub, reason = "each fuzz target uses its own part")]

use chainmail_fetch::trust::{Revoked, Signers};
use chainmail_findings::{Style, render};
use chainmail_manifest::source::{CONFIG_PATH, Inventory, Limits, SourceFile, Sources, from_tree};
use chainmail_pipeline::{Compiler, Loaded, load};
use chainmail_reconciler::flows::Flow;
use chainmail_report::findings::json;

/// Reads the bytes as a file of YAML, as one of JSON and as an inventory.
///
/// # Panics
/// When a reader does, or a finding would reach a terminal as something else than text.
pub fn manifests(bytes: &[u8]) {
    let file = |path: &str| SourceFile { path: path.to_owned(), bytes: bytes.to_vec() };
    for path in ["a.yaml", "a.json"] {
        whole(&Sources::new(vec![file(path)]));
        whole(&Sources::default().with_inventories([Inventory::from_bytes(path, bytes.to_vec())]));
    }
}

/// Reads the bytes as a `chainmail.toml`.
///
/// # Panics
/// As [`manifests`].
pub fn config(bytes: &[u8]) {
    let manifest = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n";
    let file = SourceFile { path: "a.yaml".to_owned(), bytes: manifest.as_bytes().to_vec() };
    let config = SourceFile { path: CONFIG_PATH.to_owned(), bytes: bytes.to_vec() };
    whole(&Sources::new(vec![file]).with_config(config));
}

/// Takes the bytes for Git trees, one within the next, and reads them as a revision.
///
/// # Panics
/// As [`manifests`].
pub fn tree(bytes: &[u8]) {
    let objects = git2::Odb::new().expect("an object database in memory");
    objects.add_new_mempack_backend(1).expect("it takes a backend");
    let repository = git2::Repository::from_odb(objects).expect("a repository in memory");
    let objects = repository.odb().expect("it has its database");
    let write = |kind, bytes: &[u8]| objects.write(kind, bytes).expect("memory takes every object");
    let blob = write(git2::ObjectType::Blob, b"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n");
    let mut inner = blob;
    for part in bytes.split(|byte| *byte == b'\n').take(4) {
        let mut entries = Vec::new();
        for entry in part.split(|byte| *byte == b'|') {
            let Some((mode, name)) = entry.split_first() else { continue };
            let modes = ["100644", "40000", "120000", "160000", "100755", "100664", "0", "999999"];
            entries.extend_from_slice(modes[usize::from(*mode) % modes.len()].as_bytes());
            entries.push(b' ');
            entries.extend(name.iter().copied().filter(|byte| *byte != 0));
            entries.push(0);
            entries.extend_from_slice(if *mode % 2 == 1 { inner.as_bytes() } else { blob.as_bytes() });
        }
        inner = write(git2::ObjectType::Tree, &entries);
    }
    let Ok(tree) = repository.find_tree(inner) else { return };
    if let Ok(sources) = from_tree(&repository, &tree, None, Limits::default()) {
        whole(&sources);
    }
}

/// Goes the whole way: what is valid is compiled, what is said can be printed, and reading it again says the same.
fn whole(sources: &Sources) {
    let Loaded { cluster, findings, .. } = load(sources);
    let text = render(&findings, Style::Plain);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    drop(json(&findings));
    assert_eq!(render(&load(sources).findings, Style::Plain), text);
    if !findings.has_errors() {
        let mut compiler = Compiler::new(&cluster, sources);
        for node in compiler.nodes().collect::<Vec<_>>() {
            drop(compiler.snapshot(node));
        }
    }
}

/// Reads the bytes as those who may sign and as keys that are revoked. What is no such line is never passed by: it may be
/// the one that takes trust away.
///
/// # Panics
/// When a reader does, or passes a line by.
pub fn signers(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let more = format!("{text}\nnobody");
    if Signers::parse(text).is_ok() {
        assert!(Signers::parse(&more).is_err(), "{more:?}");
    }
    if Revoked::parse(text).is_ok() {
        assert!(Revoked::parse(&more).is_err(), "{more:?}");
    }
}

/// Reads the bytes as what stands on a node: both configurations, keys of hosts, and flows as conntrack(8) prints them.
///
/// # Panics
/// When a reader does.
pub fn node(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    drop(chainmail_fetch::config::Config::parse("fetch.toml", text));
    drop(chainmail_reconciler::config::Config::parse("node.toml", text));
    drop(chainmail_fetch::hosts::check(text, "git.example.com", text.as_bytes()));
    drop(text.lines().filter_map(Flow::parse).collect::<Vec<_>>());
}
