//! Input that costs far more to read than to write: it is answered soon and in little memory, and changes nothing.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests make files, run programs, print what those took, and may panic"
)]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use chainmail_tests::bench_input::{self, Size};
use chainmail_tests::documents::{generated, of_manifests};
use chainmail_tests::world::World;
use chainmail_tests::{fuzzed, hostile, large};
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

/// What each input under 5 MB may take: CPU time of all threads, and address space.
const SECONDS: u64 = 10;
const BYTES: u64 = 1 << 30;
/// The largest input that this is promised for.
const INPUT_BYTES: usize = 5_000_000;

fn limited(program: &Path) -> Command {
    let mut command = Command::new("prlimit");
    command.args([format!("--cpu={SECONDS}"), format!("--as={BYTES}")]).arg(program).stdin(Stdio::null());
    command
}

/// Sections of `[[nodes]]`, each with its pattern.
fn sections(patterns: impl Iterator<Item = String>) -> String {
    patterns.fold(String::new(), |text, pattern| {
        text + &format!("[[nodes]]\nmatch = \"{pattern}\"\nallow = \"accept\"\n")
    })
}

/// A limit of `chainmail.toml` is asked before the work that it bounds, and named.
#[test]
fn a_configuration_that_comes_to_much_is_refused_with_its_limit() {
    let waiver = "[[waiver]]\nlint = \"world-open\"\nobject = \"*\"\nowner = \"a\"\nreason = \"b\"\nexpires = 2036-01-01\n";
    let wrong_on_one_line = format!("pod_interfaces = [{}]\n", "1,".repeat(400_000));
    let rows = [
        (
            "a file of five megabytes",
            sections((0..100_000).map(|n| format!("*{n}*x*"))),
            3,
            "at most 1048576",
        ),
        (
            "patterns",
            format!("manifests = [{}]\n", "\"a*\",".repeat(1001)),
            3,
            "1001 patterns in manifests; there may be at most 1000",
        ),
        (
            "a pattern of manifests",
            format!("manifests = [\"{}a\"]\n", "*".repeat(900_000)),
            3,
            "900001 bytes; it may have at most 4096",
        ),
        (
            "a pattern of nodes",
            sections(std::iter::once("*".repeat(4097))),
            3,
            "4097 bytes; it may have at most 4096",
        ),
        (
            "sections",
            sections((0..1001).map(|n| format!("n{n}"))),
            3,
            "1001 [[nodes]] sections; there may be at most 1000",
        ),
        ("waivers", waiver.repeat(1001), 3, "1001 [[waiver]] sections; there may be at most 1000"),
        (
            "unknown keys",
            (0..90_000).fold(String::new(), |text, n| text + &format!("k{n} = 1\n")),
            3,
            "89000 more problems",
        ),
        ("mistakes on one line", wrong_on_one_line, 3, "399000 more problems"),
        (
            "long patterns on many nodes",
            sections((0..200).map(|_| "*a".repeat(1000))),
            3,
            "take too long to match",
        ),
        ("as much as may be", sections((0..1000).map(|n| format!("*{n}*x*"))), 0, "no node has a name like"),
        ("as many names", sections((0..1000).map(|n| format!("n{n}"))), 0, ""),
    ];
    let temp = tempfile::tempdir().unwrap();
    let nodes: String =
        (0..10_000).map(|n| format!("---\napiVersion: v1\nkind: Node\nmetadata: {{name: n{n}}}\n")).collect();
    std::fs::write(temp.path().join("a.yaml"), nodes).unwrap();
    for (name, config, code, says) in rows {
        std::fs::write(temp.path().join("chainmail.toml"), config).unwrap();
        let begun = Instant::now();
        let output =
            limited(&program("chainmail")).args(["check", "--no-cache"]).arg(temp.path()).output().unwrap();
        println!("{name}: {:?} after {:.1} s", output.status.code(), begun.elapsed().as_secs_f64());
        let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        let last = said.lines().rev().take(5).collect::<Vec<_>>();
        assert_eq!(output.status.code(), Some(code), "{name}: {}: {last:?}", output.status);
        assert!(said.contains(says), "{name}: {says:?} is not in {last:?}");
    }
}

