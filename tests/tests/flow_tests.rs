//! `chainmail test`: what it says of expectations that hold and that do not, and that each one of the tutorial's counts.
//! Goldens are in `tests/flows/`.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_yaml::{Mapping, Value};
use support::{stderr, stdout};
use tempfile::TempDir;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("flows")
}

fn example() -> PathBuf {
    support::root().join("policies/flow-tests/manifests")
}

/// Runs the example's policies against flow tests of their own.
fn tested(flows: &str) -> Output {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("own.flows.yaml"), flows).unwrap();
    let example = example();
    support::chainmail(temp.path(), &["test", example.to_str().unwrap(), "own.flows.yaml"])
}

fn case(text: &str) -> String {
    format!("apiVersion: chainmail/v1\nkind: FlowTest\nmetadata: {{name: own}}\nspec:\n- {{{text}}}\n")
}

#[test]
fn the_example_holds_among_its_manifests() {
    let output = support::chainmail(&example(), &["test"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stdout(&output), "8 expectations of 1 flow test: 8 hold, 0 fail\n");
    assert_eq!(stderr(&output), "");
}

#[test]
fn failures_are_explained_in_each_format() {
    let manifests = example();
    support::goldens(&folder()).bind(|| {
        for format in ["text", "json", "junit"] {
            let args = ["test", manifests.to_str().unwrap(), "broken.flows.yaml", "-o", format];
            let output = support::chainmail(&folder(), &args);
            assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
            assert_eq!(stderr(&output), "");
            insta::assert_snapshot!(format!("broken.{format}"), stdout(&output));
        }
    });
}

/// What `jenkins-junit.xsd` has: the elements, their order and attributes, and counts that agree with them.
#[test]
fn junit_is_as_its_schema_has_it() {
    let manifests = example();
    let args = ["test", manifests.to_str().unwrap(), "broken.flows.yaml", "-o", "junit"];
    let xml = stdout(&support::chainmail(&folder(), &args));
    let tags: Vec<&str> =
        xml.split('<').skip(1).map(|tag| tag.split(['>', ' ', '/']).next().unwrap()).collect();
    let count = |tag: &str| tags.iter().filter(|found| **found == tag).count();
    assert_eq!(
        (count("testsuites"), count("testsuite"), count("testcase"), count("failure")),
        (1, 2, 11, 9),
        "{xml}"
    );
    assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"chainmail test\" tests=\"11\" failures=\"9\">"));
    assert!(xml.contains(
        "<testsuite name=\"by-each-kind-of-end\" tests=\"10\" failures=\"9\" errors=\"0\" skipped=\"0\">"
    ));
    assert!(xml.contains("it is &lt;internal&gt; &amp; &quot;secret&quot;"), "text is text");
}

fn repository() -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    let maker = support::root().join("policies/aks-tutorial/make-repository");
    support::run(Command::new(maker).arg(temp.path().join("repository")));
    temp
}

/// The same flow test with one of its expectations turned around, once for each.
fn flips(text: &str) -> Vec<String> {
    let whole: Value = serde_yaml::from_str(text).unwrap();
    let mut flips = Vec::new();
    for (index, case) in whole["spec"].as_sequence().unwrap().iter().enumerate() {
        for (field, other) in [("allow", "deny"), ("deny", "allow")] {
            let words = match &case[field] {
                Value::Sequence(words) => words.clone(),
                Value::Null => continue,
                word => vec![word.clone()],
            };
            for word in words {
                let ends = [("from", case["from"].clone()), ("to", case["to"].clone()), (other, word)];
                let mut flipped = whole.clone();
                let entries = ends.into_iter().map(|(key, value)| (Value::from(key), value));
                flipped["spec"][index] = Value::Mapping(Mapping::from_iter(entries));
                flips.push(serde_yaml::to_string(&flipped).unwrap());
            }
        }
    }
    flips
}

#[test]
fn the_tutorials_flow_tests_hold_and_each_of_their_expectations_counts() {
    let temp = repository();
    let flows = support::root().join("policies/aks-tutorial/flows");
    let mut flipped = 0;
    for entry in std::fs::read_dir(flows).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let state = name.strip_suffix(".flows.yaml").unwrap();
        let test = |path: &Path| {
            let args = ["test", "--repo", "repository", "--rev", state, path.to_str().unwrap()];
            support::chainmail(temp.path(), &args)
        };
        let output = test(&path);
        assert_eq!(output.status.code(), Some(0), "{name}\n{}{}", stdout(&output), stderr(&output));
        for flip in flips(&std::fs::read_to_string(&path).unwrap()) {
            std::fs::write(temp.path().join("flip.flows.yaml"), &flip).unwrap();
            let output = test(Path::new("flip.flows.yaml"));
            assert_eq!(output.status.code(), Some(1), "{flip}\n{}{}", stdout(&output), stderr(&output));
            assert!(stdout(&output).contains("FAIL"), "{}", stdout(&output));
            flipped += 1;
        }
    }
    assert_eq!(flipped, 18, "one for each expectation of six states");
}

