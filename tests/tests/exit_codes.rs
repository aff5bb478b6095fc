//! `docs/exit-codes.md` against `chainmail`: each row of its table is provoked.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests make files and run programs, and may panic"
)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{program, root};

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
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: n1}
status: {podIP: 10.244.1.11}
";

const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: RULES}
";

const FLOWS: &str = "
apiVersion: chainmail/v1
kind: FlowTest
metadata: {name: shop}
spec:
- {from: shop/db, to: shop/web, WANT: tcp/80}
";

/// What every row finds: folders of manifests, flow tests, probes, and snapshots of the folder `one`.
fn make(folder: &Path) {
    let write = |path: &str, text: &str| support::write(folder, path, text);
    let policy = |rules: &str| POLICY.replace("RULES", rules);
    write("one/all.yaml", &(CLUSTER.to_owned() + "---" + &policy("[]")));
    write("two/all.yaml", &(CLUSTER.to_owned() + "---" + &policy("[{}]")));
    write("wrong/all.yaml", &(CLUSTER.to_owned() + "---" + &policy("all")));
    write("wrong-config/all.yaml", CLUSTER);
    write("wrong-config/chainmail.toml", "unknown_pods = 1\n");
    write("warned/all.yaml", CLUSTER);
    write("warned/chainmail.toml", "[[nodes]]\nmatch = \"no-such-node\"\ndrop_invalid = true\n");
    write("empty/all.yaml", "");
    write("mine/notes.txt", "mine");
    write("holds.flows.yaml", &FLOWS.replace("WANT", "deny"));
    write("fails.flows.yaml", &FLOWS.replace("WANT", "allow"));
    write("wrong.flows.yaml", &FLOWS.replace("WANT", "maybe"));
    write("probe", r#"{"src":"shop/db","dst":"shop/web","port":80}"#);
    write("wrong-probe", "{}");
    assert_eq!(run(folder, "compile one --out snapshots"), 0);
}

/// Runs a command line; `<` is from where it reads, `>` to where its result goes.
fn run(folder: &Path, line: &str) -> i32 {
    let (line, stdout) = line.split_once(" > ").unwrap_or((line, "/dev/null"));
    let (line, stdin) = line.split_once(" < ").unwrap_or((line, "/dev/null"));
    let stdout = std::fs::OpenOptions::new().write(true).open(stdout).unwrap();
    let mut command = Command::new(program("chainmail"));
    command.args(line.split_whitespace()).current_dir(folder).env("CHAINMAIL_CACHE", folder.join("cache"));
    command.stdin(std::fs::File::open(folder.join(stdin)).unwrap()).stdout(stdout).stderr(Stdio::null());
    command.status().unwrap().code().expect("it ends by itself")
}

/// Each row of the document, and command lines that are cases of it.
const CASES: &[(&str, &str, &str, &[&str])] = &[
    ("any", "0", "it prints help or its version", &["--help", "--version", "diff --help", "help lint"]),
    ("any", "2", "an option is not known", &["check one --strikt", "--colour", "diff one two --exit"]),
    (
        "any",
        "3",
        "the folder or revision of the manifests cannot be read",
        &[
            "check nowhere",
            "compile nowhere --out out",
            "describe web nowhere",
            "diff nowhere one",
            "diff --repo nowhere a..b",
            "explain shop/db shop/web 80 nowhere",
            "lint --repo one --rev HEAD",
            "prove nowhere",
            "query nowhere --from * --to *",
            "test nowhere",
        ],
    ),
    (
        "any",
        "3",
        "the result cannot be written",
        &[
            "schema diff > /dev/full",
            "diff one two > /dev/full",
            "diff one two -o json=nowhere/file",
            "completions bash > /dev/full",
        ],
    ),
    ("check", "0", "the manifests are valid; warnings and notes are told", &["check one", "check warned"]),
    ("check", "3", "a manifest or `chainmail.toml` has an error", &["check wrong", "check wrong-config"]),
    ("check", "3", "there is a warning, with `--strict`", &["check warned --strict"]),
    ("compile", "0", "the snapshots are written", &["compile two --out out"]),
    ("compile", "0", "they are what is there, with `--check`", &["compile one --out snapshots --check"]),
    (
        "compile",
        "1",
        "they differ from what is there, with `--check`",
        &["compile two --out snapshots --check"],
    ),
    (
        "compile",
        "2",
        "`--node` names a node that the manifests do not have",
        &["compile one --out out --node n2"],
    ),
    (
        "compile",
        "3",
        "the manifests have an error, or no node",
        &["compile wrong --out out", "compile empty --out out"],
    ),
    ("compile", "3", "the folder holds anything that is not a snapshot", &["compile one --out mine"]),
    ("completions", "0", "the script is printed", &["completions bash", "completions zsh"]),
    ("completions", "2", "the shell is not known", &["completions csh"]),
    ("describe", "0", "the policy or workload is described", &["describe shop/web one"]),
    (
        "describe",
        "3",
        "there is none of this name",
        &["describe shop/wbe one", "describe shop/deployment/web one"],
    ),
    (
        "diff",
        "0",
        "it has compared, whatever it found",
        &["diff one two", "diff one one", "diff two snapshots"],
    ),
    (
        "diff",
        "1",
        "a gate of `--fail-on` refuses the change",
        &["diff one two --fail-on opened", "diff one two --fail-on lint:warning"],
    ),
    ("diff", "1", "anything differs, with `--exit-code`", &["diff one two --exit-code"]),
    ("diff", "N", "the same, with `--exit-code=N`", &["diff one two --exit-code=42"]),
    (
        "diff",
        "2",
        "there is one side, or a gate or number that is none",
        &["diff", "diff one", "diff one two --fail-on worlds", "diff one two --exit-code=3"],
    ),
    ("diff", "2", "lint is asked about snapshots", &["diff one snapshots --fail-on lint:error"]),
    ("diff", "3", "a side has an error, or nothing to compare", &["diff one wrong", "diff one empty"]),
    (
        "explain",
        "0",
        "the verdict is explained, be it allowed or denied",
        &["explain shop/db shop/web 80 one", "explain shop/db shop/web 80 two"],
    ),
    ("diff", "3", "the answer takes more steps than `--max-steps`", &["diff one two --max-steps 1"]),
    (
        "explain",
        "2",
        "an end or service is not spelled as one",
        &["explain shop/db shop/web http one", "explain a/b/c/d shop/web 80 one"],
    ),
    ("explain", "3", "there is no pod of this name", &["explain shop/db shop/wbe 80 one"]),
    ("export", "0", "the files are written", &["export n1 --snapshots snapshots --out exported"]),
    (
        "export",
        "3",
        "there is no snapshot of the node",
        &["export n2 --snapshots snapshots --out e", "export n1 --snapshots nowhere --out e"],
    ),
    (
        "lint",
        "0",
        "nothing is found from the level of `--fail-on` on, which is `error`",
        &["lint one", "lint two"],
    ),
    ("lint", "1", "something is", &["lint two --fail-on warning", "lint two --strict"]),
    (
        "lint",
        "2",
        "`--new-since` is asked of a folder that is not the root of a repository",
        &["lint one --new-since HEAD"],
    ),
    ("lint", "3", "the manifests have an error", &["lint wrong"]),
    ("prove", "0", "the rules do what the policies say", &["prove one", "prove one --snapshots snapshots"]),
    ("prove", "1", "they do not", &["prove two --snapshots snapshots"]),
    ("prove", "2", "`--live` is asked without a node", &["prove one --live"]),
    ("prove", "3", "there is no snapshot to prove", &["prove one --snapshots empty"]),
    (
        "query",
        "0",
        "the question is answered, be it allowed or denied",
        &["query one --from * --to *", "query two < probe", "query one < probe"],
    ),
    ("query", "2", "there are more pairs than `--limit`", &["query one --from * --to * --limit 1"]),
    ("query", "3", "a probe is not understood", &["query one < wrong-probe"]),
    (
        "query",
        "3",
        "the answer takes more steps than `--max-steps`",
        &["query one --from * --to * --max-steps 1"],
    ),
    ("schema", "0", "the schema is printed", &["schema diff"]),
    ("schema", "2", "there is none of that command", &["schema export"]),
    ("test", "0", "every flow is as expected", &["test one holds.flows.yaml"]),
    ("test", "1", "one is not", &["test one fails.flows.yaml"]),
    ("test", "3", "there is no flow test, or one has an error", &["test one", "test one wrong.flows.yaml"]),
    (
        "test",
        "3",
        "the answer takes more steps than `--max-steps`",
        &["test one holds.flows.yaml --max-steps 1"],
    ),
];

/// The rows of the document's table about `chainmail`.
fn rows(document: &str) -> BTreeSet<(String, String, String)> {
    let (_, table) = document.split_once("## `chainmail`\n").expect("it has a section about chainmail");
    let table = table.split("\n## ").next().unwrap_or_default();
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| command |"))
        .map(|line| match &cells(line)[..] {
            [command, code, when] => (command.trim_matches('`').to_owned(), code.clone(), when.clone()),
            other => panic!("three cells: {other:?}"),
        })
        .collect()
}

#[test]
fn chainmail_ends_as_its_document_says() {
    let document = std::fs::read_to_string(root().join("docs/exit-codes.md")).unwrap();
    let documented = rows(&document);
    let tried: BTreeSet<_> = CASES
        .iter()
        .map(|(command, code, when, _)| ((*command).to_owned(), (*code).to_owned(), (*when).to_owned()))
        .collect();
    assert_eq!(documented, tried, "each row has a case, and each case a row");
    let with_rows: BTreeSet<&str> = documented.iter().map(|(command, ..)| command.as_str()).collect();
    for command in commands() {
        assert!(with_rows.contains(command.as_str()), "the document has no row of `chainmail {command}`");
    }

    let temp = tempfile::tempdir().unwrap();
    make(temp.path());
    let mut wrong = Vec::new();
    for (_, code, when, lines) in CASES {
        let expected = code.parse().unwrap_or(42);
        for line in *lines {
            let found = run(temp.path(), line);
            if found != expected {
                wrong.push(format!("chainmail {line}: {found}, and not {expected} ({when})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The commands that help lists.
fn commands() -> Vec<String> {
    let help = support::run(Command::new(program("chainmail")).arg("--help"));
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let words = commands.lines().take_while(|line| !line.is_empty());
    words
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(ToOwned::to_owned))
        .filter(|word| !word.is_empty() && word != "help")
        .collect()
}
