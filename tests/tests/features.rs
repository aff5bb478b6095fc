//! The documents claim only what a test shows: each name in a `yes` cell of `docs/features.md`, and in the table of
//! `docs/semantics.md`, is a test that exists and is not ignored.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The tests of a test program that run when nothing is asked for. All of the workspace is asked, as `make test` does:
/// other features would be built anew.
fn tests_of(program: &str) -> BTreeSet<String> {
    let list = |extra: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["test", "--quiet", "--offline", "--locked", "--workspace", "--test", program]);
        let text = support::run(cargo.args(["--", "--list"]).args(extra).current_dir(support::root()));
        text.lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .map(ToOwned::to_owned)
            .collect::<BTreeSet<_>>()
    };
    &list(&[]) - &list(&["--ignored"])
}

#[test]
fn every_claim_names_a_test_that_runs() {
    let text = std::fs::read_to_string(support::root().join("docs/features.md")).unwrap();
    let mut claims: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut problems = Vec::new();
    let mut rows = 0;
    for line in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| feature")) {
        let cell = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
        rows += 1;
        let word = cell.split([' ', ',', ':', '(']).next().unwrap_or_default();
        let names: Vec<&str> =
            cell.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
        match word {
            "yes" if names.is_empty() => problems.push(format!("claims without a test: {line}")),
            "no" if cell.len() < 6 => problems.push(format!("says no without a reason: {line}")),
            "yes" | "no" | "planned" => {}
            _ => problems.push(format!("is neither yes, planned nor no: {line}")),
        }
        for name in names {
            let (program, test) = name.split_once("::").unwrap();
            claims.entry(program.to_owned()).or_default().insert(test.to_owned());
        }
    }
    assert!(rows > 50, "the table was found: {rows} rows");
    for (program, names) in claims {
        let known = tests_of(&program);
        problems.extend(names.difference(&known).map(|name| format!("no test {program}::{name} runs")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The choices of `docs/semantics.md` name tests too.
#[test]
fn every_choice_names_a_test_that_runs() {
    let text = std::fs::read_to_string(support::root().join("docs/semantics.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ") && line.contains('?')).collect();
    assert!(rows.len() > 10, "the table was found");
    for row in rows {
        let name = row.trim_end_matches('|').rsplit('|').next().unwrap().trim().trim_matches('`');
        if name == "–" {
            assert!(row.contains("planned"), "no test and not planned: {row}");
            continue;
        }
        let (program, test) = name.split_once("::").unwrap_or_else(|| panic!("names no test: {row}"));
        assert!(tests_of(program).contains(test), "no test {name} runs");
    }
}