/// Advice and contradictions are found by comparing each with each; that is bounded.
#[test]
fn thousands_of_slips_and_of_contrary_flows_end_soon() {
    let name = |number: usize, letter: char| format!("{}{number:06}", letter.to_string().repeat(50));
    let policy = |number: usize, namespace: &str, selector: &str| {
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: q{number}, namespace: {namespace}}}\n\
             spec: {{podSelector: {{{selector}}}, ingress: [{{}}]}}\n"
        )
    };
    let (mut values, mut namespaces, mut flows) = (VALID.to_owned(), VALID.to_owned(), VALID.to_owned());
    flows += "---\napiVersion: chainmail/v1\nkind: FlowTest\nmetadata: {name: t}\nspec:\n";
    for number in 0..4000 {
        let [_, _, c, d] = u32::try_from(number + 2).unwrap().to_be_bytes();
        let own = name(number, 'a');
        write!(
            values,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}, namespace: shop, labels: {{a: {own}}}}}\n\
             spec: {{nodeName: n1}}\nstatus: {{podIP: 10.0.{c}.{d}}}\n"
        )
        .unwrap();
        values += &policy(number, "shop", &format!("matchLabels: {{a: {}}}", name(number, 'b')));
        write!(namespaces, "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {own}}}\n").unwrap();
        namespaces += &policy(number, &name(number, 'b'), "");
        let port = number + 1;
        write!(
            flows,
            "- {{from: 10.0.0.9, to: 8.8.8.8, allow: tcp/{port}}}\n- {{from: 10.0.0.9, to: 8.8.8.8, deny: udp/{port}}}\n"
        )
        .unwrap();
    }
    flows += "- {from: 10.0.0.9, to: 8.8.8.8, deny: tcp/3999}\n";
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("a.yaml");
    let rows = [
        ("values", "lint", values, 0, "selects-nothing"),
        ("namespaces", "lint", namespaces, 0, "unknown-namespace"),
        ("flows", "test", flows, 3, "tcp/3999 is to be denied here, and allowed by"),
    ];
    for (name, command, text, code, says) in rows {
        assert!(text.len() < INPUT_BYTES, "{name}: {}", text.len());
        std::fs::write(&file, text).unwrap();
        let begun = Instant::now();
        let output =
            limited(&program("chainmail")).args([command, "--no-cache"]).arg(temp.path()).output().unwrap();
        println!("{name}: {:?} after {:.1} s", output.status.code(), begun.elapsed().as_secs_f64());
        let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        let last = said.lines().rev().take(5).collect::<Vec<_>>();
        assert_eq!(output.status.code(), Some(code), "{name}: {}: {last:?}", output.status);
        assert!(said.contains(says), "{name}: {says:?} is not in {last:?}");
    }
}

/// Runs commands on the manifests of a folder; says which did not end by itself.
fn ends(name: &str, input: &Path) -> Vec<String> {
    let out = input.with_extension("out");
    let bare = without_policies(input);
    let [folder, out_text, bare_text] = [input, &out, &bare].map(|path| path.to_str().unwrap());
    let commands: [&[&str]; 10] = [
        &["check", folder],
        &["compile", folder, "--out", out_text],
        &["lint", folder],
        &["describe", "shop/p", folder],
        &["describe", "shop/p1", folder],
        &["diff", bare_text, folder],
        &["diff", folder, bare_text],
        &["query", "--from", "outside", "--to", "shop/*", folder],
        &["query", "--from", "shop/p1", "--to", "*", folder],
        &["query", "--from", "10.0.77.1", "--to", "shop/*", folder],
    ];
    let mut wrong = Vec::new();
    for args in commands {
        let begun = Instant::now();
        let output = limited(&program("chainmail")).args(args).arg("--no-cache").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        println!(
            "{name}: {}: {:?} after {:.1} s",
            args[0],
            output.status.code(),
            begun.elapsed().as_secs_f64()
        );
        let is_answer = match output.status.code() {
            Some(0) => true,
            Some(1..=3) => !said.trim().is_empty(),
            _ => false,
        };
        if !is_answer {
            wrong.push(format!("{name}: {args:?}: {}: {last}", output.status));
        }
    }
    drop(std::fs::remove_dir_all(&bare));
    drop(std::fs::remove_dir_all(&out));
    wrong
}

