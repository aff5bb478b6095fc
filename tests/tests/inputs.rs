//! One set of objects, put in every way that people have them, compiles to one set of snapshots; and what is no such set
//! is refused.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use chainmail_compiler::diagnostic::{Code, Severity};
use chainmail_compiler::source::{Inventory, SourceFile, Sources};
use chainmail_compiler::{Loaded, load};
use proptest::prelude::*;
use support::program;
use tempfile::TempDir;

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

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

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

fn all() -> Vec<&'static str> {
    std::iter::once(POLICY).chain(LIVE).collect()
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

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file that is compiled from the arguments, but provenance, which names source files.
fn compiled(args: &[&str], stdin: Option<&str>) -> BTreeMap<String, Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("out");
    let args: Vec<&str> =
        ["compile", "--out", out.to_str().unwrap()].into_iter().chain(args.iter().copied()).collect();
    let output = chainmail(&args, stdin);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    let mut files = BTreeMap::new();
    let mut folders = vec![out.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("provenance.json") {
                let name = path.strip_prefix(&out).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    assert!(files.contains_key("nodes/n1/rules.v4"), "{:?}", files.keys());
    files
}

fn git(folder: &Path, args: &[&str]) {
    let status = Command::new("git")
        .current_dir(folder)
        .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")])
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
        .args(args)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "git {args:?}");
}

#[test]
fn every_way_to_bring_the_objects_compiles_to_the_same_bytes() {
    let stream = all().join("---\n");
    let many = folder(&[
        ("policies/db.yaml", POLICY),
        ("cluster/ns.yml", LIVE[0]),
        ("cluster/nodes.yaml", &LIVE[1..3].join("---\n")),
        ("cluster/db.json", &json(LIVE[3])),
        ("cluster/web.yaml", LIVE[4]),
        (".github/other.yaml", "not: read: at all"),
        ("README.md", "kind: Pod"),
    ]);
    let expected = compiled(&[many.path().to_str().unwrap()], None);

    let one = folder(&[("all.yaml", &stream)]);
    let one_json = folder(&[("all.json", &json_list(&all()))]);
    let lists = folder(&[("a.yaml", &yaml_list(&all()[..3])), ("b.json", &json_list(&all()[3..]))]);
    let typed = format!(
        "{{\"kind\": \"PodList\", \"apiVersion\": \"v1\", \"items\": [{}, {}]}}",
        json(LIVE[3]).replace("\"kind\": \"Pod\",", "").replace("\"apiVersion\": \"v1\",", ""),
        json(LIVE[4]),
    );
    let typed = folder(&[("rest.yaml", &all()[..4].join("---\n")), ("pods.json", &typed)]);
    for (name, folder) in [("stream", &one), ("JSON", &one_json), ("Lists", &lists), ("typed list", &typed)] {
        assert_eq!(compiled(&[folder.path().to_str().unwrap()], None), expected, "{name}");
    }
    assert_eq!(compiled(&[one.path().join("all.yaml").to_str().unwrap()], None), expected, "one file");
    assert_eq!(compiled(&["-"], Some(&stream)), expected, "standard input");
    assert_eq!(compiled(&["-"], Some(&json_list(&all()))), expected, "JSON on standard input");

    let repository = folder(&[]);
    git(repository.path(), &["init", "--quiet", "--initial-branch=main"]);
    write(repository.path(), "all.yaml", &stream);
    git(repository.path(), &["add", "--all"]);
    git(repository.path(), &["commit", "--quiet", "--message=all"]);
    git(repository.path(), &["tag", "reviewed"]);
    git(repository.path(), &["rm", "--quiet", "all.yaml"]);
    git(repository.path(), &["commit", "--quiet", "--message=none"]);
    let bare = repository.path().join("bare.git");
    git(repository.path(), &["clone", "--quiet", "--bare", ".", "bare.git"]);
    git(&bare, &["update-ref", "HEAD", "reviewed"]);
    let of = |args: &[&str]| compiled(args, None);
    let path = repository.path().to_str().unwrap();
    assert_eq!(of(&["--repo", path, "--rev", "reviewed"]), expected, "a revision");
    assert_eq!(
        of(&["--repo", bare.to_str().unwrap(), "--rev", "reviewed"]),
        expected,
        "of a bare repository"
    );
    assert_eq!(of(&[bare.to_str().unwrap()]), expected, "a bare repository as a path");

    let reviewed = folder(&[("db.yaml", POLICY)]);
    let live = folder(&[
        ("live.yaml", &yaml_list(&LIVE)),
        ("live.json", &json_list(&LIVE)),
        (
            "indented.yaml",
            &yaml_list(&LIVE)
                .replace('\n', "\n  ")
                .replace("\n  items", "\nitems")
                .replace("\n  kind: List\n  metadata:\n    resource", "\nkind: List\nmetadata:\n  resource"),
        ),
        ("quoted.yaml", &yaml_list(&LIVE).replace("kind: List", "kind: \"List\"")),
        ("flow.yaml", &json_list(&LIVE)),
        ("stream.yaml", &LIVE.join("---\n")),
        ("split/a.yaml", &yaml_list(&LIVE[..2])),
        ("split/b.json", &json_list(&LIVE[2..])),
    ]);
    let reviewed = reviewed.path().to_str().unwrap();
    for name in
        ["live.yaml", "live.json", "indented.yaml", "quoted.yaml", "flow.yaml", "stream.yaml", "split"]
    {
        let inventory = live.path().join(name);
        let args = [reviewed, "--inventory", inventory.to_str().unwrap()];
        assert_eq!(compiled(&args, None), expected, "inventory {name}");
    }
    assert_eq!(
        compiled(&[reviewed, "--inventory", "/dev/stdin"], Some(&yaml_list(&LIVE))),
        expected,
        "inventory from a pipe"
    );
    let (a, b) = (live.path().join("live.yaml"), live.path().join("live.json"));
    let args = [reviewed, "--inventory", a.to_str().unwrap(), "--inventory", b.to_str().unwrap()];
    assert_eq!(compiled(&args, None), expected, "two inventories that say the same");
    let args = [many.path().to_str().unwrap(), "--inventory", a.to_str().unwrap()];
    assert_eq!(compiled(&args, None), expected, "an inventory that says what the repository says");
}

