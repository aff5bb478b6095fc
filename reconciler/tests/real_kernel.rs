//! `chainmaild` against the kernel of this machine, in network namespaces of its own, on both backends.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, writes what they read, and fails by panic"
)]

mod support;

use chainmail_contract::{Family, SetKind};
use chainmail_reconciler::lock::ApplyLock;
use support::node::{BACKENDS, Node, assert_code, policy, refused, skipped};
use support::{Snapshot, set_of};

#[test]
fn apply_twice_change_and_uninstall() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        let before = node.state();
        let first = policy(&["10.8.0.0/24", "10.9.0.0/16"], 80);
        let first_dir = node.tree("first", &first);

        let done = node.apply(&first_dir, &["--dry-run"]);
        assert_code(&done, 0);
        assert!(done.out.starts_with("would apply"), "{}", done.out);
        assert!(done.out.contains("+ -A CM-INGRESS -j DROP"), "{}", done.out);
        assert_eq!(node.state(), before, "{backend}: a dry run changes nothing");

        let done = node.apply(&first_dir, &[]);
        assert_code(&done, 0);
        assert!(done.out.contains("v4: 12 rules added, jump from FORWARD inserted"), "{}", done.out);
        node.assert_holds(&first);
        assert_eq!(node.foreign_state(), before, "{backend}");

        let state = node.state();
        let done = node.apply(&first_dir, &[]);
        assert_code(&done, 0);
        assert!(done.out.starts_with("nothing to change"), "{}", done.out);
        let done = node.apply(&first_dir, &["-o", "json"]);
        assert!(
            done.out.contains("\"changed\": false") && done.out.contains("\"steps\": []"),
            "{}",
            done.out
        );
        assert_eq!(node.state(), state, "{backend}");

        let second = policy(&["10.8.0.0/24"], 8080);
        let done = node.apply(&node.joined("second", &second), &["-o", "json"]);
        assert_code(&done, 0);
        assert!(done.out.contains("\"changed\": true"), "{}", done.out);
        node.assert_holds(&second);
        assert_eq!(node.foreign_state(), before, "{backend}");

        for _ in 0..2 {
            assert_code(&node.chainmaild(&["uninstall"]), 0);
            assert_eq!(node.state(), before, "{backend}: as before Chainmail came");
        }
    }
}

#[test]
fn what_others_did_to_our_part_is_healed() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        let snapshot = policy(&["10.8.0.0/24"], 80);
        let dir = node.tree("s", &snapshot);
        assert_code(&node.apply(&dir, &[]), 0);
        let iptables = format!("iptables-{backend}");
        let peers = set_of(Family::V4, SetKind::HashNet, &["10.8.0.0/24"]).0;
        let rows: &[(&str, &[&[&str]])] = &[
            (
                "jump pushed down and doubled",
                &[&["-I", "FORWARD", "-s", "10.0.0.1", "-j", "DROP"], &["-A", "FORWARD", "-j", "CM-FORWARD"]],
            ),
            ("all flushed", &[&["-F"]]),
            ("chain flushed", &[&["-F", "CM-INGRESS"]]),
            ("rule put in", &[&["-I", "CM-INGRESS", "-j", "RETURN"]]),
            ("chain of our name space", &[&["-N", "CM-OLD"], &["-A", "CM-OLD", "-j", "CM-INGRESS"]]),
        ];
        for (row, commands) in rows {
            for command in *commands {
                node.namespace.ok(&[&[iptables.as_str()], *command].concat(), "");
            }
            assert_code(&node.apply(&dir, &[]), 0);
            node.assert_holds(&snapshot);
            assert!(node.apply(&dir, &[]).out.starts_with("nothing to change"), "{backend}: {row}");
        }
        let drifts = [
            format!("add {peers} 0.0.0.0/1\n"),
            format!("add {peers} 10.8.0.128/25 nomatch\n"),
            format!("del {peers} 10.8.0.0/24\n"),
            "create cm4-tmp-0 hash:ip\nadd cm4-tmp-0 10.0.0.1\ncreate cm6-tmp-3 hash:net family inet6\n"
                .to_owned(),
            "create cm4-0123456789abcdef0123 hash:ip\n".to_owned(),
        ];
        for drift in drifts {
            node.namespace.ok(&["ipset", "restore"], &drift);
            let done = node.apply(&dir, &[]);
            assert_code(&done, 0);
            assert!(!done.out.contains("v4:"), "no rule needs to change: {}", done.out);
            node.assert_holds(&snapshot);
            assert!(node.apply(&dir, &[]).out.starts_with("nothing to change"), "{backend}: {drift}");
        }
        let cut = "add cm4-CUT 10.8.0.9,tcp:5,10.8.0.1 timeout 600\n";
        node.namespace.ok(&["ipset", "restore"], cut);
        assert!(node.apply(&dir, &[]).out.starts_with("nothing to change"), "{backend}");
        assert_code(&node.apply(&node.tree("t", &policy(&["10.8.0.0/24"], 81)), &[]), 0);
        assert!(
            node.state().contains("add cm4-CUT 10.8.0.9,tcp:5,10.8.0.1"),
            "{backend}: cut flows stay cut"
        );
    }
}

