//! Paths that mean something to whatever prints them, from a repository to each format: nothing of them has an effect, and
//! where programs read them they are what they were.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests make files and run programs, and may panic"
)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use support::{chainmail, git};
use tempfile::TempDir;

/// Names of files that a repository may hold: none has a control character.
const NAMES: [&str; 12] = [
    "a|b`c.yaml",
    "```.yaml",
    "<img src=x onerror=alert(1)>.yaml",
    "<!-- --><details>.yaml",
    "[x](javascript:alert(1)).yaml",
    "@everyone #1 \\| |.yaml",
    "::error file=x::pwned.yaml",
    "##[error]pwned.yaml",
    "%0A::add-mask::x.yaml",
    "\u{202e}lmay.evil.yaml",
    "\u{200b}hidden\u{e0041}.yaml",
    "&lt;b&gt;\"'.yaml",
];

/// Names that no file may have: they are told of and not read.
const REFUSED: [&str; 4] = [
    "line\nbreak.yaml",
    "\r::error::pwned.yaml",
    "\u{1b}[31mred.yaml",
    "\u{9b}31m\n::set-output name=a::b.yaml",
];

const CLUSTER: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.244.1.0/24}
---
apiVersion: chainmail/v1
kind: FlowTest
metadata: {name: none}
spec:
- {from: outside, to: '*', allow: all}
";

/// A pod of its own and a policy of its own; what is written 80N in its rules is a port of its own.
fn manifest(number: usize, rules: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: p{number}, namespace: shop, labels: {{app: a{number}}}}}
spec: {{nodeName: n1}}
status: {{podIP: 10.244.1.{}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: p{number}, namespace: shop}}
spec: {{podSelector: {{matchLabels: {{app: a{number}}}}}, policyTypes: [Ingress], ingress: {rules}}}
",
        number + 10
    )
    .replace("80N", &(8000 + number).to_string())
}

/// Two revisions, of branches whose names are odd too.
fn repository() -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    git(temp.path(), &["init", "--quiet"]);
    std::fs::write(temp.path().join("cluster.yaml"), CLUSTER.split("---").next().unwrap()).unwrap();
    std::fs::write(temp.path().join("all.flows.yaml"), CLUSTER.split("---").nth(1).unwrap()).unwrap();
    for (branch, rules) in [
        ("old|`<b>`", "[]"),
        ("new](x)\u{202e}", "[{from: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 80N}]}]"),
    ] {
        for (number, name) in NAMES.iter().enumerate() {
            std::fs::write(temp.path().join(name), manifest(number, rules)).unwrap();
        }
        git(temp.path(), &["add", "."]);
        git(temp.path(), &["commit", "--quiet", "-m", "x"]);
        git(temp.path(), &["branch", branch]);
    }
    temp
}

fn printed(folder: &Path, args: &[&str]) -> String {
    let output = chainmail(folder, args);
    let warned = String::from_utf8(output.stderr).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{args:?}: {warned}");
    for text in [&text, &warned] {
        inert(text, args);
    }
    text
}

/// Nothing moves a cursor, reorders text or hides it.
fn inert(text: &str, what: &[&str]) {
    let bad = |c: char| {
        c != '\n' && c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0041}')
    };
    assert!(!text.contains(bad), "{what:?}: {text:?}");
}

const RANGE: &str = "old|`<b>`..new](x)\u{202e}";

/// Markdown in which all that others wrote stands in code: no tag, link or mention is left outside of it.
fn markdown_is_ours(text: &str) {
    let mut in_block = false;
    for line in text.lines() {
        in_block ^= line.starts_with("```");
        if in_block || line.starts_with("```") {
            continue;
        }
        assert!(line.matches('`').count().is_multiple_of(2), "{line}");
        let mut ours: String = line.split('`').step_by(2).collect();
        while let Some((before, link)) = ours.split_once("[](https://example.org/o/r/blob/") {
            let (link, after) = link.split_once(')').unwrap();
            assert!(link.chars().all(|c| c.is_ascii_alphanumeric() || "%-._~/#".contains(c)), "{line}");
            ours = format!("{before}{after}");
        }
        for tag in [
            "<!-- chainmail review -->",
            "<details>",
            "</details>",
            "<summary>",
            "</summary>",
            "<sub>",
            "</sub>",
        ] {
            ours = ours.replace(tag, "");
        }
        assert!(!ours.contains(['<', '@', '[', '#']) || line.starts_with("### "), "{line}");
        assert!(!line.starts_with("| ") || line.matches('|').count() == 6, "{line}");
    }
    assert!(!in_block);
}

