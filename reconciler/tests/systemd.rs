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

use chainmail_lab::{ALICE, Repository, Signing};

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
        Self::boot_with(backend, |_| {})
    }

    /// Boots with more files than the applying half needs.
    fn boot_with(backend: &'static str, more: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        more(&files);
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
    let journal = node.ok(&[
        "journalctl",
        "--no-pager",
        "-b",
        "-u",
        "chainmail-apply",
        "-u",
        "chainmail-boot",
        "-o",
        "json",
    ]);
    assert!(journal.contains("\"DIGEST\":\""), "messages have fields: {journal}");

    // It is no root, and what somebody puts where it writes it does not run.
    let first = node.process();
    assert_eq!(node.ok(&["stat", "-c", "%U", &format!("/proc/{first}")]), "chainmail-apply");
    let inside = |words: &[&str]| node.run(&[&["nsenter", "-t", &first, "-m", "--"], words].concat()).0;
    assert_eq!(inside(&["/bin/true"]), Some(0));
    let folders = ["/var/lib/chainmail/spool", "/var/lib/chainmail/state", "/var/log/chainmail"];
    for folder in [folders.as_slice(), &["/run", "/run/chainmail", "/tmp", "/dev/shm"]].concat() {
        let program = format!("{folder}/true");
        node.ok(&["cp", "/bin/true", &program]);
        inside(&["cp", "/bin/true", &program]);
        assert_ne!(inside(&[&program]), Some(0), "{program}");
        node.ok(&["rm", &program]);
    }

    // What root orders it reads, and heals meanwhile. The node's id of this boot is made by systemd-nspawn, and is another one
    // in a unit's own /proc; so the pause is one that a reboot would not end.
    node.ok(&["chainmaild", "pause", "--for", "1d"]);
    node.wait_until("paused", || node.ok(&["cat", "/run/chainmail/apply.json"]).contains("\"pause\": \""));
    node.ok(&[&format!("iptables-{backend}"), "-F", "CM-FORWARD"]);
    node.wait_until("healed", || node.ok(&["chainmaild", "history"]).contains("healed"));
    assert_eq!(node.rules(), rules);
    node.ok(&["chainmaild", "resume"]);
    node.wait_until("resumed", || node.ok(&["cat", "/run/chainmail/apply.json"]).contains("\"pause\": null"));

    // A kill, a hang and an upgrade: another process each time, and the rules stay.
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

    // An upgrade from when the service was root: what that has left belongs to the user now.
    let folders = ["/var/lib/chainmail/state", "/var/log/chainmail", "/run/chainmail"];
    node.ok(&["systemctl", "stop", "chainmail-apply", "chainmail-boot"]);
    node.ok(&[&["chown", "-R", "root:root"], folders.as_slice()].concat());
    node.ok(&["systemd-tmpfiles", "--create", "chainmail.conf"]);
    node.ok(&["systemctl", "start", "chainmail-boot", "chainmail-apply"]);
    node.ok(&["chainmaild", "verify"]);
    let others = [&["find"], folders.as_slice(), &["!", "-user", "chainmail-apply"]].concat();
    assert_eq!(node.ok(&others), "");
    assert_eq!(node.rules(), rules);
    assert!(node.ok(&["cat", "/var/log/chainmail/audit.jsonl"]).contains("applied"));
    node.ok(&["systemctl", "stop", "chainmail-apply"]);
    node.ok(&["chainmaild", "uninstall"]);
    assert_eq!(node.ok(&others), "", "nor does root leave anything else");
    assert!(!node.ok(&[&format!("iptables-{backend}"), "-S"]).contains("CM-"));
}

/// Runs a program of the host that must succeed.
fn host(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const CLUSTER: &str = "
apiVersion: v1
kind: Node
metadata: {name: worker-1}
spec: {podCIDR: 10.1.0.0/24}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: worker-1, containers: [{name: c}]}
status: {phase: Running, podIP: 10.1.0.2, podIPs: [{ip: 10.1.0.2}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - ports: [{port: PORT}]
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: 9000}]
";

/// What `kubectl` says on the node: a pod that Git does not have.
const LIVE: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
"spec": {"nodeName": "worker-2", "containers": [{"name": "c"}]},
"status": {"phase": "Running", "podIP": "10.2.0.7", "podIPs": [{"ip": "10.2.0.7"}]}}]}
"#;

/// The pulling half as shipped, with a signed repository on the node that belongs to root: `main`, and `next` after it.
fn with_fetch(files: &Path) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_chainmaild")).with_file_name("chainmail-fetch");
    assert!(program.exists(), "run `cargo build --workspace --bins` first");
    install(&program, files.join("usr/bin/chainmail-fetch"));
    let parts = ["download", "fetch", "probe"].map(|part| format!("chainmail-{part}.service"));
    let inventory = ["chainmail-inventory.service", "chainmail-inventory.timer"].map(str::to_owned);
    for unit in parts.into_iter().chain(inventory) {
        install(&project.join("systemd").join(&unit), files.join("usr/lib/systemd/system").join(&unit));
    }
    install(&project.join("systemd/inventory.env"), files.join("etc/chainmail/inventory.env"));
    std::fs::write(files.join("usr/bin/kubectl"), format!("#!/bin/sh\ncat <<'LIST'\n{LIVE}LIST\n")).unwrap();
    host(Command::new("chmod").arg("755").arg(files.join("usr/bin/kubectl")));
    let work = tempfile::tempdir().unwrap();
    let repository = Repository::new(work.path()).unwrap();
    let commit = |port: &str, branch: &str| {
        std::fs::write(repository.checkout().join("cluster.yaml"), CLUSTER.replace("PORT", port)).unwrap();
        let commit = repository.commit("The database", Signing::By(ALICE)).unwrap();
        host(repository.git().args(["push", "-q", "origin", &format!("HEAD:{branch}")]));
        commit
    };
    let floor = commit("5432", "main");
    commit("5433", "next");
    std::fs::create_dir_all(files.join("srv")).unwrap();
    host(Command::new("cp").arg("-a").arg(repository.bare()).arg(files.join("srv/policies.git")));
    let etc = files.join("etc/chainmail");
    std::fs::create_dir_all(&etc).unwrap();
    std::fs::write(etc.join("allowed_signers"), repository.allowed_signers().unwrap()).unwrap();
    let config = format!(
        "remote = \"/srv/policies.git\"\n[hold]\nmax_loss = 100\n[trust]\nmin_commit = \"{floor}\"\n\
         branch_statement = \"required\"\n"
    );
    std::fs::write(etc.join("fetch.toml"), config).unwrap();
    std::fs::write(files.join("etc/gitconfig"), "[safe]\n\tdirectory = /srv/policies.git\n").unwrap();
}