#[test]
fn a_stale_chain_that_a_rule_of_others_leads_into_stays_without_effect() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        let (old, new) = (policy(&["10.8.0.0/24"], 80), policy(&["10.9.0.0/16"], 8080));
        assert_code(&node.apply(&node.tree("old", &old), &[]), 0);
        let (iptables, stale) = (format!("iptables-{backend}"), format!("CM-I-{:016x}", 80));
        node.namespace.ok(&[&iptables, "-N", "FOO"], "");
        node.namespace.ok(&[&iptables, "-A", "FOO", "-j", &stale], "");
        let done = node.apply(&node.tree("new", &new), &[]);
        assert_code(&done, 0);
        let rule = format!("-A FOO -j {stale}");
        assert!(done.err.contains(&rule), "{}", done.err);
        let rules = node.namespace.ok(&[&iptables, "-S", &stale], "");
        assert_eq!(rules, format!("-N {stale}\n"), "a chain without rules returns");
        assert!(node.namespace.ok(&[&iptables, "-S"], "").contains("8080"));
        // Nothing is left to do, and the sets of the old rules are gone.
        let again = node.apply(&node.tree("new", &new), &[]);
        assert!(again.out.starts_with("nothing to change"), "{}", again.out);
        let sets = node.namespace.ok(&["ipset", "list", "-n"], "");
        assert!(
            old.sets.keys().all(|set| new.sets.contains_key(set) || !sets.contains(set.as_str())),
            "{sets}"
        );
        // It goes with the rule.
        node.namespace.ok(&[&iptables, "-F", "FOO"], "");
        assert_code(&node.apply(&node.tree("new", &new), &[]), 0);
        node.assert_holds(&new);
    }
}

#[test]
fn what_the_kernel_refuses_leaves_the_old_state() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::refusing(backend);
        let good = policy(&["10.8.0.0/24"], 80);
        let bad = refused(&policy(&["10.9.0.0/16"], 8080));
        let bad_dir = node.tree("bad", &bad);

        let before = node.state();
        let done = node.apply(&bad_dir, &[]);
        assert_code(&done, 5);
        assert!(done.err.contains("changing the rules of v6 failed"), "{}", done.err);
        assert_eq!(node.state(), before, "{backend}: from nothing");

        assert_code(&node.apply(&node.tree("good", &good), &[]), 0);
        let before = node.state();
        assert_code(&node.apply(&bad_dir, &[]), 5);
        node.assert_holds(&good);
        let sorted = |state: String| {
            let mut lines: Vec<_> = state.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(node.state()), sorted(before), "{backend}: from old rules");
    }
}

/// The tool, or the kernel, makes another rule of one of ours.
const MISREADS: &str = r#"
sed -i '/-A CM-INGRESS .* -g CM-I-0000000000001f90/a -A CM-INGRESS -s 192.0.2.1/32 -j ACCEPT' "$text"
exec "$tool" "$@" < "$text"
"#;

#[test]
fn a_rule_that_nobody_asked_for_does_not_outlive_its_change() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::with_restore(backend, MISREADS);
        let (good, bad) = (policy(&["10.8.0.0/24"], 80), policy(&["10.8.0.0/24"], 8080));
        let before = node.state();
        let done = node.apply(&node.tree("bad", &bad), &[]);
        assert_code(&done, 5);
        assert!(done.err.contains("v4 has -A CM-INGRESS -s 192.0.2.1/32 -j ACCEPT"), "{}", done.err);
        assert_eq!(node.state(), before, "{backend}: from nothing");

        node.configure("trial = \"off\"\n");
        let running = node.enforce(&good);
        node.spool(&bad);
        node.wait_until("held", || node.status().0 == "held rolled-back");
        // Whoever stops the service now leaves nothing behind.
        assert_eq!(running.stop(), Some(0));
        node.assert_holds(&good);
    }
}

#[test]
fn comments_of_others_are_no_rules_whatever_they_hold() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        let tool = format!("iptables-{backend}");
        for text in
            ["a\n:CM-BAD - [0:0]", "a\n-A CM-INGRESS -j ACCEPT", "a\n-A FORWARD -j CM-FORWARD", "\"\nCOMMIT"]
        {
            let rule = ["-A", "INPUT", "-m", "comment", "--comment", text, "-j", "ACCEPT"];
            node.namespace.ok(&[&[tool.as_str()], &rule[..]].concat(), "");
            let set = "create OTHERS hash:ip comment\nadd OTHERS 10.0.0.1 comment \"a\"\n";
            node.namespace.ok(&["ipset", "-exist", "restore"], set);
        }
        let before = node.state();
        let snapshot = policy(&["10.8.0.0/24"], 80);
        let dir = node.tree("s", &snapshot);
        assert_code(&node.apply(&dir, &[]), 0);
        assert!(node.apply(&dir, &[]).out.starts_with("nothing to change"), "{backend}");
        assert_code(&node.chainmaild(&["uninstall"]), 0);
        assert_eq!(node.state(), before, "{backend}");
        assert_code(&node.apply(&dir, &[]), 0);
        node.namespace.ok(&[&tool, "-F", "INPUT"], "");
        node.assert_holds(&snapshot);
    }
}

