//! `chainmaild run` against the kernel of this machine, in network namespaces of its own, on both backends.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, writes what they read, and fails by panic"
)]

mod support;

use std::time::{Duration, Instant};

use chainmail_contract::{Family, SetKind};
use support::node::{BACKENDS, HIDE_IP6TABLES, Node, assert_code, policy, refused, skipped};
use support::{Snapshot, set_of};

#[test]
fn what_is_spooled_comes_into_force_at_once_and_stays_when_the_service_ends() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        let foreign = node.foreign_state();
        node.configure("interval = 3600\n");
        let running = node.start();
        node.wait_until("it waits", || node.status().0 == "pending nothing");
        let begin = Instant::now();
        for port in [80, 81] {
            let snapshot = policy(&["10.8.0.0/24"], port);
            node.spool(&snapshot);
            node.wait_for(&snapshot);
            node.assert_holds(&snapshot);
            assert_eq!(node.foreign_state(), foreign, "{backend}");
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "the interval was not waited for");
        let state = node.state();
        assert_code(&node.ask(&["status"]), 0);
        assert_eq!(running.stop(), Some(0));
        assert_eq!(node.state(), state, "{backend}: stopping changes nothing");
        assert_code(&node.ask(&["verify"]), 0);
        let status = node.ask(&["status"]);
        assert_code(&status, 1);
        assert!(status.out.contains("is not running: this is how it left things"), "{}", status.out);
        let history = node.ask(&["history", "-o", "json"]).out;
        assert_eq!(history.matches("\"event\": \"applied\"").count(), 2, "{history}");

        // What is uninstalled stays away, whoever starts the service.
        let done = node.ask(&["uninstall"]);
        assert_code(&done, 0);
        assert!(done.out.contains("until `chainmaild resume`"), "{}", done.out);
        assert_code(&node.ask(&["boot"]), 0);
        let running = node.start();
        node.wait_until("it waits", || node.status().0 == "held nothing");
        assert!(node.ask(&["status"]).out.contains("uninstalled 20"), "{}", node.ask(&["status"]).out);
        let left = ours(&node);
        assert!(left.is_empty(), "{backend}: {left:?}");
        assert_code(&node.ask(&["resume"]), 0);
        node.wait_for(&policy(&["10.8.0.0/24"], 81));
        assert_eq!(running.stop(), Some(0));

        // Another boot: the kernel holds nothing, and there is no network and no spool yet.
        assert_code(&node.ask(&["uninstall"]), 0);
        assert_code(&node.ask(&["resume"]), 0);
        std::fs::remove_dir_all(node.root().join("var/lib/chainmail/spool")).unwrap();
        let done = node.ask(&["boot"]);
        assert_code(&done, 0);
        assert!(done.out.starts_with("● synced enforcing"), "{}", done.out);
        node.assert_holds(&policy(&["10.8.0.0/24"], 81));
        assert_eq!(node.foreign_state(), foreign, "{backend}");
    }
}

/// Lines of ours in the kernel.
fn ours(node: &Node) -> Vec<String> {
    let foreign = node.foreign_state();
    let foreign: Vec<&str> = foreign.lines().collect();
    node.state().lines().filter(|line| !foreign.contains(line)).map(str::to_owned).collect()
}

