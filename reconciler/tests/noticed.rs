//! What others do to rules and sets of ours is noticed and undone, long before the interval is over.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test reads what programs write, fails by panic, and tells what it measured"
)]

mod support;

use std::time::{Duration, Instant};

use chainmail_contract::{Family, SetKind};
use support::node::{BACKENDS, Node, policy, skipped};
use support::{Snapshot, set_of};

/// What is done to the sets of a snapshot whose peers are one set, as `ipset restore` reads it. MEMBERS is that set.
const SETS: [(&str, &str); 5] = [
    ("a foreign member", "add MEMBERS 10.66.0.0/16\n"),
    ("a member is gone", "del MEMBERS 10.8.0.0/24\n"),
    // Nothing in the header of the set tells of it.
    ("a member is exchanged", "del MEMBERS 10.8.0.0/24\nadd MEMBERS 10.67.0.0/24\n"),
    (
        "swapped",
        "create other hash:net family inet\nadd other 10.68.0.0/24\nadd other 10.69.0.0/24\nswap MEMBERS other\n",
    ),
    ("flushed", "flush MEMBERS\n"),
];

/// What is done to rules, as arguments of `iptables`.
const RULES: [(&str, &[&str]); 4] = [
    ("a chain is flushed", &["-F", "CM-INGRESS"]),
    ("the jump is deleted", &["-D", "FORWARD", "-j", "CM-FORWARD"]),
    ("ACCEPT stands before the jump", &["-I", "FORWARD", "1", "-j", "ACCEPT"]),
    ("a rule is added", &["-I", "CM-INGRESS", "1", "-j", "ACCEPT"]),
];

/// Does each of these to a node that looks at its kernel once an hour, and returns how long each was in force.
fn times(backend: &'static str) -> Vec<(&'static str, Duration)> {
    let node = Node::new(backend);
    node.configure("interval = 3600\ntrial = \"off\"\n");
    let snapshot = policy(&["10.8.0.0/24", "10.9.0.0/24"], 80);
    let running = node.enforce(&snapshot);
    let peers = snapshot.sets.iter().find(|(_, text)| text.contains("add") && text.contains("10.8.0.0/24"));
    let peers = peers.unwrap().0.as_str();
    let mut times = Vec::new();
    for (name, text) in SETS {
        let text = text.replace("MEMBERS", peers);
        times.push((
            name,
            undone(&node, &snapshot, name, || drop(node.namespace.ok(&["ipset", "restore"], &text))),
        ));
        node.namespace.run(&["ipset", "destroy", "other"], "");
    }
    for (name, arguments) in RULES {
        let tool = format!("iptables-{backend}");
        let words = [&[tool.as_str()], arguments].concat();
        times.push((name, undone(&node, &snapshot, name, || drop(node.namespace.ok(&words, "")))));
        // What others have put into FORWARD is theirs.
        if arguments.contains(&"FORWARD") && arguments.contains(&"-I") {
            node.namespace.ok(&[&tool, "-D", "FORWARD", "-j", "ACCEPT"], "");
        }
    }
    assert_eq!(running.stop(), Some(0));
    times
}

/// Does something, and waits until the service has undone it.
fn undone(node: &Node, snapshot: &Snapshot, name: &str, change: impl FnOnce()) -> Duration {
    // What the service is still at after the last change is not to notice this one.
    let begin = Instant::now();
    let looks = || node.read("said").matches("read and compared").count();
    let mut quiet = (looks(), Instant::now());
    node.wait_until("it rests", || {
        if looks() != quiet.0 {
            quiet = (looks(), Instant::now());
        }
        quiet.1.elapsed() > Duration::from_millis(1500) || begin.elapsed() > Duration::from_secs(30)
    });
    let heals = || node.read("var/lib/chainmail/state/history.jsonl").matches("\"healed\"").count();
    let before = heals();
    change();
    let begin = Instant::now();
    node.wait_until(&format!("{name}: undone"), || heals() > before);
    let time = begin.elapsed();
    node.assert_holds(snapshot);
    time
}

#[test]
fn what_others_do_is_undone_though_the_next_full_look_is_far() {
    if !skipped() {
        for backend in BACKENDS {
            times(backend);
        }
    }
}

#[test]
#[ignore = "measures; run by make test-long"]
fn what_others_do_is_undone_within_two_seconds() {
    if !skipped() {
        for backend in BACKENDS {
            let times = times(backend);
            for (name, time) in &times {
                eprintln!("{backend}: {name}: undone after {time:?}");
            }
            assert!(times.iter().all(|(_, time)| *time <= Duration::from_secs(2)), "{backend}");
        }
    }
}

/// 10,000 pods in sets, and a class of a few rules.
fn large() -> Snapshot {
    let pods: Vec<String> = (0..10_000).map(|pod| format!("10.8.{}.{}", pod / 250, pod % 250)).collect();
    let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
    let all = set_of(Family::V4, SetKind::HashIp, &pods);
    let class = "CM-I-0000000000000001";
    let v4 = format!(
        "*filter\n:CM-FORWARD - [0:0]\n:{class} - [0:0]\n:CM-INGRESS - [0:0]\n\
         -A CM-FORWARD -m set --match-set {all} dst -g CM-INGRESS\n\
         -A {class} -p tcp -m tcp --dport 80 -m set --match-set {all} src -j RETURN\n-A {class} -j DROP\n\
         -A CM-INGRESS -d 10.8.0.9/32 -g {class}\n-A CM-INGRESS -j DROP\nCOMMIT\n",
        all = all.0
    );
    Snapshot::new(v4, "*filter\nCOMMIT\n".to_owned(), [all])
}

/// The time that a process and its tools were at work, in clock ticks of 10 ms: proc(5).
fn ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(4);
    fields.map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
#[ignore = "measures; run by make test-long"]
fn looking_out_takes_a_hundredth_of_a_core() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        node.configure("interval = 3600\ntrial = \"off\"\n");
        let running = node.enforce(&large());
        std::thread::sleep(Duration::from_secs(5));
        let seconds = 30;
        let before = ticks(running.id());
        std::thread::sleep(Duration::from_secs(seconds));
        let ticks = ticks(running.id()) - before;
        eprintln!("{backend}: {ticks} ticks in {seconds} s");
        // 1 % of a core; the period grows with what a look takes, so more is a defect. A tick is 10 ms.
        assert!(ticks <= seconds + 5, "{backend}: {ticks} ticks in {seconds} s");
        assert_eq!(running.stop(), Some(0));
    }
}
