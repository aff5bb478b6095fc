//! Every lint has a file in `tests/lints/` that it finds something in, beside [`REVIEWED`], and a golden of all that is
//! said; and a row in `docs/lints.md`. A file is named after its code, with `--` and a word where there are several; a
//! `.toml` of its name is the configuration.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests read files and may panic")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chainmail_findings::{Code, Style, render};
use chainmail_manifest::source::{SourceFile, Sources};
use chainmail_pipeline::{lint_all, load};
use chainmail_review::lint::Linted;

/// Two namespaces in good order.
const REVIEWED: &str = "\
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.244.1.0/24}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db, tier: data}}
spec: {nodeName: n1, containers: [{ports: [{name: sql, containerPort: 5432}]}]}
status: {podIP: 10.244.1.5}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web, tier: edge}}
spec: {nodeName: n1, containers: [{ports: [{name: http, containerPort: 8080}]}]}
status: {podIP: 10.244.1.6}
---
apiVersion: v1
kind: Pod
metadata: {name: exporter, namespace: shop, labels: {app: exporter}}
spec: {nodeName: n1, hostNetwork: true}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: v1
kind: Namespace
metadata: {name: ops, labels: {team: ops}}
---
apiVersion: v1
kind: Pod
metadata: {name: prom, namespace: ops, labels: {app: prom}}
spec: {nodeName: n1, containers: [{ports: [{name: metrics, containerPort: 9090}]}]}
status: {podIP: 10.244.1.7}
---
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: ops, labels: {app: dns}}
spec: {nodeName: n1, containers: [{ports: [{name: dns, containerPort: 53, protocol: UDP}]}]}
status: {podIP: 10.244.1.8}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: ops}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
";

/// The day on which waivers are judged.
const TODAY: &str = "2026-12-31";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lints")
}

fn names(ending: &str) -> BTreeSet<String> {
    let names = support::names(&folder());
    names.iter().filter_map(|name| name.strip_suffix(ending).map(ToOwned::to_owned)).collect()
}

fn code(name: &str) -> &str {
    name.split_once("--").map_or(name, |(code, _)| code)
}

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
}

/// What the lints say of files beside each other.
fn linted(sources: &Sources) -> Linted {
    let loaded = load(sources);
    let text = render(&loaded.findings, Style::Plain);
    assert!(!loaded.findings.has_errors(), "{text}");
    lint_all(&loaded, sources, TODAY.parse().unwrap())
}

fn reviewed_and(text: &str) -> Linted {
    linted(&Sources::new(vec![file("reviewed.yaml", REVIEWED), file("policy.yaml", text)]))
}

fn codes(linted: &Linted) -> BTreeSet<&'static str> {
    linted.findings.sorted().iter().map(|finding| finding.code.as_str()).collect()
}

#[test]
fn good_order_is_not_found_fault_with() {
    assert_eq!(render(&reviewed_and("").findings, Style::Plain), "");
}

#[test]
fn every_lint_is_explained() {
    support::goldens(&folder()).bind(|| {
        insta::allow_duplicates! {
            for name in names(".yaml") {
                let read = |ending| std::fs::read_to_string(folder().join(format!("{name}{ending}")));
                let files = vec![
                    file("reviewed.yaml", REVIEWED),
                    file(&format!("{name}.yaml"), &read(".yaml").unwrap()),
                ];
                let sources = Sources::new(files);
                let sources = match read(".toml") {
                    Ok(text) => sources.with_config(file("chainmail.toml", &text)),
                    Err(_none) => sources,
                };
                let linted = linted(&sources);
                let text = render(&linted.findings, Style::Plain);
                assert!(codes(&linted).contains(code(&name)), "{name} does not lead to its code but to\n{text}");
                insta::assert_snapshot!(name.as_str(), text);
            }
        }
    });
}

