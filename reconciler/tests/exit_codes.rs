//! `docs/exit-codes.md` against `chainmaild`: each row of its table is provoked, on a node of its own.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, writes what they read, and fails by panic"
)]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chainmail_reconciler::lock::ApplyLock;
use support::node::{HIDE_IP6TABLES, Node, REFUSED, policy, refused, skipped};
use support::{Namespace, Snapshot};

/// A row: command, code, when that is, and command lines that end so.
type Case = (&'static str, i32, &'static str, fn(&Lab) -> Vec<i32>);

/// A node whose tools fail on demand.
struct Lab(Node);

/// Stands before `iptables-restore` of each family: where there is a file `refuse`, IPv6 rules are refused, and those of
/// IPv4 once a text went through, which is the way back.
const TOOL: &str = r#"#!/bin/sh
if [ -e AT/refuse ]; then
    case $0 in *ip6tables*) exit 1 ;; esac
    if [ -e AT/refuse-all ]; then exit 1; fi
    touch AT/refuse-all
fi
text=$(mktemp AT/text.XXXXXX); cat > "$text"
! grep -q 'REFUSED' "$text" || exit 1
exec "/usr/sbin/${0##*/}" "$@" < "$text"
"#;

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tools = folder.path().join("tools");
        std::fs::create_dir(&tools).unwrap();
        for tool in ["iptables-nft-restore", "ip6tables-nft-restore"] {
            let path = tools.join(tool);
            std::fs::write(
                &path,
                TOOL.replace("AT", &folder.path().display().to_string()).replace("REFUSED", REFUSED),
            )
            .unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let node = Node::with(Namespace::with_tools(&tools), folder, "nft");
        node.configure("deadline = 1\ntrial = \"off\"\n");
        Self(node)
    }

    fn ask(&self, words: &str) -> i32 {
        self.0.ask(&words.split(' ').collect::<Vec<_>>()).code
    }

    /// Runs it without a right that it needs.
    fn ask_weak(&self, words: &str) -> i32 {
        let words: Vec<_> = words.split(' ').collect();
        self.0.ask_with(&["setpriv", "--bounding-set=-net_raw"], &words).code
    }

    /// A snapshot is in force, and the service has ended.
    fn good(&self) -> Snapshot {
        let snapshot = policy(&["10.8.0.0/24"], 80);
        self.0.spool(&snapshot);
        let running = self.0.start();
        self.0.wait_for(&snapshot);
        assert_eq!(running.stop(), Some(0));
        snapshot
    }

    /// The words that apply a snapshot.
    fn once(&self, snapshot: &Snapshot) -> String {
        format!("apply --node n1 --backend nft --once {}", self.0.joined("once", snapshot).display())
    }

    fn lock(&self) -> ApplyLock {
        ApplyLock::take(&self.0.root().join("run/chainmail")).unwrap()
    }

    fn rule(&self, words: &str) {
        self.0.namespace.ok(&["sh", "-c", &format!("iptables-nft {words}")], "");
    }

    fn refuse_rules(&self) {
        std::fs::write(self.0.folder.path().join("refuse"), "").unwrap();
    }

    fn damage(&self, folder: &str, digest: &str) {
        self.0.write(&format!("var/lib/chainmail/{folder}/{digest}/rules.v4"), "*filter\nCOMMIT\n");
    }
}

fn small() -> Snapshot {
    policy(&["10.9.0.0/16"], 81)
}

/// The kernel refuses its IPv6 rules, after those of IPv4 were committed.
fn not_loading() -> Snapshot {
    refused(&small())
}

