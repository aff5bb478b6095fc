//! The shipped units, as shipped, on nodes that boot a real systemd. `make test-long` runs them.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, writes what they read, and fails by panic"
)]
#![allow(clippy::print_stderr, reason = "it says aloud when it must skip")]

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROOT: &str = "/var/cache/chainmail-tests/bookworm";
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    folder: tempfile::TempDir,
    script: Child,
    backend: &'static str,
}

impl Drop for Node {
    /// The whole group: script, nspawn, and with them the node.
    fn drop(&mut self) {
        if let Some(leader) = self.leader() {
            Command::new("kill").args(["-KILL", &leader]).status().ok();
        }
        let group = rustix::process::Pid::from_child(&self.script);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        self.script.wait().ok();
        let name = self.folder.path().file_name().unwrap().to_str().unwrap();
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        for hierarchy in ["unified", "systemd"] {
            remove_group(&Path::new("/sys/fs/cgroup").join(hierarchy).join(format!("cm-{name}")));
        }
    }
}

/// Removes a control group with those in it. The kernel may take a moment to see that a process is gone.
fn remove_group(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    for _ in 0..50 {
        match std::fs::remove_dir(group) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(()) | Err(_) => return,
        }
    }
}

fn install(from: &Path, to: PathBuf) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}

impl Node {
    fn boot(backend: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let units = project.join("systemd");
        install(Path::new(env!("CARGO_BIN_EXE_chainmaild")), files.join("usr/bin/chainmaild"));
        for unit in ["chainmail-apply.service", "chainmail-boot.service", "chainmail.target"] {
            install(&units.join(unit), files.join("usr/lib/systemd/system").join(unit));
        }
        install(&units.join("chainmail.sysusers.conf"), files.join("usr/lib/sysusers.d/chainmail.conf"));
        install(&units.join("chainmail.tmpfiles.conf"), files.join("usr/lib/tmpfiles.d/chainmail.conf"));
        let config = files.join("etc/chainmail/node.toml");
        std::fs::create_dir_all(config.parent().unwrap()).unwrap();
        std::fs::write(config, format!("backend = \"{backend}\"\n")).unwrap();
        let snapshots = project.join("reconciler/tests/format-1");
        let desired = std::fs::read_to_string(snapshots.join("desired")).unwrap();
        let spool = files.join("var/lib/chainmail/spool");
        for entry in std::fs::read_dir(snapshots.join(desired.trim_end())).unwrap() {
            let path = entry.unwrap().path();
            install(&path, spool.join(desired.trim_end()).join(path.file_name().unwrap()));
        }
        install(&snapshots.join("desired"), spool.join("desired"));
        let script = Command::new("unshare")
            .args(["-m", "--propagation", "private"])
            .arg(project.join("reconciler/tests/node.sh"))
            .args([Path::new(ROOT), folder.path()])
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let node = Self { folder, script, backend };
        node.wait_until("it is up", || node.is_up());
        node
    }