/// The folder again without its policies, so that a comparison of the two differs in all that they say.
fn without_policies(input: &Path) -> PathBuf {
    let bare = input.with_extension("bare");
    for (name, bytes) in tree(input) {
        let path = bare.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => {
                let documents = text.split("---\n").filter(|document| !document.contains("NetworkPolicy"));
                documents.collect::<Vec<_>>().join("---\n").into_bytes()
            }
            Err(error) => error.into_bytes(),
        };
        std::fs::write(path, bytes).unwrap();
    }
    bare
}

/// Folders with everything that is generated somewhere in these tests, each under 5 MB, by their names.
fn folders(root: &Path) -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    let mut folder = |name: String| {
        let path = root.join(&name);
        std::fs::create_dir(&path).unwrap();
        all.push((name, path.clone()));
        path
    };
    let texts = inputs().into_iter().map(|(name, text, _)| (name, text)).chain(large::inputs());
    for (name, text) in texts.filter(|(_, text)| text.len() < INPUT_BYTES) {
        std::fs::write(folder(name.to_owned()).join("a.yaml"), text).unwrap();
    }
    for seed in 0..10 {
        let world = World::generate(seed);
        let path = folder(format!("world-{seed}"));
        let objects: Vec<String> =
            world.objects.iter().map(|object| serde_yaml::to_string(object).unwrap()).collect();
        std::fs::write(path.join("a.yaml"), objects.join("---\n")).unwrap();
        if let Some(config) = world.config_text() {
            std::fs::write(path.join("chainmail.toml"), config).unwrap();
        }
    }
    let size = Size { nodes: 20, pods: 2_000, policies: 400, seed: 1 };
    bench_input::write(&folder("bench-input".to_owned()), size).unwrap();
    let manifests = of_manifests(&support::root().join("policies"));
    for ten in 0..10 {
        let path = folder(format!("documents-{ten}"));
        for seed in 0..50 {
            std::fs::write(path.join(format!("{seed}.yaml")), generated(ten * 50 + seed, &manifests))
                .unwrap();
        }
    }
    all
}