fn loaded(reviewed: &str, inventory: &str) -> Loaded {
    let file = SourceFile { path: "reviewed.yaml".to_owned(), bytes: reviewed.as_bytes().to_vec() };
    let inventory = Inventory::from_bytes("live.yaml", inventory.as_bytes().to_vec());
    load(&Sources::new(vec![file]).with_inventories([inventory]))
}

/// The findings as `severity code line`.
fn codes(loaded: &Loaded) -> Vec<String> {
    let line = |d: &&chainmail_compiler::diagnostic::Diagnostic| {
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

#[test]
fn live_pods_that_contradict_are_no_endpoints() {
    /// What it is, the live pods, the endpoints, the findings.
    type Row<'a> = (&'a str, Vec<String>, &'a [&'a str], &'a [&'a str]);
    let reviewed = pod("a", "10.0.0.1");
    let rows: &[Row<'_>] = &[
        ("the same pod", vec![pod("a", "10.0.0.1")], &["a 10.0.0.1"], &[]),
        ("another pod", vec![pod("b", "10.0.0.2")], &["a 10.0.0.1", "b 10.0.0.2"], &[]),
        ("it moved", vec![pod("a", "10.0.0.2")], &[], &["warning inventory-conflict live.yaml:3"]),
        (
            "it moved, and its old address has a new pod",
            vec![pod("a", "10.0.0.2"), pod("b", "10.0.0.1"), pod("c", "10.0.0.3")],
            &["c 10.0.0.3"],
            &["warning inventory-conflict live.yaml:3", "warning inventory-conflict live.yaml:10"],
        ),
        (
            "two live pods with one address",
            vec![pod("b", "10.0.0.2"), pod("c", "10.0.0.2")],
            &["a 10.0.0.1"],
            &["warning inventory-conflict live.yaml:10"],
        ),
        (
            "three live pods with one address",
            vec![pod("b", "10.0.0.2"), pod("c", "10.0.0.2"), pod("d", "10.0.0.2")],
            &["a 10.0.0.1"],
            &["warning inventory-conflict live.yaml:10", "warning inventory-conflict live.yaml:17"],
        ),
        (
            "a live pod with a reviewed pod's address",
            vec![pod("b", "10.0.0.1")],
            &[],
            &["warning inventory-conflict live.yaml:3"],
        ),
        (
            "one that cannot be decoded",
            vec![pod("b", "7"), pod("c", "10.0.0.3")],
            &["a 10.0.0.1", "c 10.0.0.3"],
            &["warning wrong-type live.yaml:9"],
        ),
        (
            "one that the API server would refuse",
            vec![pod("B", "10.0.0.2"), pod("c", "10.0.0.3")],
            &["a 10.0.0.1", "c 10.0.0.3"],
            &["warning bad-name live.yaml:3"],
        ),
    ];
    for (what, live, expected, findings) in rows {
        let live: Vec<&str> = live.iter().map(String::as_str).collect();
        let loaded = loaded(&reviewed, &yaml_list(&live));
        assert_eq!(endpoints(&loaded), *expected, "{what}");
        assert_eq!(codes(&loaded), *findings, "{what}");
    }
}