#[test]
#[ignore = "boots a node; run by make test-long"]
fn a_signed_revision_goes_through_both_units_into_the_kernel() {
    if skipped() {
        return;
    }
    let node = Node::boot_with("nft", with_fetch);
    // As after an installation.
    node.ok(&["systemd-sysusers"]);
    node.ok(&["systemd-tmpfiles", "--create", "chainmail.conf"]);
    node.ok(&["systemctl", "restart", "chainmail-apply"]);
    // No unit that pulls is enabled: chainmail.target starts them, since there is a fetch.toml.
    node.wait_until("pulled", || node.run(&["chainmail-fetch", "status"]).0 == Some(0));
    node.wait_until("applied", || node.rules().contains("5432"));
    // The rules are there a moment before they are recorded as the good ones, which it waits for.
    node.ok(&["chainmaild", "verify"]);
    assert_eq!(node.ok(&["stat", "-c", "%U", "/var/lib/chainmail/spool/desired"]), "chainmail-fetch");
    let fetch = || node.show("chainmail-fetch", "MainPID");
    assert_eq!(node.ok(&["stat", "-c", "%U", &format!("/proc/{}", fetch())]), "chainmail-fetch");
    let download = node.show("chainmail-download", "MainPID");
    assert_eq!(node.ok(&["stat", "-c", "%U", &format!("/proc/{download}")]), "chainmail-download");
    assert_eq!(node.ok(&["stat", "-c", "%U", "/var/lib/chainmail/download/look.json"]), "chainmail-download");
    // Who speaks to the network cannot write the spool, and who can does not speak to it.
    for user in ["chainmail-download", "chainmail-probe"] {
        for folder in ["spool", "fetch", "state"] {
            let path = format!("/var/lib/chainmail/{folder}/planted");
            let (code, said) = node.run(&["runuser", "-u", user, "--", "touch", &path]);
            assert!(code != Some(0), "{user}: {said}");
        }
    }
    let links = node.ok(&["nsenter", "--net", "--target", &fetch(), "ip", "-o", "link"]);
    assert_eq!(links.lines().count(), 1, "{links}");
    // By hand it is run as root, which becomes the three users; any other user is told so.
    node.ok(&["systemctl", "stop", "chainmail-fetch", "chainmail-download"]);
    let (code, said) = node.run(&["runuser", "-u", "chainmail-fetch", "--", "chainmail-fetch", "once"]);
    assert!(code == Some(2) && said.contains("as root"), "{said}");
    node.ok(&["chainmail-fetch", "once"]);
    assert_eq!(node.ok(&["stat", "-c", "%U", "/var/lib/chainmail/download/look.json"]), "chainmail-download");
    node.ok(&["systemctl", "start", "chainmail-fetch"]);
    assert_eq!(node.ok(&["systemctl", "--failed", "--no-legend"]), "");

    // Another boot: the same rules, and both services go on.
    let (rules, leader) = (node.rules(), node.leader());
    node.run(&["systemctl", "reboot"]);
    node.wait_until("rebooted", || node.leader().is_some() && node.leader() != leader && node.is_up());
    assert_eq!(node.rules(), rules);
    node.ok(&["chainmaild", "verify"]);
    node.wait_until("fetch looks again", || node.run(&["chainmail-fetch", "status"]).0 == Some(0));

    // Fetch is killed at the moment of a push; the next one finds it, and confirms what came of it.
    node.ok(&["sh", "-c", "echo 'confirm = \"required\"' >> /etc/chainmail/node.toml"]);
    node.ok(&["systemctl", "restart", "chainmail-apply"]);
    let killed = fetch();
    node.ok(&["cp", "/srv/policies.git/refs/heads/next", "/srv/policies.git/refs/heads/main"]);
    node.ok(&["kill", "-KILL", &killed]);
    assert!(!node.rules().is_empty());
    node.wait_until("started again", || !["0", killed.as_str()].contains(&fetch().as_str()));
    node.wait_until("the push is in force", || node.rules().contains("5433"));
    node.wait_until("it is confirmed", || node.run(&["chainmaild", "status"]).0 == Some(0));
    assert!(node.ok(&["chainmaild", "history"]).contains("confirmed"));
    node.ok(&["chainmaild", "verify"]);

    // A pod that only the API server knows.
    assert!(!node.rules().contains("9000"));
    node.ok(&["sh", "-c", "echo '[inventory]' >> /etc/chainmail/fetch.toml"]);
    node.ok(&["systemctl", "restart", "chainmail-fetch"]);
    node.wait_until("the pod may connect", || node.rules().contains("--dport 9000"));
    node.wait_until("nothing is left to do", || node.run(&["chainmaild", "status"]).0 == Some(0));
    assert_eq!(node.ok(&["systemctl", "--failed", "--no-legend"]), "");
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