#[test]
#[ignore = "takes minutes"]
fn every_input_under_five_megabytes_ends_in_ten_seconds_and_a_gibibyte() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("inputs");
    std::fs::create_dir(&root).unwrap();
    let folders = folders(&root);
    assert!(folders.len() > 50, "{}", folders.len());
    let wrong: Vec<String> = folders.iter().flat_map(|(name, folder)| ends(name, folder)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn policies_that_come_to_too_much_are_refused_with_the_limit() {
    let pieces = "all policies together come to more than 8000000 ranges of addresses and ports";
    let members = "all policies together come to sets of more than 8000000 pods";
    let rows = [
        ("ranges-within-ranges", pieces),
        ("ranges-side-by-side", pieces),
        ("all-namespaces-but-two", members),
        ("all-pods-but-one-for-each-pod", members),
        (
            "two-thousand-ranges-side-by-side",
            "all policies together come to more than 500000000 steps of proof",
        ),
        // With two pods of each, which are assumed for questions.
        ("workloads-without-pods", members),
    ];
    let temp = tempfile::tempdir().unwrap();
    let inputs = large::inputs();
    for (name, expected) in rows {
        let (_, text) = inputs.iter().find(|(known, _)| *known == name).unwrap();
        std::fs::write(temp.path().join("a.yaml"), text).unwrap();
        let output =
            limited(&program("chainmail")).args(["lint", "--no-cache"]).arg(temp.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{name}: {said}");
        assert!(said.contains("error[too-complex]") && said.contains(expected), "{name}: {said}");
        assert!(said.contains("--> a.yaml:"), "{name}: {said}");
    }
}

/// Replays the corpus of one fuzz target.
fn replay(target: &str) {
    let run = match target {
        "config" => hostile::config,
        "manifests" => hostile::manifests,
        "node" => hostile::node,
        "signers" => hostile::signers,
        "text" => fuzzed::text,
        "tree" => hostile::tree,
        "walk" => fuzzed::walk,
        other => panic!("there is no fuzz target {other}"),
    };
    let folder = support::root().join("tests/fuzz/corpus").join(target);
    for entry in std::fs::read_dir(folder).unwrap() {
        run(&std::fs::read(entry.unwrap().path()).unwrap());
    }
}

const TARGET: &str = "CHAINMAIL_TEST_FUZZ_TARGET";

#[test]
#[ignore = "takes minutes"]
fn the_corpora_of_the_fuzzer_end_in_ten_seconds_and_a_gibibyte() {
    // In the child that is limited.
    if let Ok(target) = std::env::var(TARGET) {
        return replay(&target);
    }
    let corpora = support::names(&support::root().join("tests/fuzz/corpus"));
    assert_eq!(corpora.len(), 7);
    for target in corpora {
        let name = "the_corpora_of_the_fuzzer_end_in_ten_seconds_and_a_gibibyte";
        let mut child = limited(&std::env::current_exe().unwrap());
        let output = child.args([name, "--exact", "--ignored"]).env(TARGET, &target).output().unwrap();
        assert!(output.status.success(), "{target}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// A repository without a work tree, whose branch names a tree that is made of its objects.
fn repository(at: &Path, make: impl FnOnce(&git2::Repository) -> git2::Oid) {
    let repository = git2::Repository::init_bare(at).unwrap();
    let tree = repository.find_tree(make(&repository)).unwrap();
    let who = git2::Signature::new("a", "a@example.com", &git2::Time::new(0, 0)).unwrap();
    repository.commit(Some("HEAD"), &who, &who, "all", &tree, &[]).unwrap();
}

fn tree_of(
    repository: &git2::Repository,
    entries: impl IntoIterator<Item = (String, git2::Oid, i32)>,
) -> git2::Oid {
    let mut builder = repository.treebuilder(None).unwrap();
    for (name, id, mode) in entries {
        builder.insert(name, id, mode).unwrap();
    }
    builder.write().unwrap()
}

const FILE: i32 = 0o100_644;
const FOLDER: i32 = 0o040_000;

#[test]
fn a_revision_that_names_far_more_than_it_holds_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let valid = |repository: &git2::Repository| repository.blob(VALID.as_bytes()).unwrap();
    let ten = |repository: &git2::Repository, id, mode, ending: &str| {
        tree_of(repository, (0..10).map(|name| (format!("{name}{ending}"), id, mode)))
    };
    repository(&temp.path().join("paths"), |repository| {
        let inner = ten(repository, valid(repository), FILE, ".yaml");
        (0..9).fold(inner, |inner, _| ten(repository, inner, FOLDER, ""))
    });
    repository(&temp.path().join("depth"), |repository| {
        let inner = ten(repository, valid(repository), FILE, ".yaml");
        (0..20_000).fold(inner, |inner, _| tree_of(repository, [("a".to_owned(), inner, FOLDER)]))
    });
    repository(&temp.path().join("copies"), |repository| {
        let large = repository.blob(&[VALID.as_bytes(), &vec![b'#'; 1 << 20]].concat()).unwrap();
        let inner = ten(repository, large, FILE, ".yaml");
        (0..3).fold(inner, |inner, _| ten(repository, inner, FOLDER, ""))
    });
    repository(&temp.path().join("zeros"), |repository| {
        let files = (0..17).map(|number| {
            let text = format!("# {number}\n{}", "#".repeat((16 << 20) - 100));
            (format!("{number}.yaml"), repository.blob(text.as_bytes()).unwrap(), FILE)
        });
        tree_of(repository, files)
    });
    let rows = [
        ("paths", "error[too-large]: with this there are more than 1048576 files and folders"),
        ("depth", "error[bad-path]: the path that begins so is longer than any that a work tree can have"),
        ("copies", "error[too-large]: with this file the copies of files come to more than 16777216 bytes"),
        ("zeros", "error[too-large]: with this file the manifests come to more than 268435456 bytes"),
    ];
    for (name, expected) in rows {
        for command in ["check", "lint"] {
            let output = limited(&program("chainmail"))
                .args([command, "--no-cache", "--repo"])
                .arg(temp.path().join(name))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{name}: {said}");
            assert!(said.contains(expected), "{name}: {said}");
        }
    }
}
