//! `chainmail prove` as its users meet it: committed snapshots, and kernels.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use support::kernel::BACKENDS;

const NODE: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDRs: [10.244.1.0/24, 'fd00:10:244:1::/64']}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {role: db}}
spec: {nodeName: n1}
status: {podIPs: [{ip: 10.244.1.10}, {ip: 'fd00:10:244:1::10'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {role: web}}
spec: {nodeName: n1}
status: {podIPs: [{ip: 10.244.1.11}, {ip: 'fd00:10:244:1::11'}]}
";
const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {role: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {role: web}}}]
    ports: [{port: 5432}]
";

/// A folder of manifests, and their snapshots beside it.
struct Repository(tempfile::TempDir);

impl Repository {
    fn compiled() -> Self {
        Self::configured("")
    }

    fn configured(config: &str) -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        fs::create_dir(repository.path("repo")).unwrap();
        fs::write(repository.path("repo/chainmail.toml"), config).unwrap();
        fs::write(repository.path("repo/cluster.yaml"), NODE).unwrap();
        fs::write(repository.path("repo/db.yaml"), POLICY).unwrap();
        let output = repository.chainmail(&["compile", "repo", "--out", "out"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        repository
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn chainmail(&self, args: &[&str]) -> Output {
        support::chainmail(self.0.path(), args)
    }

    /// Runs a script beside the repository, with the daemon as `$1`, the compiler as `$2` and the backend as `$3`.
    fn in_a_namespace(&self, script: &str, backend: &str) {
        let mut command = Command::new("unshare");
        // A /run of its own, since its lock is the host's.
        let script = format!("mount -t tmpfs none /run; {script}");
        command.args(["-n", "-m", "sh", "-ec", &script, "sh"]);
        command.args([support::program("chainmaild"), support::program("chainmail")]).arg(backend);
        support::run(command.current_dir(self.0.path()));
    }

    /// Proves, and gives the exit code and what was printed.
    fn prove(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.chainmail(&[&["prove", "repo"], args].concat());
        let printed = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(printed).unwrap())
    }
}

#[test]
fn committed_snapshots_are_held_against_the_policies_beside_them() {
    let repository = Repository::compiled();
    let (code, said) = repository.prove(&["--snapshots", "out"]);
    assert_eq!((code, said.contains("proven: the rules of 1 node")), (Some(0), true), "{said}");

    fs::write(repository.path("repo/db.yaml"), POLICY.replace("5432", "5433")).unwrap();
    let (code, said) = repository.prove(&["--snapshots", "out"]);
    assert_eq!(code, Some(1), "{said}");
    for line in [
        "ingress rules and policies differ",
        "packet:   10.244.1.11 (shop/web) -> 10.244.1.10 (shop/db) tcp/5433, NEW",
        "expected: let out to the host's other rules",
        "allowed by shop/db ingress[0] at db.yaml:8",
        "found:    is dropped in CM-I-",
    ] {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
}

#[test]
fn programs_read_what_was_found() {
    let repository = Repository::compiled();
    fs::write(repository.path("repo/db.yaml"), POLICY.replace("5432", "5433")).unwrap();
    let output = repository.chainmail(&["prove", "repo", "--snapshots", "out", "-o", "json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["node"], "n1");
    let difference = &found["flaws"][0]["difference"];
    let said = ["source", "destination", "service", "expected"].map(|key| difference[key].as_str().unwrap());
    assert_eq!(said, ["10.244.1.11", "10.244.1.10", "tcp/5433", "let out to the host's other rules"]);
}

#[test]
fn what_nobody_allows_is_found_too() {
    let repository = Repository::compiled();
    fs::write(repository.path("repo/db.yaml"), POLICY.replace("role: web", "role: nobody")).unwrap();
    let (code, said) = repository.prove(&["--snapshots", "out"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("expected: dropped\n            isolated by shop/db at db.yaml:2, allowed by no rule"),
        "{said}"
    );
    assert!(said.contains("found:    leaves our chains in CM-I-"), "{said}");
}

/// A folder without nodes has nothing to prove, which is no proof.
#[test]
fn nothing_is_not_proven() {
    let repository = Repository::compiled();
    fs::remove_file(repository.path("repo/cluster.yaml")).unwrap();
    for args in [&[][..], &["--snapshots", "out"]] {
        let (code, said) = repository.prove(args);
        assert_eq!((code, said.contains("name no Linux node")), (Some(3), true), "{said}");
    }
}

#[test]
fn a_compile_that_is_not_proven_says_so() {
    let repository = Repository::compiled();
    let output = repository.chainmail(&["compile", "repo", "--out", "out", "--no-prove"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not proven: --no-prove"));
}

/// What the tools print, told apart by content whatever the files are called.
#[test]
fn a_kernel_is_proven_and_each_way_to_spoil_it_is_seen() {
    if !support::may_use_kernel() {
        return;
    }
    for backend in BACKENDS {
        let repository = Repository::compiled();
        repository.in_a_namespace(
            "$1 apply --node n1 --backend $3 --once out
             ipset save > saved.a; ip6tables-$3-save > saved.b; iptables-$3-save > saved.c",
            backend,
        );
        let prove = |spoil: &dyn Fn(&str) -> String| {
            for name in ["a", "b", "c"] {
                let text = fs::read_to_string(repository.path(&format!("saved.{name}"))).unwrap();
                fs::write(repository.path(name), spoil(&text)).unwrap();
            }
            repository.prove(&["--node", "n1", "--live", "a", "b", "c"])
        };
        let (code, said) = prove(&|text| text.to_owned());
        assert_eq!((code, said.contains("proven: the kernel's rules")), (Some(0), true), "{said}");

        let drop_line = |text: &str, is: &dyn Fn(&str) -> bool| -> String {
            text.lines().filter(|line| !is(line)).map(|line| format!("{line}\n")).collect()
        };
        for (name, spoil, says) in [
            (
                "the jump",
                &(|text: &str| drop_line(text, &|line| line.starts_with("-A FORWARD")))
                    as &dyn Fn(&str) -> String,
                "FORWARD does not jump",
            ),
            (
                "an allow",
                &|text: &str| drop_line(text, &|line| line.contains("--dport 5432")),
                "allowed by shop/db ingress[0]",
            ),
            (
                "a class's end",
                &|text: &str| {
                    drop_line(text, &|line| line.starts_with("-A CM-I-") && line.ends_with("-j DROP"))
                },
                "expected: dropped",
            ),
            (
                "established",
                &|text: &str| drop_line(text, &|line| line.contains("ESTABLISHED")),
                "ESTABLISHED",
            ),
            (
                "a member",
                &|text: &str| text.replace("10.244.1.11", "10.244.1.12"),
                "does not hold what its name says",
            ),
            ("a port", &|text: &str| text.replace("5432", "5433"), "tcp/543"),
            (
                "a rule before the jump",
                &|text: &str| {
                    text.replace("-A FORWARD -j CM-", "-A FORWARD -s 8.8.8.8/32 -j ACCEPT\n-A FORWARD -j CM-")
                },
                "pass before the jump to CM-FORWARD: -A FORWARD -s 8.8.8.8/32 -j ACCEPT",
            ),
            (
                "a chain before the jump",
                &|text: &str| {
                    text.replace("-A FORWARD -j CM-", "-A FORWARD -j F1\n-A FORWARD -j CM-")
                        .replace(":FORWARD", ":F1 - [0:0]\n:FORWARD")
                        .replace("\nCOMMIT", "\n-A F1 -j NFQUEUE --queue-num 0\nCOMMIT")
                },
                "pass before the jump to CM-FORWARD: -A F1 -j NFQUEUE --queue-num 0",
            ),
        ] {
            let (code, said) = prove(spoil);
            assert_eq!(code, Some(1), "{backend}, {name}: {said}");
            assert!(said.contains(says), "{backend}, {name}: {says:?} is not in:\n{said}");
        }
        let missing = repository.prove(&["--node", "n1", "--live", "a", "c"]);
        assert_eq!(missing.0, Some(3), "{}", missing.1);
    }
}

/// The mark of a denied packet is part of the proof, and so is what comes after it.
#[test]
fn what_is_told_of_denied_packets_is_proven_as_kernels_print_it() {
    if !support::may_use_kernel() {
        return;
    }
    let rows = [
        ("log_denied = 7\n", "-A CM-DENY -j DROP", "-A CM-DENY -j RETURN", "expected: logged and dropped"),
        (
            "log_denied = 600\n",
            "--nflog-prefix cm-deny",
            "--nflog-prefix cm-allow",
            "expected: logged and dropped",
        ),
        (
            "enforce = false\n",
            "-A CM-DENY -j RETURN",
            "-A CM-DENY -j DROP",
            "enforce is false, and yet a rule refuses",
        ),
        ("enforce = false\n", "-g CM-DENY", "-j RETURN", "expected: logged as denied and let pass"),
        (
            "enforce = false\n",
            "--nflog-group 67",
            "--nflog-group 66",
            "expected: logged as denied and let pass",
        ),
    ];
    for backend in BACKENDS {
        for (config, right, wrong, says) in rows {
            let repository = Repository::configured(config);
            repository.in_a_namespace(
                "$1 apply --node n1 --backend $3 --once out
                 ipset save > a; ip6tables-$3-save > b; iptables-$3-save > c",
                backend,
            );
            let live = ["--node", "n1", "--live", "a", "b", "c"];
            let (code, said) = repository.prove(&live);
            assert_eq!((code, said.contains("proven")), (Some(0), true), "{backend}, {config}: {said}");
            let rules = fs::read_to_string(repository.path("c")).unwrap();
            assert!(rules.contains(right), "{rules}");
            fs::write(repository.path("c"), rules.replace(right, wrong)).unwrap();
            let (code, said) = repository.prove(&live);
            assert_eq!(code, Some(1), "{backend}, {config}, {wrong}: {said}");
            assert!(said.contains(says), "{backend}, {config}, {wrong}: {says:?} is not in:\n{said}");
        }
    }
}

/// Without files the tools of this host are asked.
#[test]
fn the_tools_of_the_host_are_asked_where_no_file_is_given() {
    if !support::may_use_kernel() {
        return;
    }
    for backend in BACKENDS {
        let repository = Repository::compiled();
        // The host's own choice of backend is what both programs go by.
        let here = "mkdir bin; for t in iptables ip6tables; do for s in '' -save -restore; do
            ln -s $(command -v $t-$3$s) bin/$t$s; done; done; PATH=$PWD/bin:$PATH
            $1 apply --node n1 --backend $3 --once out; $2 prove repo --node n1 --live";
        repository.in_a_namespace(here, backend);
    }
}
