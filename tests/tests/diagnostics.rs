//! Every code has a bad file in `tests/diagnostics/`, and a golden of the whole message beside it; and a row in
//! `docs/diagnostics.md`. A file is named after its code, with `--` and a word where there are several:
//!
//! - `CODE.yaml` and `CODE.json` are manifests;
//! - `CODE.toml` is a `chainmail.toml` beside [`REVIEWED`];
//! - `CODE.made` says what to make in a folder, a line each: `file PATH COUNT TEXT` (the text so many times),
//!   `link PATH TARGET`, `pipe PATH`, `submodule PATH`;
//! - `CODE.flows.yaml` is a flow test beside [`REVIEWED`];
//! - `CODE.inventory.yaml` and `CODE.inventory.json` are live objects beside [`REVIEWED`], and `CODE.inventory.gone` is
//!   an inventory that is no longer there.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests read files and may panic")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chainmail_findings::{Code, Findings, Style, render};
use chainmail_manifest::FLOW_FILE;
use chainmail_manifest::source::{self, Inventory, SourceFile, Sources};
use chainmail_pipeline::load;
use chainmail_review::flows;

/// What a configuration or inventory stands beside.
const REVIEWED: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop}
status: {podIP: 10.0.0.9}
---
apiVersion: v1
kind: Pod
metadata: {name: cache, namespace: shop}
status: {podIP: 10.0.0.11}
";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("diagnostics")
}

fn inputs() -> BTreeSet<String> {
    support::names(&folder()).into_iter().filter(|name| !name.ends_with(".snap")).collect()
}

/// The code that a file is named after.
fn code(name: &str) -> &str {
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    stem.split_once("--").map_or(stem, |(code, _)| code)
}

fn findings(name: &str) -> Findings {
    let bytes = std::fs::read(folder().join(name)).unwrap();
    let reviewed = || {
        Sources::new(vec![SourceFile {
            path: "reviewed.yaml".to_owned(),
            bytes: REVIEWED.as_bytes().to_vec(),
        }])
    };
    let file = SourceFile { path: name.to_owned(), bytes: bytes.clone() };
    if name.ends_with(FLOW_FILE) {
        let cluster = load(&reviewed()).cluster;
        let sources = Sources::new(vec![file]);
        let own = load(&sources);
        let (cases, mut findings) = flows::cases(&own.flow_tests, &sources);
        let (asked, of_ends) = flows::ask(&cases, &cluster, 1000);
        findings.extend(own.flow_findings);
        findings.extend(of_ends);
        findings.extend(flows::contradictions(&asked));
        return findings;
    }
    let sources = if name.ends_with(".made") {
        made(std::str::from_utf8(&bytes).unwrap())
    } else if name.ends_with(".inventory.gone") {
        reviewed().with_inventories([Inventory::from_file(name, "/nonexistent/inventory".into())])
    } else if name.contains(".inventory.") {
        reviewed().with_inventories([Inventory::from_bytes(name, bytes)])
    } else if name.ends_with(".toml") {
        reviewed().with_config(file)
    } else {
        Sources::new(vec![file])
    };
    load(&sources).findings
}

/// Reads a folder, or for a submodule a commit, that was made as the text says.
fn made(text: &str) -> Sources {
    let temp = tempfile::tempdir().unwrap();
    let unescaped = |text: &str| text.replace("\\n", "\n").replace("\\u{1b}", "\u{1b}");
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let path = temp.path().join(unescaped(words[1]));
        match words[..] {
            ["file", _, count, text] => {
                std::fs::write(path, unescaped(text).repeat(count.parse().unwrap())).unwrap();
            }
            ["link", _, target] => std::os::unix::fs::symlink(target, path).unwrap(),
            ["pipe", _] => {
                let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
                assert!(made.success());
            }
            ["submodule", path] => return with_submodule(temp.path(), path),
            _ => panic!("{line}"),
        }
    }
    source::from_folder(temp.path()).unwrap()
}

/// Reads a commit with a submodule of some commit at a path.
fn with_submodule(folder: &Path, path: &str) -> Sources {
    let repository = git2::Repository::init_bare(folder).unwrap();
    let mut tree = repository.treebuilder(None).unwrap();
    tree.insert(path, git2::Oid::hash_object(git2::ObjectType::Blob, b"").unwrap(), 0o160_000).unwrap();
    let tree = repository.find_tree(tree.write().unwrap()).unwrap();
    let who = git2::Signature::new("a", "a@b", &git2::Time::new(0, 0)).unwrap();
    repository.commit(Some("HEAD"), &who, &who, "", &tree, &[]).unwrap();
    source::from_revision(folder, "HEAD").unwrap()
}

/// The first and last lines of a text that has very many.
fn folded(text: String) -> String {
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() < 100 {
        return text;
    }
    let (first, last) = (&lines[..10], &lines[lines.len() - 10..]);
    format!("{}\n\n({} lines more)\n\n{}\n", first.join("\n"), lines.len() - 20, last.join("\n"))
}

#[test]
fn every_bad_file_is_explained() {
    support::goldens(&folder()).bind(|| {
        insta::allow_duplicates! {
            for name in inputs() {
                let findings = findings(&name);
                let wanted = code(&name);
                let found = findings.sorted().iter().any(|diagnostic| diagnostic.code.as_str() == wanted);
                let text = render(&findings, Style::Plain);
                assert!(found, "{name} does not lead to [{wanted}] but to\n{text}");
                insta::assert_snapshot!(name.as_str(), folded(text));
            }
        }
    });
}

#[test]
fn every_code_has_a_file_and_no_file_or_golden_is_an_orphan() {
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let inputs = inputs();
    let covered: BTreeSet<&str> = inputs.iter().map(|name| code(name)).collect();
    assert_eq!(covered, codes, "the codes of the files and the codes of the program");
    let goldens: BTreeSet<String> = support::names(&folder())
        .iter()
        .filter_map(|name| name.strip_suffix(".snap").map(ToOwned::to_owned))
        .collect();
    assert_eq!(goldens, inputs, "the goldens and the files they are of");
}

#[test]
fn the_book_has_a_row_for_every_code() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/diagnostics.md");
    let book = std::fs::read_to_string(book).unwrap();
    let rows: Vec<(&str, &str)> = book
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
            (cells.next().unwrap().trim_matches('`'), cells.next().unwrap())
        })
        .collect();
    let table: Vec<(&str, String)> =
        Code::ALL.iter().map(|code| (code.as_str(), code.severity().to_string())).collect();
    let rows: Vec<(&str, String)> = rows.into_iter().map(|(code, level)| (code, level.to_owned())).collect();
    assert_eq!(rows, table, "docs/diagnostics.md and the table of codes, in the same order");
}
