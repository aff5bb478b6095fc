//! Our reader of rules against `iptables-restore` and `iptables-save`, on real kernels of both backends.
//!
//! Random texts with quotes, escapes, blanks, comments and control characters: where our reader takes one for a rule, the
//! kernel holds just that rule after it was loaded. Where it does not, the text is refused, and nothing is claimed.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests run the kernel's tools, print what they counted, and may panic"
)]

mod support;

use std::io::Write as _;
use std::process::Stdio;

use chainmail_contract::Family;
use chainmail_lab::Namespace;
use chainmail_tests::seeded::Seeded;
use chainmail_verdict::record::{Record, records, words};
use chainmail_verdict::{Rule, Ruleset};
use support::kernel;

const BACKENDS: [&str; 2] = ["nft", "legacy"];
/// How many texts are made.
const TEXTS: usize = 100_000;
/// How many rules are loaded in one call.
const BATCH: usize = 4_000;
/// How many comments of others are loaded, one call each.
const COMMENTS: usize = 150;

const HEAD: &str = "*filter\n:CM-A - [0:0]\n:CM-B - [0:0]\n";

/// Runs a tool in a namespace; answers what it printed, and what it complained of.
fn run(namespace: &Namespace, tool: &[&str], input: &str) -> Result<String, String> {
    let mut command = namespace.command();
    let command = command.args(tool).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(text) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// A word between quotes, or not, or in part; with what may be mistaken for the end of it.
fn quoted(random: &mut Seeded, word: &str) -> String {
    let escaped = || word.chars().flat_map(|c| ['\\', c]).collect::<String>();
    match random.below(24) {
        0..=17 => word.to_owned(),
        18 => format!("\"{word}\""),
        19 => format!("\"{}\"", escaped()),
        20 => format!("\"\"{word}"),
        21 => format!("{}\"{}\"", word.get(..1).unwrap_or_default(), word.get(1..).unwrap_or_default()),
        22 => format!("\"{word}"),
        _ => format!("\"{word}\"\""),
    }
}

fn blank(random: &mut Seeded, is_after_quote: bool) -> &'static str {
    match random.below(if is_after_quote { 8 } else { 40 }) {
        0 => "",
        1 => "  ",
        2 => "\t",
        3 => " \t ",
        _ => " ",
    }
}

/// Text for a comment: what means something to some reader on the way.
fn remark(random: &mut Seeded) -> String {
    let pieces = [
        "a",
        "b c",
        " ",
        "\t",
        "\\\"",
        "\\\\",
        "\\",
        "\"",
        "'",
        "#",
        "!",
        "-j",
        " -j DROP ",
        "-A CM-A",
        "\u{b}",
        "\r",
        "\u{7f}",
        "\u{1}",
        "é",
        "\u{2028}",
        "[0:0]",
        "COMMIT",
        ":",
        "%s",
        "$(x)",
        "\\n",
        "\\x",
    ];
    (0..random.below(6)).map(|_| *random.pick(&pieces)).collect()
}

