//! `chainmaild` against the kernel of this machine, in network namespaces of its own, on both backends.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test starts programs, writes what they read, fails by panic, and says aloud when it must skip"
)]

mod support;

use std::path::Path;

use chainmail_reconciler::lock::ApplyLock;
use chainmail_snapshot::{Family, SetKind};
use support::{Done, Namespace, Snapshot, set_of};

const BACKENDS: [&str; 2] = ["nft", "legacy"];

/// Says why the tests cannot run here. In CI they must.
fn skipped() -> bool {
    let works = |words: &[&str]| {
        let status = std::process::Command::new(words[0]).args(&words[1..]).output();
        status.is_ok_and(|output| output.status.success())
    };
    let probes: [&[&str]; 4] = [
        &["unshare", "-n", "iptables-nft", "-S"],
        &["unshare", "-n", "iptables-legacy", "-S"],
        &["unshare", "-n", "ipset", "list"],
        &["unshare", "-n", "sh", "-c", "nsenter -t $$ -n true"],
    ];
    let Some(missing) = probes.into_iter().find(|probe| !works(probe)) else { return false };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "in CI this must work: {missing:?}");
    eprintln!("SKIPPED: needs root and the tools of iptables and ipset; this failed: {missing:?}");
    true
}

/// One pod, 10.8.0.9, that `peers` reach on `port`.
fn policy(peers: &[&str], port: u16) -> Snapshot {
    let isolated = set_of(Family::V4, SetKind::HashIp, &["10.8.0.9"]);
    let peers4 = set_of(Family::V4, SetKind::HashNet, peers);
    // ipset prints the last of these as it stands; Rust alone would print ::102:304.
    let peers6 = set_of(Family::V6, SetKind::HashIpPort, &["fd00::7,tcp:80", "::1.2.3.4,udp:53"]);
    let class = format!("CM-I-{port:016x}");
    let v4 = format!(
        "*filter\n:CM-FORWARD - [0:0]\n:{class} - [0:0]\n:CM-INGRESS - [0:0]\n:CM-INVALID - [0:0]\n\
         -A CM-FORWARD -m conntrack --ctstate ESTABLISHED -j RETURN\n\
         -A CM-FORWARD -p icmp -m conntrack --ctstate RELATED -j RETURN\n\
         -A CM-FORWARD -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m set --match-set cm4-CUT src,src,dst -j REJECT --reject-with tcp-reset\n\
         -A CM-FORWARD ! -p tcp -m set --match-set cm4-CUT src,src,dst -j DROP\n\
         -A CM-FORWARD -m conntrack --ctstate INVALID -g CM-INVALID\n\
         -A CM-FORWARD -m set --match-set {isolated} dst -g CM-INGRESS\n\
         -A {class} -p tcp -m multiport --dports {port},443 -m set --match-set {peers4} src -m comment --comment \"shop/web ingress[0] +2\" -j RETURN\n\
         -A {class} -j DROP\n\
         -A CM-INGRESS -s 10.8.0.9/32 -d 10.8.0.9/32 -j RETURN\n\
         -A CM-INGRESS -d 10.8.0.9/32 -g {class}\n\
         -A CM-INGRESS -j DROP\n\
         -A CM-INVALID -m set --match-set {isolated} dst -j DROP\n\
         COMMIT\n",
        isolated = isolated.0,
        peers4 = peers4.0,
    );
    let v6 = format!(
        "*filter\n:CM-FORWARD - [0:0]\n:{class} - [0:0]\n\
         -A CM-FORWARD -m conntrack --ctstate ESTABLISHED -j RETURN\n\
         -A CM-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j RETURN\n\
         -A CM-FORWARD -d fd00::9/128 -g {class}\n\
         -A {class} -m set --match-set {} dst,dst -j RETURN\n\
         -A {class} -j DROP\n\
         COMMIT\n",
        peers6.0,
    );
    Snapshot::new(v4, v6, [isolated, peers4, peers6])
}

/// Loads what a node has before Chainmail comes: chains and sets of others, referring to each other.
fn load_foreign(namespace: &Namespace, backend: &str) {
    namespace.ok(
        &["ipset", "restore"],
        "create KUBE-X hash:ip,port,ip family inet\nadd KUBE-X 10.9.9.9,tcp:80,10.9.9.8\n\
         create cm5-x hash:net family inet6\nadd cm5-x fd00::/8\n",
    );
    let v4 = "*nat\n-A POSTROUTING -s 10.8.0.0/16 -j MASQUERADE\nCOMMIT\n*filter\n:FORWARD DROP [0:0]\n\
              :KUBE-FORWARD - [0:0]\n:XCM-FORWARD - [0:0]\n-A INPUT -i lo -j ACCEPT\n\
              -A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD\n-A FORWARD -j XCM-FORWARD\n\
              -A KUBE-FORWARD -m set --match-set KUBE-X src,src,dst -j ACCEPT\nCOMMIT\n";
    namespace.ok(&[&format!("iptables-{backend}-restore")], v4);
    let v6 = "*filter\n-A FORWARD -m set --match-set cm5-x src -j ACCEPT\nCOMMIT\n";
    namespace.ok(&[&format!("ip6tables-{backend}-restore")], v6);
}