#[test]
fn what_was_reviewed_holds_against_what_is_live() {
    let namespace = |tier: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels:\n    tier: {tier}\n")
    };
    let loaded = loaded(&namespace("reviewed"), &yaml_list(&[&namespace("live")]));
    assert_eq!(codes(&loaded), ["warning inventory-conflict live.yaml:3"]);
    let tiers: Vec<String> = loaded
        .cluster
        .namespaces()
        .flat_map(|namespace| namespace.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>())
        .collect();
    assert!(tiers.contains(&"tier=reviewed".to_owned()), "{tiers:?}");
}

#[test]
fn what_is_no_inventory_is_told() {
    let rows = [
        ("a policy", yaml_list(&[POLICY]), "error inventory-policy live.yaml:3"),
        (
            "a broken namespace",
            yaml_list(&[&LIVE[0].replace("tier: front", "tier: 1")]),
            "warning wrong-type live.yaml:8",
        ),
        (
            "a text that breaks off",
            yaml_list(&LIVE).replace("tier: front", "tier: \"front"),
            "error syntax live.yaml:46",
        ),
        ("no YAML", "a: b: c\n".to_owned(), "error syntax live.yaml:1"),
    ];
    for (what, text, expected) in rows {
        let loaded = loaded("", &text);
        let found = codes(&loaded);
        assert!(found.iter().any(|finding| finding == expected), "{what}: {found:?}");
    }
}

#[test]
fn kinds_that_are_not_used_are_counted_and_those_that_matter_are_not_passed_by() {
    let others = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
---
some: values
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a}
";
    let folder = folder(&[("others.yaml", others)]);
    let path = folder.path().to_str().unwrap();
    let output = chainmail(&["check", path], None);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stderr(&output);
    for part in ["2 ConfigMap not used", "1 Ingress not used", "1 document is no Kubernetes object"] {
        assert!(said.contains(part), "{part:?} in {said}");
    }

    let policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n";
    write(folder.path(), "cilium.yaml", policy);
    let output = chainmail(&["check", path], None);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let output = chainmail(&["check", path, "--allow-unsupported", "CiliumNetworkPolicy"], None);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("1 CiliumNetworkPolicy not used"), "{}", stderr(&output));
}

/// Each of the three is needed: the inventory has all nodes, the file's setting changes rules, and the kind is refused
/// without its word.
#[test]
fn a_diff_reads_what_compile_reads_beside_both_sides() {
    let cilium = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n";
    let old = folder(&[("db.yaml", POLICY), ("cilium.yaml", cilium)]);
    let new = folder(&[("db.yaml", &POLICY.replace("5432", "5433")), ("cilium.yaml", cilium)]);
    let beside = folder(&[("live.yaml", &yaml_list(&LIVE)), ("own.toml", "unknown_pods = \"drop\"\n")]);
    let path = |name: &str| beside.path().join(name).to_str().unwrap().to_owned();
    let (live, own, snapshots) = (path("live.yaml"), path("own.toml"), path("snapshots"));
    let all = ["--inventory", &live, "--config", &own, "--allow-unsupported", "CiliumNetworkPolicy"];
    let sides = [old.path().to_str().unwrap(), new.path().to_str().unwrap()];

    let diff = |sides: &[&str], args: &[&str]| {
        let output = chainmail(&[&["diff", "--exit-code"], sides, args].concat(), None);
        let found = String::from_utf8(output.stdout.clone()).unwrap();
        (output.status.code().unwrap(), found, stderr(&output))
    };
    let (exit, found, said) = diff(&sides, &all);
    assert_eq!(exit, 1, "{said}");
    assert!(found.contains("--dport 5432") && found.contains("--dport 5433"), "{found}");
    let (exit, _, said) = diff(&sides, &all[2..]);
    assert!(exit == 3 && said.contains("nothing to compare"), "without an inventory: {said}");
    let (exit, _, said) = diff(&sides, &all[..4]);
    assert!(exit == 3 && said.contains("CiliumNetworkPolicy"), "without the kind: {said}");

    let output = chainmail(&[&["compile", sides[0], "--out", &snapshots], &all[..]].concat(), None);
    assert!(output.status.success(), "{}", stderr(&output));
    let same = [snapshots.as_str(), sides[0]];
    assert_eq!(diff(&same, &all).0, 0, "against what was compiled with the same");
    let (exit, found, said) = diff(&same, &[&all[..2], &all[4..]].concat());
    assert!(exit == 1 && found.contains("10.1.0.0/24"), "without the configuration: {said}{found}");

    git(old.path(), &["init", "--quiet"]);
    git(old.path(), &["add", "--all"]);
    git(old.path(), &["commit", "--quiet", "--message=all"]);
    write(old.path(), "db.yaml", &POLICY.replace("5432", "5433"));
    git(old.path(), &["commit", "--quiet", "--all", "--message=port"]);
    let (exit, found, said) = diff(&["HEAD~1..HEAD", "--repo", sides[0]], &all);
    assert_eq!(exit, 1, "{said}");
    assert!(found.contains("--dport 5432") && found.contains("--dport 5433"), "{found}");
}