#[test]
fn every_lint_has_a_file_and_a_row_and_no_golden_is_an_orphan() {
    let lints: BTreeSet<&str> = Code::LINTS.iter().map(|code| code.as_str()).collect();
    let files = names(".yaml");
    assert_eq!(files.iter().map(|name| code(name)).collect::<BTreeSet<_>>(), lints);
    assert_eq!(names(".snap"), files, "the goldens and the files they are of");
    assert!(names(".toml").is_subset(&files));
    let book = std::fs::read_to_string(support::root().join("docs/lints.md")).unwrap();
    let rows: Vec<(String, String)> = book
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 3)
        .map(|line| {
            let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
            (cells.next().unwrap().trim_matches('`').to_owned(), cells.next().unwrap().to_owned())
        })
        .collect();
    let table: Vec<(String, String)> =
        Code::LINTS.iter().map(|code| (code.as_str().to_owned(), code.severity().to_string())).collect();
    assert_eq!(rows, table, "docs/lints.md and the table of lints, in the same order");
}

/// Where the manifests hold no pods nothing is said of selectors; how many were passed over is.
#[test]
fn what_cannot_be_known_is_counted() {
    let policies = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: far}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: far}
spec:
  podSelector: {matchLabels: {app: wbe}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {ap: x}}}], ports: [{port: nobody}]}]
  egress:
  - to: [{namespaceSelector: {matchLabels: {name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
    ports: [{port: 53, protocol: UDP}, {port: 53}]
";
    let linted = linted(&Sources::new(vec![file("policy.yaml", policies)]));
    assert_eq!(render(&linted.findings, Style::Plain), "");
    assert_eq!(linted.unjudged.count, 4, "two subjects and two peers: {:?}", linted.unjudged);
    let namespaces: Vec<&str> = linted.unjudged.namespaces.iter().map(|name| name.as_str()).collect();
    assert_eq!(namespaces, ["far"]);
}

/// Most repositories hold templates and no pods.
#[test]
fn templates_count_as_pods() {
    let manifests = |app: &str, port: &str| {
        format!(
            "\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: far}}
spec:
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{ports: [{{name: http, containerPort: 8080}}]}}]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: deny, namespace: far}}
spec: {{podSelector: {{}}, policyTypes: [Ingress, Egress]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: web, namespace: far}}
spec:
  podSelector: {{matchLabels: {{app: {app}}}}}
  ingress:
  - from: [{{podSelector: {{}}}}, {{ipBlock: {{cidr: 10.0.0.0/8}}}}]
    ports: [{{port: {port}}}]
"
        )
    };
    for (app, port, expected) in [
        ("web", "http", None),
        ("web", "8080", None),
        ("wbe", "http", Some("selects-nothing")),
        ("web", "htp", Some("unknown-port-name")),
        ("web", "80", Some("undeclared-port")),
    ] {
        let linted = linted(&Sources::new(vec![file("all.yaml", &manifests(app, port))]));
        let expected: BTreeSet<&str> = expected.into_iter().collect();
        let text = render(&linted.findings, Style::Plain);
        assert_eq!(codes(&linted), expected, "app {app}, port {port}:\n{text}");
        assert_eq!(linted.unjudged.count, 0);
    }
}

/// The documentation's own policies, and recipes that many have copied: what else than open doors is found in them.
#[test]
fn common_policies_raise_no_false_alarm() {
    let doors = ["no-default-deny", "no-egress-default-deny", "world-open"];
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for folder in ["k8s-docs", "recipes"] {
        for state in support::scenario::named(folder).states {
            let linted = linted(&state.sources);
            let rest: Vec<&str> = codes(&linted).into_iter().filter(|code| !doors.contains(code)).collect();
            if !rest.is_empty() {
                found.insert(format!("{folder} {}", state.name), rest);
            }
        }
    }
    // Of this recipe's three peers one has no pod.
    let expected = [("recipes 10-multiple-selectors".to_owned(), vec!["peer-matches-nothing"])];
    assert_eq!(found, BTreeMap::from(expected));
}
