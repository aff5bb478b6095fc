//! What applying and looking cost, compared with the tools alone on the same texts. `make bench` runs it, as it is
//! built for nodes, against the figures in `committed-cost.toml`.

#![expect(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test starts programs, tells what it measured, and fails by panic"
)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use chainmail_contract::{Family, SetKind};
use support::node::{BACKENDS, Node, skipped};
use support::{Snapshot, set_of};

/// How often each thing is measured; the median counts.
const TIMES: usize = 5;

/// The committed figures, by backend and name.
const COMMITTED: &str = include_str!("committed-cost.toml");
/// How many times its committed one a figure may be: a shared machine's vary.
const SLACK: f64 = 1.5;

/// 10,000 pods in sets and 110 classes of 30 rules.
fn large(port: u16) -> Snapshot {
    let pods: Vec<String> =
        (0..10_000).map(|pod| format!("10.{}.{}.{}", 8 + pod / 50_000, pod / 250 % 250, pod % 250)).collect();
    let mut sets =
        vec![set_of(Family::V4, SetKind::HashIp, &pods.iter().map(String::as_str).collect::<Vec<_>>())];
    for group in pods.chunks(1000) {
        // Another snapshot has other sets, as after a change of pods.
        let group: Vec<_> = group.iter().map(String::as_str).skip(usize::from(port % 10)).collect();
        sets.push(set_of(Family::V4, SetKind::HashIp, &group));
    }
    let (mut declared, mut rules, mut dispatch) = (String::new(), String::new(), String::new());
    for class in 0..110 {
        writeln!(declared, ":CM-I-{class:016x} - [0:0]").unwrap();
        writeln!(dispatch, "-A CM-INGRESS -d 10.8.0.{class}/32 -g CM-I-{class:016x}").unwrap();
        for rule in 0..30 {
            let set = &sets[1 + rule % 10].0;
            let port = usize::from(port) + rule;
            writeln!(
                rules,
                "-A CM-I-{class:016x} -p tcp -m tcp --dport {port} -m set --match-set {set} src -j RETURN"
            )
            .unwrap();
        }
        writeln!(rules, "-A CM-I-{class:016x} -j DROP").unwrap();
    }
    // iptables-save prints rules chain by chain, in this order.
    let v4 = format!(
        "*filter\n:CM-FORWARD - [0:0]\n{declared}:CM-INGRESS - [0:0]\n\
         -A CM-FORWARD -m set --match-set {} dst -g CM-INGRESS\n{rules}{dispatch}-A CM-INGRESS -j DROP\nCOMMIT\n",
        sets[0].0
    );
    Snapshot::new(v4, "*filter\nCOMMIT\n".to_owned(), sets)
}

fn median(mut measure: impl FnMut(usize) -> Duration) -> Duration {
    let mut times: Vec<_> = (0..TIMES).map(&mut measure).collect();
    times.sort();
    times[TIMES / 2]
}

fn timed(run: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    run();
    begin.elapsed()
}

/// The tools alone: sets, both families, and the old sets gone.
fn bare_apply(node: &Node, old: &Snapshot, new: &Snapshot) -> Duration {
    let comes: String = new
        .sets
        .iter()
        .filter(|(name, _)| !old.sets.contains_key(name))
        .map(|(_, text)| text.as_str())
        .collect();
    let goes: Vec<_> = old.sets.keys().filter(|name| !new.sets.contains_key(name)).collect();
    timed(|| {
        node.namespace.ok(&["ipset", "restore"], &comes);
        node.namespace.ok(&[&format!("iptables-{}-restore", node.backend), "--noflush"], &new.v4);
        node.namespace.ok(&[&format!("ip6tables-{}-restore", node.backend), "--noflush"], &new.v6);
        for set in goes {
            node.namespace.ok(&["ipset", "destroy", set.as_str()], "");
        }
    })
}