#[test]
fn check_prints_json_lines_and_strict_spares_notes() {
    let node = "apiVersion: v1\nkind: Node\nmetadata:\n  name: n1\nspec:\n  podCIDR: 10.0.0.1/24\n";
    let folder = folder(&[("node.yaml", node)]);
    let path = folder.path().to_str().unwrap();
    let check = |args: &[&str]| {
        let output = chainmail(&[&["check", "-o", "json", path], args].concat(), None);
        let lines = String::from_utf8(output.stdout).unwrap();
        let findings: Vec<serde_json::Value> =
            lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        (output.status.code().unwrap(), findings)
    };
    let (exit, findings) = check(&[]);
    assert_eq!(exit, 0);
    let loose = findings.iter().find(|finding| finding["code"] == "loose-cidr").unwrap();
    let expected = serde_json::json!({
        "code": "loose-cidr", "severity": "warning", "file": "node.yaml", "line": 6, "column": 12,
        "message": "\"10.0.0.1/24\" has host bits; it is read as 10.0.0.0/24", "help": "write 10.0.0.0/24",
    });
    assert_eq!(*loose, expected);
    let (exit, findings) = check(&["--strict"]);
    assert_eq!(exit, 3);
    let of = |code: &str| findings.iter().find(|f| f["code"] == code).unwrap()["severity"].clone();
    assert_eq!((of("loose-cidr"), of("unknown-pods-pass")), ("error".into(), "note".into()));
}

/// A pod as kubectl prints it, about 4 KiB.
fn large_pod(number: usize) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    note: |\n      text: with, signs\n  labels:\n    app: a{}\n  name: pod-{number}\n  namespace: ns-{}\nspec:\n  containers:\n",
        number % 50,
        number % 20,
    );
    for container in 0..4 {
        text.push_str(&format!("  - name: c{container}\n    env:\n"));
        for variable in 0..12 {
            text.push_str(&format!(
                "    - name: VARIABLE_{variable}\n      value: \"a value of middling length\"\n"
            ));
        }
        text.push_str("    ports:\n    - containerPort: 8080\n      name: http\n      protocol: TCP\n");
    }
    let (a, b) = (number / 250, number % 250 + 1);
    text.push_str(&format!(
        "  nodeName: node-{}\nstatus:\n  phase: Running\n  podIP: 10.1.{a}.{b}\n",
        number % 40
    ));
    text
}

#[test]
fn the_memory_of_an_inventory_is_that_of_an_item() {
    let pods: Vec<String> = (0..20_000).map(large_pod).collect();
    let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
    let folder = folder(&[("db.yaml", POLICY)]);
    let live = tempfile::tempdir().unwrap();
    write(live.path(), "live.yaml", &yaml_list(&pods));
    write(live.path(), "live.json", &json_list(&pods));
    for name in ["live.yaml", "live.json"] {
        let inventory = live.path().join(name);
        let size = std::fs::metadata(&inventory).unwrap().len() / 1024 / 1024;
        assert!(size > 60, "{name} has only {size} MiB");
        let args = ["check", folder.path().to_str().unwrap(), "--inventory", inventory.to_str().unwrap()];
        let peak = peak_memory(&args);
        assert!(peak < 150, "{name}: {size} MiB took {peak} MiB");
    }
}