#[test]
fn a_service_that_hangs_is_noticed() {
    if skipped() {
        return;
    }
    let node = Node::new("nft");
    let snapshot = policy(&["10.8.0.0/24"], 80);
    node.configure("interval = 1\ndeadline = 1\n");
    let running = node.enforce(&snapshot);
    assert_code(&node.ask(&["status"]), 0);
    let id = rustix::process::Pid::from_raw(running.id().cast_signed()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::STOP).unwrap();
    node.wait_until("noticed", || node.ask(&["status", "-o", "json"]).out.contains("\"service\": \"late\""));
    assert_code(&node.ask(&["status"]), 1);
    rustix::process::kill_process(id, rustix::process::Signal::CONT).unwrap();
    node.wait_until("well again", || node.ask(&["status"]).code == 0);
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn a_rollback_stays_and_a_pause_ends() {
    if skipped() {
        return;
    }
    let node = Node::new("nft");
    node.configure("interval = 3600\n");
    let [first, second, third] = [80, 81, 82].map(|port| policy(&["10.8.0.0/24"], port));
    let mut running = node.start();
    for snapshot in [&first, &second] {
        node.spool(snapshot);
        node.wait_for(snapshot);
    }
    let holds = |snapshot: &Snapshot, words: &str| {
        node.wait_for_words(words, snapshot);
        node.assert_holds(snapshot);
    };
    assert_code(&node.ask(&["rollback", "--to", "0", "--to", "1"]), 2);
    assert_code(&node.ask(&["rollback", "--to", "zz", "--reason", "x"]), 3);
    assert_code(&node.ask(&["rollback", "--reason", "the shop is down"]), 0);
    holds(&first, "held enforcing");
    assert!(node.ask(&["status"]).out.contains("the shop is down"));
    node.spool(&third);
    assert_eq!(running.stop(), Some(0));
    running = node.start();
    holds(&first, "held enforcing");
    assert_code(&node.ask(&["resume"]), 0);
    node.wait_for(&third);

    assert_code(&node.ask(&["pause", "--for", "2h"]), 0);
    node.wait_until("paused", || node.ask(&["status"]).out.contains("paused"));
    node.spool(&second);
    holds(&third, "held enforcing");
    assert_code(&node.ask(&["pause", "--for", "1s"]), 0);
    node.wait_for(&second);
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn what_others_do_is_told_and_healed() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        let snapshot = policy(&["10.8.0.0/24"], 80);
        node.configure("interval = 1\n");
        let running = node.enforce(&snapshot);
        let foreign = node.foreign_state();
        let peers = set_of(Family::V4, SetKind::HashNet, &["10.8.0.0/24"]).0;
        let iptables = format!("iptables-{backend}");
        let rows: [(&[&str], &str); 5] = [
            (&[&iptables, "-F", "CM-INGRESS"], "-A CM-INGRESS -j DROP is missing"),
            (&[&iptables, "-D", "FORWARD", "-j", "CM-FORWARD"], "-A FORWARD -j CM-FORWARD is missing"),
            (&[&iptables, "-I", "CM-INGRESS", "-j", "RETURN"], "-A CM-INGRESS -j RETURN should not be there"),
            (&["ipset", "add", peers.as_str(), "10.66.0.0/16"], "10.66.0.0/16 should not be there"),
            (&["ipset", "del", peers.as_str(), "10.8.0.0/24"], "10.8.0.0/24 is missing"),
        ];
        for (command, told) in rows {
            node.namespace.ok(command, "");
            node.wait_until(told, || node.read("said").contains(told));
            node.wait_until("healed", || node.ask(&["verify"]).code == 0);
            node.assert_holds(&snapshot);
        }
        node.namespace.ok(&[&iptables, "-I", "FORWARD", "-s", "10.0.0.1", "-j", "DROP"], "");
        node.wait_until("first again", || {
            node.namespace.ok(&[&iptables, "-S", "FORWARD"], "").lines().nth(1)
                == Some("-A FORWARD -j CM-FORWARD")
        });
        node.namespace.ok(&[&iptables, "-D", "FORWARD", "-s", "10.0.0.1", "-j", "DROP"], "");
        node.wait_until("healed", || node.ask(&["verify"]).code == 0);
        assert_eq!(node.foreign_state(), foreign, "{backend}");
        assert_eq!(running.stop(), Some(0));
        let audit = node.read("var/log/chainmail/audit.jsonl");
        assert!(audit.contains("\"event\":\"healed\"") && audit.contains("10.66.0.0/16"), "{audit}");

        node.configure("interval = 1\ndrift = \"report\"\n");
        let running = node.start();
        node.wait_for(&snapshot);
        node.namespace.ok(&[&iptables, "-F", "CM-INGRESS"], "");
        node.wait_until("told", || node.status().0 == "synced drifted");
        assert_code(&node.ask(&["status"]), 1);
        let done = node.ask(&["verify"]);
        assert_code(&done, 1);
        assert!(done.out.contains("+ v4 -A CM-INGRESS -j DROP"), "{}", done.out);
        assert_eq!(running.stop(), Some(0));
        assert_code(&node.ask(&["verify"]), 1);
    }
}