/// A case that could not fail is none.
#[test]
fn what_means_nothing_is_no_pass() {
    let rows = [
        ("from: shop/nobody, to: ops/dns, deny: all", "there is no pod shop/nobody"),
        ("from: shop/app=nobody, to: ops/dns, deny: all", "selects no pod that has an address"),
        ("from: nowhere/*, to: ops/dns, deny: all", "there is no namespace nowhere"),
        (
            "from: shop/sts/web, to: ops/dns, deny: all",
            "there is no workload shop/statefulset/web in the manifests; is it shop/deployment/web?",
        ),
        ("from: ops/dns, to: ops/dns, deny: all", "no packet goes from ops/dns to ops/dns"),
        ("from: 'fd00::1', to: ops/dns, deny: all", "no packet goes from fd00::1 to ops/dns"),
        ("from: [shop/*, 'fd00::1'], to: ops/dns, deny: all", "no packet goes from fd00::1 to ops/dns"),
        (
            "from: ops/dns, to: [shop/*, 'fd00::1', ops/dns], deny: all",
            "no packet goes from ops/dns to fd00::1\n  --> own.flows.yaml:5:32",
        ),
        (
            "from: ops/dns, to: [shop/*, ops/dns], deny: all",
            "no packet goes from ops/dns to ops/dns\n  --> own.flows.yaml:5:32",
        ),
        ("from: [], to: ops/dns, deny: all", "the case has no `from`"),
        ("from: ops/dns, deny: all", "the case has no `to`"),
        ("from: shop/*, to: ops/dns", "the case expects nothing"),
        ("from: shop/*, to: ops/dns, deny: []", "the case expects nothing"),
        ("from: shop/*, to: ops/dns, deny: 53", "must be a string or a list of strings"),
        ("from: shop/*, to: ops/dns, deny: '53'", "\"53\" names no services; write tcp/80"),
        ("from: shop/*, to: ops/dns, port: 53, deny: all", "unknown field `port` in spec[0]"),
        ("from: shop, to: ops/dns, deny: all", "\"shop\" is no end of traffic"),
    ];
    for (text, expected) in rows {
        let output = tested(&case(text));
        assert_eq!(output.status.code(), Some(3), "{text}\n{}", stdout(&output));
        assert!(stderr(&output).contains(expected), "{text}\n{}", stderr(&output));
        assert!(stderr(&output).contains("--> own.flows.yaml:5:"), "{text}\n{}", stderr(&output));
    }
    let none = tested("apiVersion: chainmail/v1\nkind: FlowTest\nmetadata: {name: own}\n");
    assert!(stderr(&none).contains("the flow test expects nothing"), "{}", stderr(&none));
    let other = tested("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\n");
    assert!(stderr(&other).contains("holds objects of chainmail/v1 only"), "{}", stderr(&other));
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("a.yaml"), "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")
        .unwrap();
    let empty = support::chainmail(temp.path(), &["test"]);
    assert_eq!(empty.status.code(), Some(3));
    assert!(stderr(&empty).contains("there is no FlowTest"), "{}", stderr(&empty));
}

/// A node that compiles must not stop for a flow test; whoever checks the repository is told.
#[test]
fn compile_passes_flow_tests_by_and_check_does_not() {
    let temp = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(example()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, temp.path().join(path.file_name().unwrap())).unwrap();
    }
    let compiled = |out: &str| {
        let output = support::chainmail(temp.path(), &["compile", ".", "--out", out]);
        assert!(output.status.success(), "{}", stderr(&output));
        let sums = format!("cd {out} && find . -type f | sort | xargs sha256sum");
        support::run(Command::new("sh").args(["-c", &sums]).current_dir(temp.path()))
    };
    let bare = compiled("out/before");
    std::fs::write(temp.path().join("wrong.flows.yaml"), case("form: a, to: b")).unwrap();
    std::fs::write(temp.path().join("typo.flows.yaml"), "apiVersion: chainmail/v1\nkind: FlowTests\n")
        .unwrap();
    assert_eq!(compiled("out/after"), bare);
    let check = support::chainmail(temp.path(), &["check"]);
    assert_eq!(check.status.code(), Some(3));
    for expected in ["unknown field `form`", "there is no kind \"FlowTests\" of chainmail/v1"] {
        assert!(stderr(&check).contains(expected), "{}", stderr(&check));
    }
}

#[test]
fn files_may_stand_alone_and_replace_those_of_the_manifests() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("own.flows.yaml"), case("from: shop/*, to: ops/dns, deny: tcp")).unwrap();
    let own = temp.path().join("own.flows.yaml");
    let output = support::chainmail(&example(), &["test", own.to_str().unwrap()]);
    assert_eq!(stdout(&output), "1 expectation of 1 flow test: 1 hold, 0 fail\n", "{}", stderr(&output));
}