/// The most memory that the program had at once, in MiB: read while it runs, from the kernel's high-water mark.
fn peak_memory(args: &[&str]) -> u64 {
    let mut child = Command::new(program("chainmail")).args(args).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = mark.and_then(|mark| mark.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(kib.unwrap_or(0) / 1024);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    assert!(peak > 0, "the mark was never read");
    peak
}

#[test]
fn text_that_only_looks_like_items_is_read_as_what_it_is() {
    let list = |note: &str, rest: &str| {
        let pod = pod("a", "10.0.0.1")
            .replace("metadata:\n", &format!("metadata:\n  annotations:\n    note: {note}\n"));
        format!("{}{rest}", yaml_list(&[&pod, &pod.replace("name: a", "name: b").replace("0.0.1", "0.0.2")]))
    };
    let plain = "apiVersion: v1\n- kind: Pod";
    let rows = [
        ("a quoted text with a dash at column 0", list("\"x\n- kind: Pod\n  y\"", "")),
        ("a quoted text with a key at column 0", list("'x\nkind: Other\n  y'", "")),
        ("a bracket that goes on at column 0", list("[x,\n- 1]", "")),
        ("a block scalar", list(&format!("|\n        {}", plain.replace('\n', "\n        ")), "")),
        (
            "an alias of another item's anchor",
            list("x", "").replacen("note: x", "note: &x x", 1).replacen("note: x", "note: *x", 1),
        ),
        ("a second document", list("x", "---\n") + &pod("c", "10.0.0.3")),
        ("a comment at column 0", list("x # y\n# z", "")),
    ];
    for (what, text) in rows {
        let whole = text.replacen("apiVersion: v1\n", "\"apiVersion\": v1\n", 1);
        let (cut, uncut) = (loaded("", &text), loaded("", &whole));
        assert_eq!(endpoints(&cut), endpoints(&uncut), "{what}: {text}");
        assert_eq!(codes(&cut), codes(&uncut), "{what}: {text}");
        let is_yaml = what != "a bracket that goes on at column 0";
        assert_eq!(endpoints(&cut).len() >= 2, is_yaml, "{what}: {:?}", codes(&cut));
    }
}

/// Texts that look like YAML's own signs.
fn odd_text() -> impl Strategy<Value = String> {
    let parts = [
        "a",
        " ",
        "\n",
        "- ",
        "items:",
        "kind: List",
        "---",
        "...",
        "#",
        ": ",
        "\"",
        "'",
        "|",
        "é",
        "{",
        "]",
        "\t",
        "&x",
        "*x",
        "%",
    ];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..8).prop_map(|parts| parts.concat())
}

prop_compose! {
    fn object()(
        namespace in prop::bool::weighted(0.2),
        name in "[a-d]{1,2}",
        address in 1u8..9,
        notes in prop::collection::btree_map(odd_text(), odd_text(), 0..4),
        list in prop::collection::vec(odd_text(), 0..3),
        broken in prop::bool::weighted(0.1),
    ) -> serde_json::Value {
        let kind = if namespace { "Namespace" } else { "Pod" };
        let phase = if broken { serde_json::json!(7) } else { serde_json::json!("Running") };
        serde_json::json!({
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": name, "annotations": notes},
            "spec": {"list": list},
            "status": {"podIP": format!("10.0.0.{address}"), "phase": phase},
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in its texts, a List that is cut line by line has the objects that the List as a whole has, and
    /// the same is said about them at the same places.
    #[test]
    fn cutting_an_inventory_changes_nothing(objects in prop::collection::vec(object(), 0..6)) {
        let list = serde_json::json!({"apiVersion": "v1", "items": objects, "kind": "List"});
        let plain = serde_yaml::to_string(&list).unwrap();
        let whole = plain.replacen("apiVersion: v1\n", "\"apiVersion\": v1\n", 1);
        let cut = loaded("", &plain);
        let seen = |loaded: &Loaded| {
            let pods: Vec<String> = loaded.cluster.pods().map(|(_, pod)| format!("{} {:?} {:?}", pod.pod_ref(), pod.addresses, pod.state)).collect();
            let namespaces: Vec<String> = loaded.cluster.namespaces().map(|namespace| namespace.name.to_string()).collect();
            (pods, namespaces, codes(loaded))
        };
        let uncut = loaded("", &whole);
        prop_assert_eq!(seen(&cut), seen(&uncut));
        let streamed = {
            let text = serde_json::to_string(&list).unwrap();
            load(&Sources::default().with_inventories([Inventory::from_bytes("live.json", text.into_bytes())]))
        };
        prop_assert_eq!((seen(&streamed).0, seen(&streamed).1), (seen(&uncut).0, seen(&uncut).1));
        let severe = |loaded: &Loaded| loaded.findings.count(Severity::Error);
        prop_assert_eq!(severe(&streamed), severe(&uncut));
    }
}