#[test]
fn nft_changes_by_others_are_seen_without_waiting() {
    if skipped() {
        return;
    }
    let node = Node::new("nft");
    let snapshot = policy(&["10.8.0.0/24"], 80);
    node.configure("interval = 3600\n");
    let running = node.enforce(&snapshot);
    let begin = Instant::now();
    node.namespace.ok(&["iptables-nft", "-F"], "");
    node.wait_until("healed", || node.ask(&["verify"]).code == 0);
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn what_nobody_confirms_is_taken_back_and_a_person_may_confirm_it() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        node.configure("interval = 3600\nconfirm = \"required\"\nconfirm_timeout = 2\n");
        let [first, second] = [80, 81].map(|port| policy(&["10.8.0.0/24"], port));
        let running = node.start();
        node.spool(&first);
        node.wait_for_words("pending-confirm enforcing", &first);
        assert_code(&node.ask(&["confirm", "--digest", "zz"]), 3);
        assert_code(&node.ask(&["confirm"]), 0);
        node.wait_for(&first);
        assert_code(&node.ask(&["confirm"]), 3);

        node.spool(&second);
        node.wait_for_words("pending-confirm enforcing", &second);
        assert_code(&node.ask(&["verify"]), 0);
        let status = node.ask(&["status"]);
        assert_code(&status, 1);
        assert!(status.out.contains("`chainmaild confirm` does it by hand"), "{}", status.out);
        node.wait_for_words("held rolled-back", &first);
        node.assert_holds(&first);
        assert_code(&node.ask(&["verify"]), 0);
        let status = node.ask(&["status"]);
        assert!(
            status.out.contains("nobody confirmed it in 2 s; it is tried again after 30 s"),
            "{}",
            status.out
        );

        // A kill while it waits is no word, and the time goes on.
        assert_code(&node.ask(&["resume"]), 0);
        node.wait_for_words("pending-confirm enforcing", &second);
        running.kill();
        let running = node.start();
        node.wait_for_words("held rolled-back", &first);
        node.assert_holds(&first);
        assert_code(&node.ask(&["confirm", "--digest", second.manifest.digest.short(8)]), 0);
        node.wait_for(&second);
        node.assert_holds(&second);
        assert_eq!(running.stop(), Some(0));
        let history = node.ask(&["history"]).out;
        let events: Vec<&str> = history.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        let expected =
            ["applied", "confirmed", "applied", "unconfirmed", "applied", "unconfirmed", "applied"];
        assert_eq!(events, expected, "{history}");
    }
}

#[test]
fn a_snapshot_that_the_kernel_refuses_is_held_and_the_last_good_one_stays() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::refusing(backend);
        let good = policy(&["10.8.0.0/24"], 80);
        let bad = refused(&policy(&["10.9.0.0/16"], 8080));
        node.configure("");
        let running = node.enforce(&good);
        let state = node.state();
        node.spool(&bad);
        node.wait_until("held", || node.status().0 == "held enforcing");
        assert!(node.read("said").contains("does not load into a network namespace of its own"));
        assert_eq!(node.state(), state, "{backend}: it was tried elsewhere");
        assert_eq!(running.stop(), Some(0));

        node.configure("trial = \"off\"\n");
        let running = node.start();
        node.wait_until("held", || node.status().0 == "held rolled-back");
        node.assert_holds(&good);
        assert_code(&node.ask(&["status"]), 1);
        assert!(node.ask(&["history"]).out.contains("went-back"));
        let next = policy(&["10.9.0.0/16"], 8080);
        node.spool(&next);
        node.wait_for(&next);
        node.assert_holds(&next);
        assert_eq!(running.stop(), Some(0));
    }
}

#[test]
fn a_kernel_without_ipv6_is_given_the_rules_of_ipv4() {
    if skipped() {
        return;
    }
    let node = Node::new("nft");
    let snapshot = policy(&["10.8.0.0/24"], 80);
    node.configure("");
    node.spool(&snapshot);
    // As on a kernel that has none.
    let hide =
        ["strace", "-qq", "-o", "/dev/null", "-P", "/proc/net/if_inet6", "-e", "inject=openat:error=ENOENT"];
    let before = node.namespace.ok(&["ip6tables-nft-save"], "");
    let running = node.start_under(&hide);
    node.wait_for(&snapshot);
    let status = node.ask(&["status"]).out;
    assert!(status.contains("skipped   v6: this kernel does not have it"), "{status}");
    assert!(node.namespace.ok(&["iptables-nft", "-S"], "").contains("CM-INGRESS"));
    let rules = |saved: &str| {
        saved.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(rules(&node.namespace.ok(&["ip6tables-nft-save"], "")), rules(&before));
    assert_eq!(running.stop(), Some(0));
    let running = node.start();
    node.wait_until("the other family", || node.ask(&["verify"]).code == 0);
    node.assert_holds(&snapshot);
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn without_the_tools_of_one_family_the_other_is_enforced_and_the_node_says_so() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        let (old, new) = (policy(&["10.8.0.0/24"], 80), policy(&["10.9.0.0/16"], 8080));
        node.configure("interval = 1\ntrial = \"off\"\n");
        let running = node.enforce(&old);
        node.namespace.ok(&["sh", "-c", HIDE_IP6TABLES], "");
        // What comes from now on is of one family, also for a process that has never seen the other.
        let degraded = || node.ask(&["status"]);
        node.wait_until("it is noticed", || degraded().out.starts_with("● synced enforcing degraded"));
        assert_eq!(running.stop(), Some(0));
        let running = node.enforce(&new);
        let status = degraded();
        let expected =
            format!("degraded  v6 is not enforced, and its packets pass: ip6tables-{backend} is not");
        assert!(status.code == 1 && status.out.contains(&expected), "{}", status.out);
        let rules = node.namespace.ok(&[&format!("iptables-{backend}"), "-S"], "");
        assert!(rules.contains("8080") && rules.contains("-A FORWARD -j CM-FORWARD"), "{rules}");
        let verified = node.ask(&["verify"]);
        assert!(verified.code == 1 && verified.out.contains("! v6 cannot be compared"), "{}", verified.out);
        let doctor = node.ask(&["doctor"]);
        assert!(doctor.code == 1 && doctor.out.contains("v6 is not enforced"), "{}", doctor.out);
        // They are installed, and the other family follows.
        node.namespace.ok(&["umount", "/usr/sbin"], "");
        node.wait_until("all is well", || degraded().code == 0);
        node.assert_holds(&new);
        assert_eq!(running.stop(), Some(0));
    }
}

