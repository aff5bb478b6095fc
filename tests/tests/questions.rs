//! What `explain`, `describe` and `query --from --to` print about scenarios: a transcript a state, kept as goldens in
//! `tests/questions/`.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use chainmail_lab::Origin;

/// A scenario, a state of it, and what is asked.
type Transcript = (&'static str, &'static str, &'static [&'static str]);

const TRANSCRIPTS: &[Transcript] = &[
    (
        "aks-tutorial",
        "2-deny-all",
        &["explain development/frontend development/backend 80", "describe development/backend-policy"],
    ),
    (
        "aks-tutorial",
        "5-from-development",
        &[
            "explain development/frontend development/backend 80",
            "explain production/frontend development/backend 80",
            "explain production/frontend development/backend 80 -o json",
            "explain outside development/backend icmp",
            "explain development/backend outside 53/udp",
            "explain development/backend development/backend 80",
            "describe backend-policy",
            "query --from * --to * -o matrix",
            "query --from outside --to development/* --port 80",
        ],
    ),
    (
        "k8s-docs",
        "01-db-both-ways",
        &[
            "explain default/frontend default/db 6379",
            "explain alice/frontend default/db 6379",
            "explain 172.17.1.5 default/db 6380/udp",
            "explain 10.240.0.4 default/db 80",
            "explain 10.240.0.5 default/db icmp",
            "explain default/db 10.0.0.9 5978",
            "describe db-both-ways",
            "describe db-both-ways -o json",
            "query --from * --from outside --to default/role=db -o list",
            "query --from default/db --to 10.0.0.0/8 -o csv",
            "query --from default/db --to 10.0.0.0/23 --port 5978 -o json",
        ],
    ),
    (
        "k8s-docs",
        "03-allow-ingress",
        &["explain alice/client default/db 80", "describe default/nothing-into-db"],
    ),
    ("k8s-docs", "05-allow-egress", &["explain default/db alice/client 80", "describe everything-out"]),
    (
        "k8s-docs",
        "07-one-element",
        &[
            "describe clients-of-alice",
            "explain default/client default/db 80",
            "query --from * --to * -o matrix",
        ],
    ),
    ("k8s-docs", "08-two-elements", &["describe alice-or-clients", "explain default/frontend default/db 80"]),
    ("k8s-docs", "10-end-port", &["describe port-range", "query --from default/db --to outside -o json"]),
    (
        "named-ports",
        "truth",
        &[
            "describe shop/client",
            "explain shop/client shop/web-a 8080",
            "explain shop/client shop/web-a 80",
            "explain shop/client shop/dns 8080/udp",
            "query --from shop/* --to shop/* -o matrix",
        ],
    ),
    (
        "dual-stack",
        "truth",
        &["explain shop/client shop/any-v4 80", "query --from shop/* --to * --to outside -o matrix"],
    ),
    (
        "finished-and-host",
        "truth",
        &[
            "explain batch/agent-1 batch/db 80",
            "explain batch/agent-2 batch/db 80",
            "explain batch/done batch/db 80",
            "explain batch/nobody batch/db 80",
            "explain 10.244.0.99 batch/db 80",
            "describe db",
            "query --from batch/* --from batch/agent-2 --to batch/* --port 80 -o matrix",
        ],
    ),
    (
        "contested",
        "truth",
        &[
            "explain shop/one shop/db 80",
            "explain shop/web shop/db 80",
            "explain shop/blog shop/db 80",
            "explain outside shop/cart 80",
            "explain outside shop/cart 8080",
            "explain outside 10.244.0.11 80",
            "explain outside 10.244.0.11 80 -o json",
            "explain outside shop/report 80",
            "describe db",
            "describe web",
            "query --from shop/* --to * --to outside -o matrix",
        ],
    ),
    (
        "windows-node",
        "truth",
        &[
            "explain shop/client shop/legacy 80",
            "explain outside shop/legacy 80",
            "query --from * --to * -o matrix",
        ],
    ),
    (
        "sctp",
        "truth",
        &[
            "query --from * --to * --limit 3",
            "query --from * --to nowhere/*",
            "query --from 10.0.0.9/8 --to *",
            "query --from * --to */db",
            "query --from * --to * -o plain",
            "explain * outside 80",
            "explain outside 10.0.0.9 http",
            "describe nothing",
        ],
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("questions")
}

fn golden(scenario: &str, state: &str) -> String {
    format!("{scenario}--{state}")
}

/// The commands with what they print; findings of the manifests, which are not the answer, are left out.
fn transcript(origin: &Origin, commands: &[&str]) -> String {
    let mut text = String::new();
    for command in commands {
        let mut chainmail = Command::new(support::program("chainmail"));
        chainmail.args(command.split(' '));
        match origin {
            Origin::Folder(folder) => chainmail.arg(folder),
            Origin::Live { manifests, inventory } => {
                chainmail.arg("--inventory").arg(inventory).arg(manifests)
            }
            Origin::Revision { repo, rev } => chainmail.arg("--repo").arg(repo).args(["--rev", rev]),
        };
        let output = chainmail.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let aside: String = stderr
            .lines()
            .skip_while(|line| {
                line.starts_with("note[") || line.starts_with("warning[") || line.starts_with("  ")
            })
            .map(|line| format!("{line}\n"))
            .collect();
        text.push_str(&format!(
            "$ chainmail {command}\n{}{aside}",
            String::from_utf8(output.stdout).unwrap()
        ));
        if !output.status.success() {
            text.push_str(&format!("({})\n", output.status));
        }
        text.push('\n');
    }
    text
}

#[test]
fn answers_are_as_reviewed() {
    support::goldens(&folder()).bind(|| {
        insta::allow_duplicates! {
            for (scenario, state, commands) in TRANSCRIPTS {
                let temp = tempfile::tempdir().unwrap();
                let scenario_ = support::scenario::named(scenario);
                let state_ = scenario_.states.iter().find(|known| known.name == *state).unwrap();
                let text = transcript(&state_.origin(temp.path()).unwrap(), commands);
                insta::assert_snapshot!(golden(scenario, state), text);
            }
        }
    });
}

#[test]
fn no_golden_is_an_orphan() {
    let known: BTreeSet<String> =
        TRANSCRIPTS.iter().map(|(scenario, state, _)| golden(scenario, state) + ".snap").collect();
    assert_eq!(support::names(&folder()), known);
}

/// The picture stays one in a terminal of 100 columns: pods that are alike share a row, and what is still too wide is
/// cut into tables.
#[test]
fn a_matrix_of_many_pods_is_folded_at_100_columns() {
    let temp = tempfile::tempdir().unwrap();
    let pod = |number: usize| {
        // Three copies of each application.
        let app = number / 3;
        let name = format!("{}-{number}", "a-long-name-".repeat(5));
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{app: a{app}}}}}\n\
             spec: {{nodeName: n1}}\nstatus: {{podIP: 10.244.1.{number}}}\n\
             ---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{number}, namespace: shop}}\n\
             spec: {{podSelector: {{matchLabels: {{app: a{app}}}}}, ingress: [{{ports: [{{port: {app}}}]}}]}}\n"
        )
    };
    let objects: String = (30..180).map(pod).collect();
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDR: 10.244.1.0/24}\n";
    std::fs::write(temp.path().join("all.yaml"), node.to_owned() + &objects).unwrap();
    let mut chainmail = Command::new(support::program("chainmail"));
    let text =
        support::run(chainmail.args(["query", "--from", "*", "--to", "*", "-o", "matrix"]).arg(temp.path()));
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!((90..=100).contains(&widest), "{widest} columns:\n{text}");
    let rows = text.lines().filter(|line| line.contains(" +2 ")).count();
    assert!(rows % 50 == 0 && rows > 50, "50 groups, in several tables: {rows} rows\n{text}");
    assert_eq!(text.lines().filter(|line| line.contains("  tcp/")).count(), 50, "{text}");
}