/// A text that is a rule to somebody, perhaps.
fn text(random: &mut Seeded) -> String {
    let mut words: Vec<String> = Vec::new();
    for _ in 0..random.below(3) {
        let matches: [&[&str]; 6] = [
            &["-s", "10.0.0.1"],
            &["-d", "10.1.0.0/16"],
            &["-p", "udp"],
            &["!", "-i", "eth0"],
            &["-m", "conntrack", "--ctstate", "NEW"],
            &["-m", "pkttype", "--pkt-type", "unicast"],
        ];
        words.extend(random.pick(&matches).iter().map(|word| quoted(random, word)));
    }
    if random.percent(60) {
        let comment = remark(random);
        let comment = if random.percent(80) { format!("\"{comment}\"") } else { comment };
        words.extend(["-m", "comment", "--comment"].map(str::to_owned));
        words.push(comment);
    }
    let targets: [&[&str]; 4] = [&["-j", "RETURN"], &["-j", "DROP"], &["-g", "CM-B"], &["-j", "CM-B"]];
    let others: [&[&str]; 3] = [&["-jDROP"], &["-j", "TEE"], &["--jump", "DROP"]];
    let target = if random.percent(8) { random.pick(&others) } else { random.pick(&targets) };
    words.extend(target.iter().map(|word| quoted(random, word)));
    let mut text = "-A CM-A".to_owned();
    for word in words {
        let after_quote = text.ends_with('"');
        text.push_str(blank(random, after_quote));
        text.push_str(&word);
    }
    if random.percent(15) {
        let at = (0..=random.below(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let odd: &&str = random.pick(&["\"", "\\", "\0", "\n", "#", " ", "\r"]);
        text.insert_str(at.max("-A CM-A".len()), odd);
    }
    text
}

/// What our reader takes a text for.
fn read(text: &str) -> Option<Rule> {
    let rules = Ruleset::parse(Family::V4, &format!("{HEAD}{text}\nCOMMIT\n")).ok()?;
    let chain = rules.chain(rules.find("CM-A")?);
    let empty = rules.chain(rules.find("CM-B")?).rules.is_empty() && rules.foreign().is_empty();
    match &chain.rules[..] {
        [rule] if empty => Some(rule.clone()),
        _ => None,
    }
}

/// What a rule says, without where it stands. iptables-save prints matches in an order of its own.
fn said(rule: &Rule) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut matches = rule.matches.clone();
    matches.sort();
    (matches, rule.target.clone(), rule.comment.clone())
}

#[test]
fn a_text_is_to_our_reader_what_it_is_to_iptables_or_it_is_refused() {
    if kernel::skipped() {
        return;
    }
    let mut random = Seeded::new(14);
    let all: Vec<String> = (0..TEXTS).map(|_| text(&mut random)).collect();
    let read: Vec<(&str, Rule)> = all.iter().filter_map(|text| Some((text.as_str(), read(text)?))).collect();
    let odd = read.iter().filter(|(text, _)| text.contains(['"', '\\', '\t', '\u{b}', '\r'])).count();
    println!("{TEXTS} texts, {} of them rules, {odd} with quotes, escapes or control characters", read.len());
    assert!(read.len() > TEXTS / 5 && odd > TEXTS / 10, "too few are rules to tell anything");
    for backend in BACKENDS {
        let namespace = Namespace::prepared_by("true").unwrap();
        for batch in read.chunks(BATCH) {
            compare(&namespace, backend, batch);
        }
    }
}

/// Loads rules and holds what the kernel saves against what was read of them.
fn compare(namespace: &Namespace, backend: &str, batch: &[(&str, Rule)]) {
    let lines: String = batch.iter().map(|(text, _)| format!("{text}\n")).collect();
    let restore = format!("iptables-{backend}-restore");
    if let Err(complaint) = run(namespace, &[&restore, "--noflush"], &format!("{HEAD}{lines}COMMIT\n")) {
        let refused = |text: &str| {
            run(namespace, &[&restore, "--noflush", "--test"], &format!("{HEAD}{text}\nCOMMIT\n"))
        };
        let culprit = batch.iter().find(|(text, _)| refused(text).is_err());
        panic!(
            "{backend} refuses what our reader takes for a rule: {:?}\n{complaint}",
            culprit.map(|(text, _)| text)
        );
    }
    let saved = run(namespace, &[&format!("iptables-{backend}-save"), "-t", "filter"], "").unwrap();
    let saved = Ruleset::parse(Family::V4, &saved).unwrap_or_else(|error| panic!("{backend}: {error}"));
    let held = &saved.chain(saved.find("CM-A").unwrap()).rules;
    for ((text, rule), held) in batch.iter().zip(held) {
        assert_eq!(said(rule), said(held), "{backend}: {text:?} is {:?}", held.text);
    }
    assert_eq!(batch.len(), held.len(), "{backend}");
}

#[test]
fn comments_of_others_are_read_back_whole_whatever_they_hold() {
    if kernel::skipped() {
        return;
    }
    let mut random = Seeded::new(33);
    let pieces =
        ["\n", "\n:CM-BAD - [0:0]", "\n-A FORWARD -j CM-A", "\nCOMMIT", "\n*nat", "\"", "\\", "'", " ", "x"];
    let comments: Vec<String> = (0..COMMENTS)
        .map(|_| format!("a{}", (0..random.below(5)).map(|_| *random.pick(&pieces)).collect::<String>()))
        .collect();
    for backend in BACKENDS {
        let namespace = Namespace::prepared_by("true").unwrap();
        let tool = format!("iptables-{backend}");
        run(&namespace, &[&tool, "-N", "OTHERS"], "").unwrap();
        for comment in &comments {
            run(
                &namespace,
                &[&tool, "-A", "OTHERS", "-m", "comment", "--comment", comment, "-j", "ACCEPT"],
                "",
            )
            .unwrap();
        }
        let saved = run(&namespace, &[&format!("{tool}-save"), "-t", "filter"], "").unwrap();
        let mut found = Vec::new();
        for line in records(&saved) {
            match line.record {
                Record::Rule { chain, body, .. } => {
                    assert_eq!(chain, "OTHERS", "{backend}: {body:?}");
                    found.push(words(body).unwrap()[3].to_string());
                }
                Record::Chain { name, .. } => assert!(!name.starts_with("CM-"), "{backend}: {name}"),
                Record::Table(_) | Record::Commit | Record::Remark(_) => {}
                Record::Other(other) => panic!("{backend}: {other:?}"),
            }
        }
        assert_eq!(found, comments, "{backend}");
        assert!(Ruleset::parse(Family::V4, &saved).unwrap().chains().is_empty(), "{backend}");
    }
}