#[test]
fn the_backend_that_was_found_first_stays_whatever_iptables_becomes() {
    if skipped() {
        return;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let tools = folder.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let iptables = tools.join("iptables");
    let is = |backend: &str| {
        std::fs::write(&iptables, format!("#!/bin/sh\necho 'iptables v1.8.9 ({backend})'\n")).unwrap();
        std::fs::set_permissions(&iptables, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    is("legacy");
    let node = Node::with(support::Namespace::with_tools(&tools), folder, "legacy");
    node.write("etc/chainmail/node.toml", "node = \"n1\"\n");
    for (backend, port) in [("legacy", 80), ("nf_tables", 81)] {
        is(backend);
        let snapshot = policy(&["10.8.0.0/24"], port);
        let running = node.enforce(&snapshot);
        node.assert_holds(&snapshot);
        assert_eq!(running.stop(), Some(0));
        let status = node.ask(&["status"]).out;
        assert!(status.contains("node n1 (legacy)"), "{status}");
    }
    assert!(!node.namespace.ok(&["iptables-nft", "-S"], "").contains("CM-"));
}

#[test]
fn a_second_service_or_an_uninstall_beside_it_is_refused() {
    if skipped() {
        return;
    }
    let node = Node::new("nft");
    node.configure("");
    let running = node.start();
    node.wait_until("it waits", || node.status().0 == "pending nothing");
    for words in [&["run"][..], &["boot"], &["uninstall"]] {
        assert_code(&node.ask(words), 7);
    }
    node.write("etc/chainmail/node.toml", "drifft = \"heal\"\n");
    let done = node.ask(&["check-config"]);
    assert_code(&done, 2);
    assert!(done.err.contains("node.toml:1:1"), "{}", done.err);
    assert_code(&node.ask(&["run"]), 2);
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn the_first_format_is_applied_for_ever_and_a_newer_one_refused() {
    if skipped() {
        return;
    }
    let node = Node::new("nft");
    node.write("etc/chainmail/node.toml", "node = \"worker-1\"\nbackend = \"nft\"\n");
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format-1");
    let digest = std::fs::read_to_string(fixture.join("desired")).unwrap();
    let digest = digest.trim_end();
    let copied = node.root().join("var/lib/chainmail/spool").join(digest);
    std::fs::create_dir_all(&copied).unwrap();
    for file in ["manifest.json", "ipsets", "rules.v4", "rules.v6", "provenance.json"] {
        std::fs::copy(fixture.join(digest).join(file), copied.join(file)).unwrap();
    }
    node.want(digest);
    let running = node.start();
    node.wait_until("in force", || node.status() == ("synced enforcing".to_owned(), digest.to_owned()));
    let audit = node.read("var/log/chainmail/audit.jsonl");
    assert!(audit.contains("\"policies\":["), "{audit}");

    let newer = policy(&["10.8.0.0/24"], 80);
    let folder = format!("var/lib/chainmail/spool/{}", newer.manifest.digest);
    newer.write_joined(&node.root().join(&folder));
    node.write(&format!("{folder}/manifest.json"), "{\"format\": 2, \"what\": \"comes later\"}\n");
    node.want(newer.manifest.digest.as_str());
    node.wait_until("held", || node.status() == ("held enforcing".to_owned(), digest.to_owned()));
    assert!(node.read("run/chainmail/apply.json").contains("is newer than 1"));
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn no_socket_that_could_reach_a_network_is_ever_opened() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        node.configure("");
        node.spool(&policy(&["10.8.0.0/24"], 80));
        let calls = node.folder.path().join("calls");
        let running =
            node.start_under(&["strace", "-f", "-qq", "-e", "trace=socket", "-o", calls.to_str().unwrap()]);
        node.wait_for(&policy(&["10.8.0.0/24"], 80));
        assert_eq!(running.stop(), Some(0));
        let calls = std::fs::read_to_string(calls).unwrap();
        assert!(calls.contains("AF_NETLINK"), "{calls}");
        // iptables asks for sets and legacy tables over this one, and sends no packet by it.
        let harmless = ["AF_NETLINK", "AF_UNIX", "SOCK_RAW, IPPROTO_RAW"];
        let other: Vec<_> = calls
            .lines()
            .filter(|line| line.contains("socket(") && !harmless.iter().any(|h| line.contains(h)))
            .collect();
        assert!(other.is_empty(), "{backend}: {other:?}");
    }
}

#[test]
fn the_doctor_finds_what_is_wrong_with_a_host() {
    if skipped() {
        return;
    }
    let node = Node::new("nft");
    node.configure("");
    let said = node.ask(&["doctor"]);
    assert!(said.out.contains("fine     ipset"), "{}{}", said.out, said.err);
    node.namespace.ok(&["ip", "link", "add", "cni0", "type", "bridge"], "");
    node.namespace
        .ok(&["ip", "link", "add", "port", "master", "cni0", "type", "veth", "peer", "name", "pod"], "");
    node.namespace.ok(
        &[
            "ip",
            "link",
            "add",
            "flannel.1",
            "up",
            "type",
            "vxlan",
            "id",
            "1",
            "dstport",
            "8472",
            "local",
            "10.8.0.1",
        ],
        "",
    );
    // The namespace's own view of its interfaces.
    let root = node.root();
    let program = env!("CARGO_BIN_EXE_chainmaild");
    let command = format!("mount -t sysfs sysfs /sys && exec {program} --root {} doctor", root.display());
    let said = node.namespace.run(&["unshare", "-m", "sh", "-c", &command], "");
    assert_code(&said, 1);
    for part in [
        "alarm    pod_bridge     pods on bridge cni0",
        "warning  overlay        a pod may wrap a packet for flannel.1",
        "warning  other engines  Calico",
        "rp_filter",
    ] {
        assert!(said.out.contains(part), "{part}\n{}", said.out);
    }
}

/// Whoever writes the spool can put there what no file is; `chainmaild` neither waits for it nor reads through it.
#[test]
fn what_is_no_file_in_the_spool_holds_up_neither_healing_nor_the_end() {
    use std::os::unix::fs::symlink;

    if skipped() {
        return;
    }
    let node = Node::new("nft");
    node.configure("interval = 1\n");
    let snapshot = policy(&["10.8.0.0/24"], 80);
    let running = node.enforce(&snapshot);
    std::fs::write(node.root().join("secret"), "root:SECRETHASH:1:\n").unwrap();
    let next = policy(&["10.8.0.0/24"], 81);
    let folder = node.root().join("var/lib/chainmail/spool").join(next.manifest.digest.as_str());
    for (file, kind) in
        [("manifest.json", "fifo"), ("ipsets", "zero"), ("rules.v4", "secret"), ("provenance.json", "fifo")]
    {
        std::fs::remove_dir_all(&folder).ok();
        next.write_joined(&folder);
        std::fs::remove_file(folder.join(file)).ok();
        match kind {
            "fifo" => drop(node.namespace.ok(&["mkfifo", folder.join(file).to_str().unwrap()], "")),
            "zero" => symlink("/dev/zero", folder.join(file)).unwrap(),
            _ => symlink(node.root().join("secret"), folder.join(file)).unwrap(),
        }
        node.want(next.manifest.digest.as_str());
        node.wait_until("it is refused", || {
            node.read("run/chainmail/apply.json").contains(&format!("{file} is a "))
        });
        node.namespace.ok(&["iptables-nft", "-F", "CM-FORWARD"], "");
        node.wait_until("it is healed", || {
            node.namespace.ok(&["iptables-nft", "-S", "CM-FORWARD"], "").contains("-g CM-INGRESS")
        });
        assert_eq!(
            node.status(),
            ("held enforcing".to_owned(), snapshot.manifest.digest.to_string()),
            "{file}"
        );
        assert_code(&node.ask(&["plan"]), 3);
        assert!(!node.read("run/chainmail/apply.json").contains("SECRET"), "{file}");
        assert!(!node.read("said").contains("SECRET"), "{file}");
    }
    assert_eq!(running.stop(), Some(0), "SIGTERM ends it");
    node.assert_holds(&snapshot);
}