fn github_is_ours(text: &str) {
    assert!(!text.contains("##["), "{text}");
    for line in text.lines().filter(|line| line.trim_start().starts_with("::")) {
        let ours = ["error", "warning", "notice"];
        let (head, _) = line[2..].split_once("::").unwrap();
        let (level, properties) = head.split_once(' ').unwrap();
        assert!(line.starts_with("::") && ours.contains(&level), "{line}");
        for property in properties.split(',') {
            let key = property.split('=').next().unwrap();
            assert!(["file", "line", "col", "title"].contains(&key), "{line}");
        }
    }
}

/// Every text of a JSON value at a key.
fn texts<'v>(value: &'v Value, key: &str, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                found.extend(value.as_str().filter(|_| name == key));
                texts(value, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_review_shows_paths_and_does_nothing_of_what_they_say() {
    let temp = repository();
    let folder = temp.path();
    let text = printed(folder, &["diff", RANGE, "-v"]);
    assert!(text.contains("\\u{202e}lmay.evil.yaml:"), "{text}");
    let linked = ["diff", RANGE, "-o", "markdown", "--link-base", "https://example.org/o/r/"];
    for args in [&linked[..4], &linked] {
        let text = printed(folder, args);
        markdown_is_ours(&text);
        assert_eq!(text.contains("`](https://example.org/o/r/blob/"), args.len() > 4, "{text}");
        assert!(args.len() == 4 || text.contains("/%23%23%5Berror%5Dpwned.yaml#L"), "{text}");
    }
    github_is_ours(&printed(folder, &["diff", RANGE, "-o", "github"]));
    let json: Value = serde_json::from_str(&printed(folder, &["diff", RANGE, "-o", "json"])).unwrap();
    let mut files = BTreeSet::new();
    texts(&json, "file", &mut files);
    assert_eq!(files, NAMES.into_iter().collect(), "each is a cause, and is what it was");
}

#[test]
fn findings_and_answers_show_paths_and_do_nothing_of_what_they_say() {
    let temp = repository();
    let folder = temp.path();
    // Each policy but one is a finding, at its file.
    for (number, name) in NAMES.iter().enumerate() {
        std::fs::write(folder.join(name), manifest(number, "[{}]")).unwrap();
    }
    let text = printed(folder, &["lint"]);
    assert!(text.contains("  --> \\u{202e}lmay.evil.yaml:"), "{text}");
    github_is_ours(&printed(folder, &["lint", "-o", "github"]));
    let lines = printed(folder, &["lint", "-o", "json"]);
    let findings: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut files = BTreeSet::new();
    findings.iter().for_each(|finding| texts(finding, "file", &mut files));
    assert!(files.is_superset(&NAMES.into_iter().collect()), "{files:?}");
    let sarif: Value = serde_json::from_str(&printed(folder, &["lint", "-o", "sarif"])).unwrap();
    let mut uris = BTreeSet::new();
    texts(&sarif, "uri", &mut uris);
    assert!(uris.contains("%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.yaml"), "{uris:?}");
    assert!(uris.iter().all(|uri| !uri.contains(['<', ':', ' ', '"'])), "{uris:?}");
    for number in 0..NAMES.len() {
        let pod = format!("shop/p{number}");
        for args in [
            &["explain", "192.0.2.1", &pod, "80"][..],
            &["explain", "192.0.2.1", &pod, "80", "-o", "json"],
            &["describe", &pod],
            &["describe", &pod, "-o", "json"],
        ] {
            assert!(printed(folder, args).contains(".yaml:"), "{args:?}");
        }
    }
    for (number, name) in NAMES.iter().enumerate() {
        std::fs::write(folder.join(name), manifest(number, "[]")).unwrap();
    }
    for format in ["text", "json", "junit"] {
        let text = printed(folder, &["test", "-o", format]);
        assert!(text.contains("p0") && !text.contains("<img"), "{text}");
    }
}

#[test]
fn paths_with_control_characters_are_told_of_and_not_read() {
    let temp = repository();
    for name in REFUSED {
        std::fs::write(temp.path().join(name), manifest(99, "[]")).unwrap();
    }
    for format in ["text", "github", "json", "sarif"] {
        let output = chainmail(temp.path(), &["check", "-o", format]);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.matches("bad-path").count() >= REFUSED.len(), "{text}");
        inert(&text, &[format]);
        if format == "github" {
            github_is_ours(&text);
        }
    }
}
