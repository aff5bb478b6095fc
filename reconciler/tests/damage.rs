//! A state folder that a failing disk has damaged before a boot, against the kernel of this machine: the node ends with the
//! right rules, with those of an older whole copy, or closed.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, writes what they read, and fails by panic"
)]

#[path = "support/damage.rs"]
mod failing_disk;
mod support;

use std::path::Path;

use failing_disk::{Random, copy, damage};
use support::node::{BACKENDS, Node, policy, skipped};
use support::{Done, Namespace};

const STATE: &str = "var/lib/chainmail/state";

/// A boot of a node whose folder this is: nothing is in the kernel, and the spool is not there.
fn boot(root: &Path, backend: &str) -> (Done, String) {
    let namespace = Namespace::new();
    let program = env!("CARGO_BIN_EXE_chainmaild");
    let done = namespace.run(&[program, "--root", root.to_str().unwrap(), "boot"], "");
    let mut state = String::new();
    for tool in ["iptables", "ip6tables"] {
        let saved = namespace.ok(&[&format!("{tool}-{backend}-save"), "-t", "filter"], "");
        // Counters and dates are of the moment.
        let lines = saved.lines().filter(|line| line.contains(" CM-") || line.starts_with(":CM-"));
        state.extend(lines.flat_map(|line| [tool, " ", line, "\n"]));
    }
    (done, state + &namespace.ok(&["ipset", "save"], ""))
}

/// `ipset save` says by which number a set's hash begins, which is drawn anew for each set.
fn without_initval(state: &str) -> String {
    let line = |line: &str| match line.split_once(" initval ") {
        Some((before, after)) => {
            let (_, rest) = after.split_once(' ').unwrap_or((after, ""));
            format!("{before} {rest}\n")
        }
        None => format!("{line}\n"),
    };
    let mut lines: Vec<String> = state.lines().map(line).collect();
    lines.sort();
    lines.concat()
}

fn each_damage_ends_well(seeds: u64) {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        node.configure("trial = \"off\"\n");
        let snapshots = [80, 81, 82].map(|port| policy(&["10.8.0.0/24"], port));
        let running = node.enforce(&snapshots[0]);
        for snapshot in &snapshots[1..] {
            node.spool(snapshot);
            node.wait_for(snapshot);
        }
        assert_eq!(running.stop(), Some(0));
        let root = || {
            let root = tempfile::tempdir().unwrap();
            copy(&node.root().join(STATE), &root.path().join(STATE));
            copy(&node.root().join("etc"), &root.path().join("etc"));
            root
        };
        let kept = |root: &Path, index: usize| {
            root.join(STATE).join("snapshots").join(snapshots[index].manifest.digest.as_str())
        };
        // Each snapshot is met where those that are younger are gone; without any the node is closed.
        let expected: Vec<(Done, String)> = (0..4)
            .map(|left| {
                let root = root();
                for index in left..3 {
                    std::fs::remove_dir_all(kept(root.path(), index)).unwrap();
                }
                let (done, state) = boot(root.path(), backend);
                (done, without_initval(&state))
            })
            .collect();
        let codes: Vec<i32> = expected.iter().map(|(done, _)| done.code).collect();
        assert_eq!(codes, [6, 5, 5, 0], "{backend}: {}{}", expected[0].0.out, expected[0].0.err);
        for (index, port) in [(1, "80,443"), (2, "81,443"), (3, "82,443")] {
            assert!(expected[index].1.contains(port), "{backend}: {}", expected[index].1);
        }
        let closed = &expected[0];
        assert!(
            closed.0.out.contains("closed") && closed.0.out.contains("chainmail-fetch once"),
            "{}",
            closed.0.out
        );
        for rule in ["-A CM-FORWARD -s 10.8.0.9/32 -j DROP", "-A CM-FORWARD -d 10.8.0.9/32 -j DROP"] {
            assert!(closed.1.contains(rule), "{backend}: {}", closed.1);
        }
        for seed in 0..seeds {
            let root = root();
            let mut random = Random(seed);
            if seed % 3 == 2 {
                for index in 0..2 {
                    std::fs::remove_dir_all(kept(root.path(), index)).unwrap();
                }
            }
            let how = damage(&root.path().join(STATE), &mut random);
            let (done, state) = boot(root.path(), backend);
            let state = without_initval(&state);
            let end = expected.iter().position(|(_, expected)| *expected == state);
            let Some(end) = end else {
                panic!(
                    "{backend}, seed {seed}, {how}: none of the states is met\n{state}{}{}",
                    done.out, done.err
                )
            };
            assert_eq!(done.code, codes[end], "{backend}, seed {seed}, {how}: {}{}", done.out, done.err);
        }
    }
}

#[test]
fn a_damaged_state_never_opens_a_node() {
    each_damage_ends_well(30);
}

#[test]
#[ignore = "takes minutes"]
fn a_state_damaged_in_300_ways_never_opens_a_node() {
    each_damage_ends_well(300);
}
