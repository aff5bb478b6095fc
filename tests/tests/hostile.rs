//! Input that costs far more to read than to write: it is answered soon and in little memory, and changes nothing.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests make files and run programs, and may panic"
)]

mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use support::{program, tree};

/// What is valid and has rules: an older output of it must survive.
const VALID: &str = "\
apiVersion: v1
kind: Node
metadata: {name: n1}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1}
status: {podIP: 10.0.0.1}
";

fn policy(spec: &str) -> String {
    let head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n";
    format!("{head}{spec}")
}

fn pod(rest: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n{rest}")
}

/// What an input comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It is refused with this code.
    Refused(&'static str),
    /// It is read: it is only large.
    Read,
}
use Answer::{Read, Refused};

/// Every input by its name, with what it comes to.
fn inputs() -> Vec<(&'static str, String, Answer)> {
    let brackets = "[".repeat(200_000);
    let wide = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(3000), "*a,".repeat(3000));
    let mut layers = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for layer in 1..=10 {
        let below = format!("*a{},", layer - 1).repeat(9);
        writeln!(layers, "a{layer}: &a{layer} [{below}]").unwrap();
    }
    let few = (1..=8).fold("a0: &a0 x\n".to_owned(), |text, layer| {
        text + &format!("a{layer}: &a{layer} [{}]\n", format!("*a{},", layer - 1).repeat(8))
    });
    let mut labels = "  labels:\n".to_owned();
    let mut blocks = "  podSelector: {}\n  ingress:\n  - from:\n".to_owned();
    for number in 0..100_000 {
        writeln!(labels, "    l{number}: v").unwrap();
    }
    for number in 0..1_200_000 {
        let [_, a, b, c] = u32::to_be_bytes(number);
        writeln!(blocks, "    - ipBlock: {{cidr: 10.{a}.{b}.{c}/32}}").unwrap();
    }
    let bad_labels = labels.replace(": v", ": v v");
    let unknown = format!("  podSelector: {{}}\n  ingress:\n{}", "  - form: []\n".repeat(150_000));
    let separate: String = (0..60_000)
        .map(|number| policy("  podSelector: {}\n").replace("name: p,", &format!("name: p{number},")))
        .fold(String::new(), |all, one| all + "---\n" + &one);
    let mut different = "  podSelector: {}\n  ingress:\n".to_owned();
    for number in 1..=10_000 {
        let [_, _, b, c] = u32::to_be_bytes(number);
        let port = 2 * number;
        writeln!(
            different,
            "  - {{from: [{{ipBlock: {{cidr: 10.9.{b}.{c}/32}}}}], ports: [{{port: {port}}}]}}"
        )
        .unwrap();
    }
    vec![
        ("brackets", brackets.clone(), Refused("too-complex")),
        ("brackets-in-a-policy", policy(&format!("  podSelector: {brackets}")), Refused("too-complex")),
        ("braces", policy(&format!("  podSelector: {}", "{a: ".repeat(50_000))), Refused("too-complex")),
        ("dashes", pod(&format!("x:\n  {}1\n", "- ".repeat(100_000))), Refused("too-complex")),
        ("question-marks", pod(&format!("x:\n  {}1\n", "? ".repeat(100_000))), Refused("too-complex")),
        ("aliases-of-a-list", pod(&wide), Refused("too-complex")),
        ("nine-to-the-tenth", pod(&layers), Refused("too-complex")),
        ("eight-to-the-eighth", pod(&few), Refused("too-complex")),
        ("fifty-megabytes", policy(&blocks), Refused("too-large")),
        ("a-million-documents", "---\na: 1\n".repeat(1_000_000), Refused("too-large")),
        ("a-hundred-thousand-labels", pod(&labels), Read),
        ("as-many-that-are-wrong", pod(&bad_labels), Refused("bad-label-value")),
        ("as-many-unknown-fields", policy(&unknown), Refused("unknown-field")),
        (
            "a-long-line",
            policy(&format!("  podSelector: {}\n", "a".repeat(2_900_000))),
            Refused("wrong-type"),
        ),
        (
            "one-policy-many-times",
            "---\n".to_owned() + &policy("  podSelector: {}\n---\n").repeat(60_000),
            Refused("duplicate-object"),
        ),
        ("many-policies", separate, Read),
        ("ten-thousand-rules-of-other-ports-and-peers", policy(&different), Read),
    ]
}

/// The program with 200 MiB for all that it allocates (setrlimit(2), RLIMIT_DATA), and ended after a minute of work.
fn bounded(args: &[&Path]) -> Output {
    Command::new("prlimit")
        .args([format!("--data={}", 200 << 20), "--cpu=60".to_owned()])
        .arg(program("chainmail"))
        .arg("compile")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn it_is_answered_in_bounded_memory_and_changes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let (input, out) = (temp.path().join("input"), temp.path().join("out"));
    std::fs::create_dir(&input).unwrap();
    std::fs::write(input.join("valid.yaml"), VALID).unwrap();
    let args = [input.as_path(), Path::new("--out"), out.as_path()];
    assert!(bounded(&args).status.success());
    let before = tree(&out);
    assert!(before.len() > 4);
    for (name, text, answer) in inputs() {
        std::fs::write(input.join("hostile.yaml"), text).unwrap();
        let output = bounded(&args);
        let said = String::from_utf8_lossy(&output.stderr);
        let short = &said[..said.floor_char_boundary(500)];
        match answer {
            Read => assert_eq!(output.status.code(), Some(0), "{name}: {short}"),
            Refused(code) => {
                assert_eq!(output.status.code(), Some(3), "{name}: {short}");
                assert!(said.contains(&format!("error[{code}]")), "{name}: {short}");
            }
        }
        assert!(said.len() < 8 << 20, "{name} is answered with {} bytes", said.len());
        if answer != Read {
            assert!(tree(&out) == before, "{name} changed the output");
        } else {
            std::fs::remove_file(input.join("hostile.yaml")).unwrap();
            assert!(bounded(&args).status.success());
            assert!(tree(&out) == before, "{name} left something behind");
        }
    }
}

#[test]
#[ignore = "measures time"]
fn it_is_answered_within_two_seconds() {
    let temp = tempfile::tempdir().unwrap();
    for (name, text, _) in inputs() {
        std::fs::write(temp.path().join("valid.yaml"), VALID).unwrap();
        std::fs::write(temp.path().join("hostile.yaml"), text).unwrap();
        let out = temp.path().join("out");
        let mut times: Vec<f64> = (0..3)
            .map(|_| {
                let begun = Instant::now();
                drop(bounded(&[temp.path(), Path::new("--out"), &out]));
                drop(std::fs::remove_dir_all(&out));
                begun.elapsed().as_secs_f64()
            })
            .collect();
        times.sort_by(f64::total_cmp);
        assert!(times[1] < 2.0, "{name} took {:.1} s", times[1]);
    }
}