/// Each row of the document.
const CASES: &[Case] = &[
    ("any", 0, "it prints help or its version", |lab| {
        ["--help", "--version", "run --help", "help status"].map(|words| lab.ask(words)).into()
    }),
    ("any", 2, "an option is not known, or node.toml has an error", |lab| {
        let unknown = lab.ask("status --colour");
        lab.0.write("etc/chainmail/node.toml", "drifft = 1\n");
        let with_error = ["run", "boot", "plan", "verify", "doctor", "denied"].map(|words| lab.ask(words));
        [&[unknown], &with_error[..]].concat()
    }),
    ("any", 3, "the result cannot be written", |lab| {
        let command = |command: &str| {
            let (program, root) = (env!("CARGO_BIN_EXE_chainmaild"), lab.0.root());
            let line = format!("{program} --root {} {command} > /dev/full", root.display());
            lab.0.namespace.run(&["sh", "-c", &line], "").code
        };
        ["check-config", "resume"].map(command).into()
    }),
    ("apply", 0, "the snapshot is in force, or would be with `--dry-run`", |lab| {
        let words = lab.once(&small());
        vec![lab.ask(&format!("{words} --dry-run")), lab.ask(&words)]
    }),
    ("apply", 3, "the snapshot is damaged, or that of another node", |lab| {
        let words = lab.once(&small());
        let other = lab.ask(&words.replace("n1", "n2"));
        std::fs::write(lab.0.folder.path().join("once/rules.v4"), "*filter\nCOMMIT\n").unwrap();
        vec![other, lab.ask(&words)]
    }),
    ("apply", 5, "the other backend holds rules, or a capability is missing", |lab| {
        let words = lab.once(&small());
        let weak = lab.ask_weak(&words);
        lab.0.namespace.ok(&["iptables-legacy", "-N", "CM-FORWARD"], "");
        vec![weak, lab.ask(&words)]
    }),
    ("apply", 5, "the kernel refuses the snapshot, and what was there before is there again", |lab| {
        let before = lab.0.state();
        let code = lab.ask(&lab.once(&not_loading()));
        assert_eq!(lab.0.state(), before);
        vec![code]
    }),
    ("apply", 6, "the same, and the way back failed too", |lab| {
        lab.refuse_rules();
        vec![lab.ask(&lab.once(&small()))]
    }),
    ("apply", 6, "the rules of one family are in force, and those of the other cannot be kept", |lab| {
        let words = lab.once(&small());
        lab.0.namespace.ok(&["sh", "-c", HIDE_IP6TABLES], "");
        vec![lab.ask(&words), lab.ask(&format!("{words} --dry-run"))]
    }),
    ("apply", 7, "another `chainmaild` is at work", |lab| {
        let _lock = lab.lock();
        vec![lab.ask(&lab.once(&small()))]
    }),
    ("boot", 0, "the last good snapshot is in force, or there is none", |lab| {
        let none = lab.ask("boot");
        lab.good();
        vec![none, lab.ask("boot")]
    }),
    ("boot", 5, "a capability is missing", |lab| vec![lab.ask_weak("boot")]),
    ("boot", 5, "the last good snapshot is damaged, and an older one is in force", |lab| {
        lab.good();
        let next = small();
        lab.0.enforce(&next).stop();
        lab.damage("state/snapshots", next.manifest.digest.as_str());
        lab.damage("spool", next.manifest.digest.as_str());
        vec![lab.ask("boot")]
    }),
    ("boot", 6, "the kernel cannot be brought to the last good snapshot", |lab| {
        lab.good();
        lab.refuse_rules();
        lab.0.namespace.ok(&["ip6tables-nft", "-F"], "");
        vec![lab.ask("boot")]
    }),
    (
        "boot",
        6,
        "every copy of a snapshot is damaged, and the networks of this node's pods are closed or open",
        |lab| {
            let good = lab.good();
            lab.damage("state/snapshots", good.manifest.digest.as_str());
            lab.damage("spool", good.manifest.digest.as_str());
            let closed = lab.ask("boot");
            lab.0.configure("without_snapshot = \"open\"\n");
            vec![closed, lab.ask("boot")]
        },
    ),
    ("boot", 6, "the rules of one family are in force, and those of the other cannot be kept", |lab| {
        lab.good();
        lab.0.namespace.ok(&["sh", "-c", HIDE_IP6TABLES], "");
        vec![lab.ask("boot")]
    }),
    ("boot", 7, "another `chainmaild` is at work", |lab| {
        let _lock = lab.lock();
        vec![lab.ask("boot")]
    }),
    ("check-config", 0, "the configuration can be used", |lab| {
        let there = lab.ask("check-config");
        std::fs::remove_file(lab.0.root().join("etc/chainmail/node.toml")).unwrap();
        vec![there, lab.ask("check-config")]
    }),
    ("check-config", 2, "it cannot", |lab| {
        lab.0.write("etc/chainmail/node.toml", "node = \"N 1\"\n");
        vec![lab.ask("check-config")]
    }),
    ("completions", 0, "the script is printed", |lab| vec![lab.ask("completions bash")]),
    ("completions", 2, "the shell is not known", |lab| vec![lab.ask("completions csh")]),
    ("confirm", 0, "the snapshot that waits counts as good", |lab| {
        lab.0.configure("confirm = \"required\"\n");
        lab.0.spool(&small());
        let running = lab.0.start();
        lab.0.wait_for_words("pending-confirm enforcing", &small());
        let code = lab.ask("confirm");
        lab.0.wait_for(&small());
        assert_eq!(running.stop(), Some(0));
        vec![code]
    }),
    ("confirm", 3, "none waits", |lab| vec![lab.ask("confirm"), lab.ask("confirm --digest 0")]),
    ("denied", 0, "the time is over, whatever was denied", |lab| {
        lab.good();
        vec![lab.ask("denied --for 0s")]
    }),
    ("denied", 3, "there is no snapshot in force", |lab| vec![lab.ask("denied --for 0s")]),
    ("doctor", 0, "there is no alarm; warnings may be", |lab| vec![lab.ask("doctor")]),
    ("doctor", 1, "there is an alarm", |lab| {
        lab.0.namespace.ok(&["iptables-legacy", "-N", "CM-FORWARD"], "");
        lab.rule("-N CM-FORWARD");
        vec![lab.ask("doctor")]
    }),
    ("history", 0, "what was done is printed, if anything was", |lab| {
        let nothing = lab.ask("history");
        lab.good();
        vec![nothing, lab.ask("history -o json")]
    }),
    ("pause", 0, "the order is written", |lab| vec![lab.ask("pause --for 1s")]),
    ("pause", 2, "the time is not understood", |lab| vec![lab.ask("pause --for 5"), lab.ask("pause")]),
    ("plan", 0, "it has compared, whatever differs", |lab| {
        let nothing = lab.ask("plan");
        lab.0.spool(&small());
        vec![nothing, lab.ask("plan"), lab.ask("plan -o json")]
    }),
    ("plan", 3, "the wanted snapshot cannot be read", |lab| {
        lab.0.spool(&small());
        lab.damage("spool", small().manifest.digest.as_str());
        vec![lab.ask("plan")]
    }),
    ("resume", 0, "no order holds any more", |lab| {
        vec![lab.ask("pause --for 1h"), lab.ask("resume"), lab.ask("resume")]
    }),
    ("rollback", 0, "the order is written", |lab| {
        let digest = lab.good().manifest.digest;
        vec![lab.ask(&format!("rollback --to {digest} --reason x"))]
    }),
    ("rollback", 3, "there is no such snapshot to go back to", |lab| {
        lab.good();
        vec![lab.ask("rollback --reason x"), lab.ask("rollback --to zz --reason x")]
    }),
    ("run", 0, "a signal has ended it", |lab| {
        let running = lab.0.start();
        lab.0.wait_until("it waits", || lab.0.status().0 == "pending nothing");
        vec![running.stop().unwrap()]
    }),
    ("run", 5, "a capability is missing", |lab| vec![lab.ask_weak("run")]),
    ("run", 7, "another `chainmaild` is at work", |lab| {
        let _lock = lab.lock();
        vec![lab.ask("run")]
    }),
    ("status", 0, "all is well", |lab| {
        lab.0.spool(&small());
        let running = lab.0.start();
        lab.0.wait_for(&small());
        let code = lab.ask("status");
        assert_eq!(running.stop(), Some(0));
        vec![code]
    }),
    (
        "status",
        1,
        "somebody has to look: not all that is wanted is in force, or the service does not run",
        |lab| {
            let running = lab.0.start();
            lab.0.wait_until("it waits", || lab.0.status().0 == "pending nothing");
            let pending = lab.ask("status");
            assert_eq!(running.stop(), Some(0));
            lab.good();
            vec![pending, lab.ask("status -o json")]
        },
    ),
    ("status", 3, "the service has not run since boot", |lab| vec![lab.ask("status")]),
    ("uninstall", 0, "nothing of ours is left", |lab| {
        let nothing = lab.ask("uninstall");
        lab.good();
        vec![nothing, lab.ask("uninstall")]
    }),
    ("uninstall", 5, "a rule of others leads into our chains", |lab| {
        lab.good();
        lab.rule("-A OUTPUT -j CM-FORWARD");
        vec![lab.ask("uninstall")]
    }),
    ("uninstall", 6, "a set of ours is in use by others and stays", |lab| {
        let good = lab.good();
        let set =
            good.sets.keys().find(|name| name.as_str().starts_with("cm4-") && !name.as_str().contains("CUT"));
        lab.rule(&format!("-A OUTPUT -p tcp -m set --match-set {} dst -j ACCEPT", set.unwrap()));
        vec![lab.ask("uninstall")]
    }),
    ("uninstall", 7, "another `chainmaild` is at work", |lab| {
        let _lock = lab.lock();
        vec![lab.ask("uninstall")]
    }),
    ("verify", 0, "the kernel holds the snapshot in force", |lab| {
        lab.good();
        vec![lab.ask("verify")]
    }),
    ("verify", 1, "it does not", |lab| {
        lab.good();
        lab.rule("-F CM-INGRESS");
        let drifted = lab.ask("verify");
        lab.good();
        lab.0.namespace.ok(&["sh", "-c", HIDE_IP6TABLES], "");
        vec![drifted, lab.ask("verify")]
    }),
    ("verify", 3, "every copy of a snapshot is damaged", |lab| {
        let good = lab.good();
        lab.damage("state/snapshots", good.manifest.digest.as_str());
        lab.damage("spool", good.manifest.digest.as_str());
        vec![lab.ask("verify")]
    }),
    ("verify", 5, "a capability is missing", |lab| {
        lab.good();
        vec![lab.ask_weak("verify")]
    }),
    ("verify", 7, "a change at work does not come to its end in time", |lab| {
        lab.good();
        lab.rule("-F CM-INGRESS");
        let _lock = lab.lock();
        let digest = small().manifest.digest;
        let journal = format!("{{\"from\":null,\"to\":\"{digest}\",\"v4\":null,\"v6\":null,\"sets\":[]}}\n");
        lab.0.write("var/lib/chainmail/state/journal", &journal);
        vec![lab.ask("verify")]
    }),
];