    fn leader(&self) -> Option<String> {
        let leader = std::fs::read_to_string(self.folder.path().join("leader")).ok()?;
        let leader = leader.trim().to_owned();
        (!leader.is_empty()).then_some(leader)
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        let Some(leader) = self.leader() else { return (None, String::new()) };
        let output = Command::new("nsenter").args(["-t", &leader, "-a", "--"]).args(words).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    fn ok(&self, words: &[&str]) -> String {
        let (code, said) = self.run(words);
        assert_eq!(code, Some(0), "{words:?}\n{said}\n{}", self.journal());
        said.trim_end().to_owned()
    }

    fn journal(&self) -> String {
        self.run(&["journalctl", "--no-pager", "-b", "-u", "chainmail*", "-n", "50"]).1
    }

    fn show(&self, unit: &str, property: &str) -> String {
        self.ok(&["systemctl", "show", "--value", "-p", property, unit])
    }

    fn is_up(&self) -> bool {
        self.run(&["systemctl", "is-system-running", "--wait"]) == (Some(0), "running\n".to_owned())
            && self.run(&["systemctl", "is-active", "chainmail-apply"]).0 == Some(0)
    }

    fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !holds() {
            let console = std::fs::read_to_string(self.folder.path().join("console")).unwrap_or_default();
            assert!(begin.elapsed() < PATIENCE, "never: {what}\n{}\n{console}", self.journal());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn rules(&self) -> String {
        let rules = self.ok(&[&format!("iptables-{}", self.backend), "-S"]);
        assert!(rules.contains("-A FORWARD -j CM-FORWARD"), "{rules}");
        rules
    }

    fn process(&self) -> String {
        self.show("chainmail-apply", "MainPID")
    }
}

fn skipped() -> bool {
    let there = Path::new(ROOT).is_dir() && Command::new("systemd-nspawn").arg("--version").output().is_ok();
    if !there {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "in CI `tests/prepare test-long` must have run"
        );
        eprintln!("SKIPPED: needs systemd-nspawn and {ROOT}, which `tests/prepare test-long` makes");
    }
    !there
}

fn life_of_a_node(backend: &'static str) {
    if skipped() {
        return;
    }
    let node = Node::boot(backend);
    assert_eq!(node.ok(&["systemctl", "--failed", "--no-legend"]), "", "a fresh boot");
    let rules = node.rules();
    node.ok(&["chainmaild", "verify"]);
    node.ok(&["chainmaild", "status"]);
    assert_eq!(node.show("chainmail-apply", "StatusText"), "synced enforcing");

    // A kill, a hang and an upgrade: another process each time, and the rules stay.
    let first = node.process();
    node.ok(&["kill", "-KILL", &first]);
    node.wait_until("restarted after a kill", || node.process() != first && node.is_up());
    assert_eq!(node.rules(), rules);
    node.ok(&["mkdir", "-p", "/run/systemd/system/chainmail-apply.service.d"]);
    let drop_in =
        "printf '[Service]\\nWatchdogSec=2\\n' > /run/systemd/system/chainmail-apply.service.d/w.conf";
    node.ok(&["sh", "-c", drop_in]);
    node.ok(&["systemctl", "daemon-reload"]);
    node.ok(&["systemctl", "restart", "chainmail-apply"]);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(
        node.show("chainmail-apply", "NRestarts"),
        "0",
        "a service that works is not taken for a hanging one"
    );
    let second = node.process();
    node.ok(&["kill", "-STOP", &second]);
    node.wait_until("restarted by the watchdog", || node.process() != second && node.is_up());
    assert!(node.journal().contains("Watchdog timeout"), "{}", node.journal());
    assert_eq!(node.rules(), rules);
    node.ok(&["sh", "-c", "cp /usr/bin/chainmaild /usr/bin/new && mv /usr/bin/new /usr/bin/chainmaild"]);
    node.ok(&["systemctl", "restart", "chainmail-apply"]);
    assert_eq!(node.rules(), rules);
    node.ok(&["systemctl", "stop", "chainmail-apply", "chainmail-boot"]);
    assert_eq!(node.rules(), rules, "stopping changes nothing");

    // The kernel begins empty, and there is no spool: the last good snapshot comes back before the network.
    node.ok(&["rm", "-r", "/var/lib/chainmail/spool"]);
    let leader = node.leader();
    node.run(&["systemctl", "reboot"]);
    node.wait_until("rebooted", || node.leader().is_some() && node.leader() != leader && node.is_up());
    assert_eq!(node.rules(), rules);
    node.ok(&["chainmaild", "verify"]);
    let boot: u64 = node.show("chainmail-boot", "ExecMainExitTimestampMonotonic").parse().unwrap();
    let apply: u64 = node.show("chainmail-apply", "ExecMainStartTimestampMonotonic").parse().unwrap();
    assert!(0 < boot && boot <= apply, "{boot} {apply}");
    let order = node.show("chainmail-boot", "Before");
    assert!(order.contains("network-pre.target") && order.contains("kubelet.service"), "{order}");
    let journal = node.ok(&["journalctl", "--no-pager", "-b", "-u", "chainmail-boot"]);
    assert!(journal.contains("synced enforcing"), "{journal}");
    node.ok(&["systemctl", "stop", "chainmail-apply"]);
    node.ok(&["chainmaild", "uninstall"]);
    assert!(!node.ok(&[&format!("iptables-{backend}"), "-S"]).contains("CM-"));
}

#[test]
#[ignore = "boots a node; run by make test-long"]
fn life_of_an_nft_node() {
    life_of_a_node("nft");
}

#[test]
#[ignore = "boots a node; run by make test-long"]
fn life_of_a_legacy_node() {
    life_of_a_node("legacy");
}