#[test]
fn a_set_of_a_wrong_type_is_replaced_whether_or_not_rules_refer_to_it() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        let snapshot = policy(&["10.9.0.0/16"], 8080);
        let dir = node.tree("s", &snapshot);
        let peers = set_of(Family::V4, SetKind::HashNet, &["10.9.0.0/16"]).0;
        node.namespace.ok(&["ipset", "create", peers.as_str(), "hash:ip"], "");
        assert_code(&node.apply(&dir, &[]), 0);
        node.assert_holds(&snapshot);

        assert_code(&node.chainmaild(&["uninstall"]), 0);
        let wrong: Vec<_> = snapshot
            .sets
            .iter()
            .map(|(name, text)| {
                let create = format!("create {name} hash:ip\n");
                if *name == peers { create } else { text.clone() }
            })
            .collect();
        node.namespace.ok(&["ipset", "restore"], &wrong.concat());
        node.namespace.ok(&[&format!("iptables-{backend}-restore"), "--noflush"], &snapshot.v4);
        let done = node.apply(&dir, &[]);
        assert_code(&done, 0);
        node.assert_holds(&snapshot);
        assert!(node.apply(&dir, &[]).out.starts_with("nothing to change"), "{backend}");
    }
}

#[test]
fn rules_in_the_other_backend_are_refused_until_they_are_cleared() {
    if skipped() {
        return;
    }
    for (backend, other) in [("nft", "legacy"), ("legacy", "nft")] {
        let node = Node::new(backend);
        let dir = node.tree("s", &policy(&["10.8.0.0/24"], 80));
        assert_code(&node.apply(&dir, &[]), 0);
        if backend == "nft" {
            let names = node.namespace.ok(&["cat", "/proc/net/ip_tables_names"], "");
            assert_eq!(names, "", "looking at the other backend made no table");
        }
        let words = ["apply", "--once", dir.to_str().unwrap(), "--node", "n1", "--backend", other];
        let done = node.chainmaild(&words);
        assert_code(&done, 5);
        let hint = format!("chainmaild uninstall --backend {backend}");
        assert!(done.err.contains(&hint), "{}", done.err);
        assert_code(&node.chainmaild(&["uninstall", "--backend", backend]), 0);
        assert_code(&node.chainmaild(&words), 0);
    }
}

#[test]
fn what_must_not_be_applied_is_told_apart_by_its_exit_code() {
    if skipped() {
        return;
    }
    let node = Node::new("nft");
    let before = node.state();
    let snapshot = policy(&["10.8.0.0/24"], 80);
    let dir = node.joined("s", &snapshot);

    let lock = ApplyLock::take(&node.folder.path().join("run")).unwrap();
    let done = node.apply(&dir, &[]);
    assert_code(&done, 7);
    assert!(done.err.contains("another process is at work"), "{}", done.err);
    drop(lock);

    let done = node.chainmaild(&["apply", "--once", dir.to_str().unwrap(), "--node", "n2"]);
    assert_code(&done, 3);
    assert!(done.err.contains("this snapshot is for node n1, not n2"), "{}", done.err);

    let evil = snapshot.v4.replace("-A CM-INGRESS -j DROP\n", "-A CM-INGRESS -j DROP\n-I INPUT -j DROP\n");
    std::fs::write(dir.join("rules.v4"), &evil).unwrap();
    let done = node.apply(&dir, &[]);
    assert_code(&done, 3);
    assert!(done.err.contains("rules.v4 does not have the SHA-256"), "{}", done.err);
    let evil = Snapshot::new(evil, snapshot.v6.clone(), snapshot.sets.clone());
    let done = node.apply(&node.joined("evil", &evil), &[]);
    assert_code(&done, 3);
    assert!(
        done.err.contains("the line cannot be read: it is neither a chain, a rule nor COMMIT"),
        "{}",
        done.err
    );

    assert_code(&node.chainmaild(&["apply"]), 2);

    snapshot.write_joined(&dir);
    let program = env!("CARGO_BIN_EXE_chainmaild");
    let drop_raw = ["setpriv", "--bounding-set=-net_raw", program];
    let apply = ["apply", "--once", dir.to_str().unwrap(), "--node", "n1"];
    let done = node.namespace.run(&[&drop_raw[..], &apply].concat(), "");
    assert_code(&done, 5);
    assert!(done.err.contains("this process lacks CAP_NET_RAW"), "{}", done.err);
    assert_eq!(node.state(), before);
}