/// The rows of the document's table about `chainmaild`.
fn documented() -> BTreeSet<(String, i32, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/exit-codes.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, table) = document.split_once("## `chainmaild`\n").expect("it has a section about chainmaild");
    let table = table.split("\n## ").next().unwrap_or_default();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [command, code, when] = cells[..] else { panic!("three cells: {line}") };
        Some((command.trim_matches('`').to_owned(), code.parse().ok()?, when.to_owned()))
    };
    table.lines().filter(|line| line.starts_with("| ")).filter_map(row).collect()
}

#[test]
fn chainmaild_ends_as_its_document_says() {
    let tried: BTreeSet<_> = CASES
        .iter()
        .map(|(command, code, when, _)| ((*command).to_owned(), *code, (*when).to_owned()))
        .collect();
    assert_eq!(documented(), tried, "each row has a case, and each case a row");
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_chainmaild")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    for command in commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()) {
        let has_row = command.is_empty() || command == "help" || tried.iter().any(|row| row.0 == command);
        assert!(has_row, "the document has no row of `chainmaild {command}`");
    }
    if skipped() {
        return;
    }
    let mut wrong = Vec::new();
    for (command, code, when, run) in CASES {
        let found = run(&Lab::new());
        if found.iter().any(|found| found != code) {
            wrong.push(format!("chainmaild {command}: {found:?}, and not {code} ({when})"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
