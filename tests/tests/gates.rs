//! When a review fails, and with which number.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests make files and run programs, and may panic"
)]

mod support;

use std::path::Path;
use std::process::Output;

use support::chainmail;
use tempfile::TempDir;

const CLUSTER: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.244.1.0/24}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 80}]}]}
status: {podIP: 10.244.1.10}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 80}]}]}
status: {podIP: 10.244.1.11}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: RULES}
";

/// What each side's policy may allow.
const NOBODY: &str = "[]";
const DB: &str = "[{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 80}]}]";
const WORLD: &str = "[{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 80}]}]";
const NO_SUCH_PORT: &str = "[{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 81}]}]";

fn sides(old: &str, new: &str) -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    for (name, rules) in [("old", old), ("new", new)] {
        std::fs::create_dir(temp.path().join(name)).unwrap();
        std::fs::write(temp.path().join(name).join("all.yaml"), CLUSTER.replace("RULES", rules)).unwrap();
    }
    temp
}

fn diff(folder: &Path, args: &[&str]) -> Output {
    chainmail(folder, &[&["diff", "old", "new", "--quiet"], args].concat())
}

#[test]
fn each_gate_refuses_what_it_is_for() {
    let rows: &[(&str, &str, &[&str], &[&str])] = &[
        (NOBODY, NOBODY, &[], &["world", "opened", "closed", "any", "lint:note"]),
        (NOBODY, DB, &["opened", "any"], &["world", "closed", "lint:error"]),
        (DB, NOBODY, &["closed", "any"], &["world", "opened"]),
        (NOBODY, WORLD, &["world", "opened", "any", "lint:warning"], &["closed", "lint:error"]),
        (WORLD, NOBODY, &["closed", "any"], &["world", "opened", "lint:warning"]),
        (DB, NO_SUCH_PORT, &["opened", "closed", "lint:note"], &["world", "lint:warning"]),
    ];
    for (old, new, refusing, passing) in rows {
        let temp = sides(old, new);
        for (gates, code) in [(refusing, 1), (passing, 0)] {
            for gate in *gates {
                let output = diff(temp.path(), &["--fail-on", gate]);
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(code), "{gate} of {old} to {new}: {said}");
                assert_eq!(said.contains(&format!("failed: {gate}")), code == 1, "{gate}: {said}");
            }
        }
        let differs = i32::from(old != new);
        assert_eq!(diff(temp.path(), &[]).status.code(), Some(0));
        assert_eq!(diff(temp.path(), &["--exit-code"]).status.code(), Some(differs));
        assert_eq!(diff(temp.path(), &["--exit-code=42"]).status.code(), Some(42 * differs));
    }
    let temp = sides(NOBODY, WORLD);
    let coded = diff(temp.path(), &["--exit-code=42", "--fail-on", "closed"]);
    assert_eq!(coded.status.code(), Some(0), "the gates say when, the number how");
    for wrong in ["--exit-code=3", "--exit-code=126", "--fail-on=worlds", "--today=tomorrow"] {
        assert_eq!(diff(temp.path(), &[wrong]).status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn a_waiver_lets_one_row_pass_until_its_day() {
    let temp = sides(NOBODY, WORLD);
    let json = chainmail(temp.path(), &["diff", "old", "new", "-o", "json"]).stdout;
    let review: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let ids: Vec<&str> = review["reachability"]["flows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|flow| flow["id"].as_str().unwrap())
        .collect();
    assert!(!ids.is_empty());
    let waivers: String = ids
        .iter()
        .map(|id| {
            let words = "owner = \"ann\"\nreason = \"launch\"\nexpires = 2026-12-31";
            format!("[[waiver]]\nid = \"{id}\"\n{words}\n")
        })
        .collect();
    std::fs::write(temp.path().join("new/chainmail.toml"), waivers).unwrap();
    for (today, code, says) in [("2026-12-31", 0, "waived:"), ("2027-01-01", 1, "ended on 2026-12-31")] {
        let output = diff(temp.path(), &["--fail-on", "world", "--today", today]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{today}: {said}");
        assert!(said.contains(says) && said.contains("ann"), "{today}: {said}");
    }
}
