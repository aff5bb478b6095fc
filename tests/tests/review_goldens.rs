//! What `diff` prints: from each state of the tutorial to the next, and of inputs that are large.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chainmail_lab::Origin;
use chainmail_tests::bench_input::{Size, write};
use support::chainmail;

/// What is printed of each step, and how its golden is called.
const FORMATS: [(&str, &[&str]); 5] = [
    ("txt", &[]),
    ("verbose.txt", &["--verbose"]),
    ("json", &["-o", "json"]),
    ("md", &["-o", "markdown"]),
    ("github.txt", &["-o", "github"]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reviews")
}

/// The tutorial's repository, and each of its states with the one before.
fn steps(scenario: &support::scenario::Scenario) -> (PathBuf, Vec<(String, String)>) {
    let repository = scenario.states.iter().find_map(|state| match &state.revision {
        Some(Origin::Revision { repo, .. }) => Some(repo.clone()),
        Some(Origin::Folder(_) | Origin::Live { .. }) | None => None,
    });
    let names = scenario.states.windows(2).map(|pair| (pair[0].name.clone(), pair[1].name.clone()));
    (repository.unwrap(), names.collect())
}

fn printed(folder: &Path, args: &[&str]) -> String {
    let output = chainmail(folder, &[&["diff"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn reviews_of_the_tutorial_are_as_reviewed() {
    let scenario = support::scenario::named("aks-tutorial");
    let (repository, steps) = steps(&scenario);
    let mut known = BTreeSet::new();
    support::goldens(&folder()).bind(|| {
        insta::allow_duplicates! {
            for (before, after) in &steps {
                for (name, args) in FORMATS {
                    let range = format!("{before}..{after}");
                    let text = printed(&repository, &[args, &[&range]].concat());
                    for line in text.lines().filter(|_| name == "txt") {
                        assert!(line.chars().count() <= 100, "{line}");
                    }
                    let golden = format!("{after}.{name}");
                    insta::assert_snapshot!(golden.clone(), text);
                    known.insert(golden + ".snap");
                }
            }
        }
    });
    assert_eq!(support::names(&folder()), known, "a golden is an orphan");
}

const CLUSTER: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.244.1.0/24}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1}
status: {podIP: 10.244.1.10}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, ingress: []}
";

#[test]
fn a_policy_of_638_networks_is_ten_lines() {
    let temp = tempfile::tempdir().unwrap();
    for (name, nets) in [("old", 0..0), ("new", 0..638)] {
        let nets: Vec<String> = nets
            .map(|net: u32| format!("{{ipBlock: {{cidr: 198.{}.{}.0/25}}}}", net / 256, net % 256))
            .collect();
        let rules = if nets.is_empty() { String::new() } else { format!("{{from: [{}]}}", nets.join(", ")) };
        let text = CLUSTER.replace("ingress: []", &format!("ingress: [{rules}]"));
        support::write(temp.path(), &format!("{name}/all.yaml"), &text);
    }
    let text = printed(temp.path(), &["old", "new"]);
    assert!(text.lines().count() <= 10, "{text}");
    assert!(text.contains("+637 more") || text.contains("+636 more"), "{text}");
}

/// What no list may make longer: 1,000 pods, each with its own labels and port, opened in turn to some of the others.
#[test]
fn the_text_of_a_large_change_is_short() {
    let temp = tempfile::tempdir().unwrap();
    let size = Size { nodes: 20, pods: 1_000, policies: 100, seed: 1 };
    for name in ["old", "new"] {
        std::fs::create_dir(temp.path().join(name)).unwrap();
        write(&temp.path().join(name), size).unwrap();
    }
    assert_eq!(printed(temp.path(), &["old", "new"]).lines().count(), 1);
    for entry in std::fs::read_dir(temp.path().join("new")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("port: 8080", "port: 8081").replace("port: http", "port: grpc"))
            .unwrap();
    }
    let text = printed(temp.path(), &["old", "new"]);
    assert!((10..40).contains(&text.lines().count()), "{text}");
    let quiet = printed(temp.path(), &["old", "new", "--quiet"]);
    assert!(text.ends_with(&quiet) && quiet.lines().count() <= 2, "{quiet}");
    let full = printed(temp.path(), &["old", "new", "--verbose"]);
    assert!(full.lines().count() > 100, "{full}");
}

#[test]
fn of_snapshots_only_rules_are_known() {
    let temp = tempfile::tempdir().unwrap();
    for (name, text) in
        [("old", CLUSTER.to_owned()), ("new", CLUSTER.replace("ingress: []", "ingress: [{}]"))]
    {
        support::write(temp.path(), &format!("{name}/all.yaml"), &text);
        let out = format!("{name}.out");
        assert!(chainmail(temp.path(), &["compile", name, "--out", &out]).status.success());
    }
    let text = printed(temp.path(), &["old.out", "new.out"]);
    assert!(text.contains("not known") && !text.contains("no change"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&printed(temp.path(), &["old.out", "new.out", "-o", "json"])).unwrap();
    assert_eq!(json["reachability"], serde_json::Value::Null);
    assert_eq!(json["complete"], false);
    assert!(printed(temp.path(), &["old.out", "old"]).starts_with("no change"), "the rules are the same");
}

const SHOP: &str = "apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.244.1.0/24}
---
apiVersion: v1
kind: Namespace
metadata:
  name: ops
  labels:
    team: ops
---
apiVersion: v1
kind: Pod
metadata:
  name: db
  namespace: shop
  labels:
    app: db
spec: {nodeName: n1}
status: {podIP: 10.244.1.10}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: prom, namespace: ops}
spec:
  selector: {matchLabels: {app: prom}}
  template:
    metadata:
      labels: {app: prom}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {team: trusted}}
    ports: [{port: 9187}]
";

/// A line is found for what decides, be it no line of a policy; a workload without pods is an end like a pod.
#[test]
fn causes_stand_at_the_lines_that_decide() {
    let temp = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| support::write(temp.path(), path, text);
    write("old/all.yaml", SHOP);
    let policy = SHOP.find("---\napiVersion: networking").unwrap();
    let rows: [(&str, String, (&str, &str, u64)); 5] = [
        ("a namespace's label", SHOP.replace("team: ops", "team: trusted"), ("label", "head", 11)),
        ("a rule's peer", SHOP.replace("team: trusted", "team: ops"), ("allow", "head", 38)),
        ("a pod's label", SHOP.replace("    app: db", "    app: x"), ("label", "head", 19)),
        ("no policy", SHOP[..policy].to_owned(), ("isolate", "base", 32)),
        (
            "a policy more",
            format!(
                "{SHOP}---\n{}",
                SHOP[policy + 4..].replace("team: trusted", "team: ops").replace("name: db,", "name: b,")
            ),
            ("allow", "head", 48),
        ),
    ];
    for (what, text, (role, side, line)) in rows {
        write("new/all.yaml", &text);
        let json = printed(temp.path(), &["old", "new", "-o", "json"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let flows = json["reachability"]["flows"].as_array().unwrap();
        let from_ops = flows
            .iter()
            .find(|flow| flow["from"]["ends"].to_string().contains("ops") || flow["from"]["kind"] == "any");
        let flow = from_ops.unwrap_or_else(|| panic!("{what}: {json:#}"));
        let cause = &flow["causes"][0];
        assert_eq!(flow["change"], "opened", "{what}: {flow:#}");
        assert_eq!(
            (cause["role"].as_str(), cause["side"].as_str(), cause["line"].as_u64()),
            (Some(role), Some(side), Some(line)),
            "{what}: {flow:#}"
        );
    }
}