/// A namespace, a folder, and `chainmaild` with both.
struct Node {
    namespace: Namespace,
    folder: tempfile::TempDir,
    backend: &'static str,
}

impl Node {
    fn new(backend: &'static str) -> Self {
        let node = Self { namespace: Namespace::new(), folder: tempfile::tempdir().unwrap(), backend };
        load_foreign(&node.namespace, backend);
        node
    }

    fn chainmaild(&self, words: &[&str]) -> Done {
        let state_dir = self.folder.path().join("run");
        let program = [env!("CARGO_BIN_EXE_chainmaild")];
        let state_dir = ["--state-dir", state_dir.to_str().unwrap()];
        self.namespace.run(&[&program, words, &state_dir].concat(), "")
    }

    fn apply(&self, dir: &Path, more: &[&str]) -> Done {
        let words = ["apply", "--once", dir.to_str().unwrap(), "--node", "n1", "--backend", self.backend];
        self.chainmaild(&[&words, more].concat())
    }

    fn tree(&self, name: &str, snapshot: &Snapshot) -> std::path::PathBuf {
        let dir = self.folder.path().join(name);
        snapshot.write_tree(&dir);
        dir
    }

    fn joined(&self, name: &str, snapshot: &Snapshot) -> std::path::PathBuf {
        let dir = self.folder.path().join(name);
        snapshot.write_joined(&dir);
        dir
    }

    fn state(&self) -> String {
        self.namespace.state(self.backend)
    }

    /// The state without what is ours: lines that name our chains or sets.
    fn foreign_state(&self) -> String {
        let ours = [
            ":CM-",
            "-A CM-",
            "-A FORWARD -j CM-FORWARD",
            "create cm4-",
            "create cm6-",
            "add cm4-",
            "add cm6-",
        ];
        let state = self.state();
        let lines = state.lines().filter(|line| !ours.iter().any(|ours| line.starts_with(ours)));
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// Fails unless the kernel holds exactly this snapshot's chains and sets, the jump first.
    fn assert_holds(&self, snapshot: &Snapshot) {
        for (family, tool, text) in
            [(Family::V4, "iptables", &snapshot.v4), (Family::V6, "ip6tables", &snapshot.v6)]
        {
            let saved = self.namespace.ok(&[&format!("{tool}-{}-save", self.backend), "-t", "filter"], "");
            let of = |text: &str| {
                let mut lines: Vec<_> =
                    text.lines().filter(|l| l.starts_with(":CM-")).map(str::to_owned).collect();
                lines.sort();
                let rules = text.lines().filter(|line| line.starts_with("-A CM-")).map(str::to_owned);
                let mut rules: Vec<_> = rules.collect();
                // Order counts within a chain only.
                rules.sort_by(|a, b| a.split(' ').nth(1).cmp(&b.split(' ').nth(1)));
                lines.extend(rules);
                lines
            };
            assert_eq!(of(&saved), of(text), "{family}");
            let forward: Vec<_> = saved.lines().filter(|line| line.starts_with("-A FORWARD")).collect();
            assert_eq!(forward[0], "-A FORWARD -j CM-FORWARD", "{family}");
            assert_eq!(forward.iter().filter(|line| line.contains(" CM-")).count(), 1, "{family}");
        }
        let names = self.namespace.ok(&["ipset", "list", "-n"], "");
        let mut names: Vec<_> =
            names.lines().filter(|name| name.starts_with("cm4-") || name.starts_with("cm6-")).collect();
        names.sort_unstable();
        assert_eq!(names, snapshot.sets.keys().map(|name| name.as_str()).collect::<Vec<_>>());
    }
}

fn assert_code(done: &Done, code: i32) {
    assert_eq!(done.code, code, "{}{}", done.out, done.err);
}

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
fn what_the_kernel_refuses_leaves_the_old_state() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        let good = policy(&["10.8.0.0/24"], 80);
        // A loop passes --test on both backends; only the commit finds it. IPv4 is committed by then.
        let v6 = "*filter\n:CM-FORWARD - [0:0]\n:CM-A - [0:0]\n-A CM-FORWARD -j CM-A\n-A CM-A -j CM-FORWARD\nCOMMIT\n";
        let changed = policy(&["10.9.0.0/16"], 8080);
        let bad = Snapshot::new(changed.v4.clone(), v6.to_owned(), changed.sets.clone());
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
    assert!(done.err.contains("another chainmaild is at work"), "{}", done.err);
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
    assert!(done.err.contains("\"-I INPUT -j DROP\" is not expected here"), "{}", done.err);

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
