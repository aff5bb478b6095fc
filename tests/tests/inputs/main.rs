//! One set of objects, put in every way that people have them, compiles to one set of snapshots; and what is no such set
//! is refused.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod check;
mod cutting;
mod inventory;
#[path = "../support/mod.rs"]
mod support;
mod ways;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use chainmail_contract::Family;
use chainmail_findings::Code;
use chainmail_manifest::source::{Inventory, SourceFile, Sources};
use chainmail_model::{Contested, Direction, Doubt};
use chainmail_pipeline::{Compiler, Loaded, load};
use chainmail_prove::Meaning;
use tempfile::TempDir;

use support::{git, program, stderr, write};

/// The reviewed half of a cluster.
const POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: db
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: web
          namespaceSelector:
            matchLabels:
              tier: front
      ports:
        - port: 5432
";

/// The live half, one object each.
const LIVE: [&str; 5] = [
    "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: front\n  labels:\n    tier: front\n",
    "apiVersion: v1\nkind: Node\nmetadata:\n  name: n1\nspec:\n  podCIDR: 10.1.0.0/24\n",
    "apiVersion: v1\nkind: Node\nmetadata:\n  name: n2\nspec:\n  podCIDR: 10.2.0.0/24\n",
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: db\n  namespace: shop\n  labels:\n    app: db\nspec:\n  nodeName: n1\nstatus:\n  podIP: 10.1.0.5\n",
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  namespace: front\n  labels:\n    app: web\nspec:\n  nodeName: n2\nstatus:\n  podIP: 10.2.0.6\n",
];

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    folder
}

fn json(document: &str) -> String {
    let value: serde_json::Value = serde_yaml::from_str(document).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

fn json_list(documents: &[&str]) -> String {
    let items: Vec<String> = documents.iter().map(|document| json(document)).collect();
    format!(
        "{{\"apiVersion\": \"v1\", \"items\": [{}], \"kind\": \"List\", \"metadata\": {{}}}}\n",
        items.join(",\n")
    )
}

/// A List as kubectl prints it.
fn yaml_list(documents: &[&str]) -> String {
    let items: String = documents
        .iter()
        .map(|document| format!("- {}\n", document.trim_end().replace('\n', "\n  ")))
        .collect();
    format!("apiVersion: v1\nitems:\n{items}kind: List\nmetadata:\n  resourceVersion: \"\"\n")
}

fn chainmail(args: &[&str], stdin: Option<&str>) -> Output {
    let mut child = Command::new(program("chainmail"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(stdin.unwrap_or_default().as_bytes()).unwrap();
    drop(pipe);
    child.wait_with_output().unwrap()
}

fn sources(reviewed: &str, inventory: &str) -> Sources {
    let file = SourceFile { path: "reviewed.yaml".to_owned(), bytes: reviewed.as_bytes().to_vec() };
    let inventory = Inventory::from_bytes("live.yaml", inventory.as_bytes().to_vec());
    Sources::new(vec![file]).with_inventories([inventory])
}

fn loaded(reviewed: &str, inventory: &str) -> Loaded {
    load(&sources(reviewed, inventory))
}

/// The findings as `severity code line`.
fn codes(loaded: &Loaded) -> Vec<String> {
    let line = |d: &&chainmail_findings::Diagnostic| {
        let place = d.place.as_ref().map_or(String::new(), |place| format!(" {}:{}", place.file, place.line));
        format!("{} {}{place}", d.severity, d.code)
    };
    let all = loaded.findings.sorted();
    all.iter().filter(|d| d.code != Code::UnknownPodsPass).map(line).collect()
}

fn pod(name: &str, address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: shop\nstatus:\n  podIP: {address}\n"
    )
}

/// The pods that are endpoints, with their addresses.
fn endpoints(loaded: &Loaded) -> Vec<String> {
    let pods = loaded.cluster.pods().filter(|(_, pod)| pod.is_endpoint());
    pods.map(|(_, pod)| format!("{} {}", pod.name, pod.addresses.iter().next().unwrap())).collect()
}