fn bare_save(node: &Node) -> Duration {
    timed(|| {
        node.namespace.ok(&[&format!("iptables-{}-save", node.backend), "-t", "filter"], "");
        node.namespace.ok(&[&format!("ip6tables-{}-save", node.backend), "-t", "filter"], "");
        node.namespace.ok(&["ipset", "save"], "");
    })
}

/// What the service measured last, by a word of its message.
fn measured(node: &Node, message: &str) -> Duration {
    let said = node.read("said");
    let line = said.lines().rfind(|line| line.contains(message)).unwrap();
    let digits = line.rsplit("milliseconds=").next().unwrap();
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    Duration::from_millis(digits.parse().unwrap())
}

/// Own and tools' CPU time in clock ticks, proc(5).
fn ticks(process: u32) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // State is the 3rd field of the manual; utime is the 14th. One of those between is negative without a terminal.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let [utime, stime, cutime, cstime] = [11, 12, 13, 14].map(|index| fields[index].parse::<u64>().unwrap());
    (utime + stime, cutime + cstime)
}

#[test]
#[ignore = "measures; run by make bench"]
fn applying_costs_little_more_than_the_tools_alone() {
    if skipped() {
        return;
    }
    let snapshots = [large(1000), large(2001)];
    let committed: BTreeMap<String, BTreeMap<String, f64>> = toml::from_str(COMMITTED).unwrap();
    let mut worse = Vec::new();
    for (backend, goal) in BACKENDS.into_iter().zip([2.0, 2.4]) {
        let bare = Node::new(backend);
        let empty = Snapshot::new("*filter\nCOMMIT\n".to_owned(), "*filter\nCOMMIT\n".to_owned(), []);
        bare_apply(
            &bare,
            &empty,
            &Snapshot::new("*filter\nCOMMIT\n".to_owned(), empty.v6.clone(), snapshots[0].sets.clone()),
        );
        bare.namespace.ok(&[&format!("iptables-{backend}-restore"), "--noflush"], &snapshots[0].v4);
        let tools = median(|turn| bare_apply(&bare, &snapshots[turn % 2], &snapshots[(turn + 1) % 2]));
        let saves = median(|_| bare_save(&bare));

        let node = Node::new(backend);
        node.configure("interval = 3600\ntrial = \"off\"\n");
        let running = node.enforce(&snapshots[0]);
        let before = ticks(running.id());
        let ours = median(|turn| {
            let wanted = &snapshots[(turn + 1) % 2];
            node.spool(wanted);
            node.wait_for(wanted);
            measured(&node, "applied: ")
        });
        let after = ticks(running.id());
        let (own, theirs) = (after.0 - before.0, after.1 - before.1);
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
        let kilobytes = |field: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(field)).unwrap();
            line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
        };
        // Each news of the spool is a reason to look.
        let look = median(|_| {
            let looked = || node.read("said").matches("read and compared").count();
            let before = looked();
            node.want(&node.status().1);
            node.wait_until("a look", || looked() > before);
            measured(&node, "read and compared")
        });
        let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
        let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole as f64;
        eprintln!("{backend}: apply {ours:?}, tools {tools:?}; look {look:?}, saves {saves:?}");
        let figures = [
            ("apply", ratio(ours, tools), goal, "times the tools' time"),
            ("own-cpu", percent(own, theirs), 10.0, "% of the tools' CPU time"),
            ("look", ratio(look, saves), 1.3, "times the saves' time"),
            ("resident", kilobytes("VmRSS") as f64 / 1000.0, 40.0, "MB"),
        ];
        for (name, found, goal, unit) in figures {
            let known = committed[backend][name];
            let word = if found <= goal { "met" } else { "missed" };
            eprintln!("{backend}: {name:<9} {found:>7.2} {unit}; committed {known}, goal {goal} {word}");
            if found > known * SLACK {
                worse.push(format!("{backend} {name}: {found:.2}, committed {known}"));
            }
        }
        assert_eq!(running.stop(), Some(0));
    }
    assert!(worse.is_empty(), "over {SLACK} times the committed figures: {worse:?}");
}
